# Whether every artifact is the file that the workflow wrote: snakemake check_provenance


# Without an output, so that it answers whenever it is asked.
rule check_provenance:
    log:
        f"{RESULTS}/logs/check_provenance.log",
    params:
        results=results_folder,
    threads: 1
    conda:
        "../envs/train.yaml"
    shell:
        "python workflow_scripts/check_provenance.py --results {params.results}" " > {log} 2>&1"

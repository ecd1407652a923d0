# Check every artifact against its recorded hash: snakemake check_provenance


# Without an output, so that every call runs it.
rule check_provenance:
    log:
        f"{RESULTS}/logs/check_provenance.log",
    params:
        results=results_folder,
    threads: 1
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/check_provenance.py" " --results {params.results}" " > {log} 2>&1"

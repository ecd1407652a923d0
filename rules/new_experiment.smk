# A starting configuration for one's own text: snakemake new_experiment --config text=FOLDER
# It is a target of its own, and its file is the user's from then on.


rule new_experiment:
    output:
        config=f"{plain(Path(TEXT).name) if TEXT else 'experiment'}.yaml",
    log:
        f"{RESULTS}/logs/new_experiment.log",
    params:
        text=TEXT,
    threads: 1
    conda:
        "../envs/law.yaml"
    localrule: True
    shell:
        "python workflow_scripts/new_experiment.py --text={params.text:q} --out {output.config:q}"
        " > {log} 2>&1"

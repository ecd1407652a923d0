# A starting configuration for a folder of text: snakemake new_experiment --config text=FOLDER
# No other rule depends on it, so that the file is never overwritten after the user has edited it.


rule new_experiment:
    output:
        config=f"{plain(Path(TEXT).name) if TEXT else 'experiment'}.yaml",
    log:
        f"{RESULTS}/logs/new_experiment.log",
    params:
        text=text_folder,
    threads: 1
    conda:
        "../envs/train.yaml"
    localrule: True
    shell:
        f"python {SCRIPTS}/new_experiment.py"
        " --text={params.text:q} --out {output.config:q}"
        " > {log} 2>&1"

# The learning rate as a function of size, measured on the user's text; not part of `all`.


rule sweep_learning_rate:
    input:
        tokens=f"{RESULTS}/tokens/{GENERAL}/tokens.json",
    output:
        losses=f"{RESULTS}/learning_rate/{{size}}.csv",
    log:
        f"{RESULTS}/logs/learning_rate/{{size}}.log",
    benchmark:
        f"{RESULTS}/logs/learning_rate/{{size}}.tsv"
    params:
        config=final_config,
        results=results_folder,
        rates=list(EXPERIMENT.tune_learning_rate.rates),
        tokens=EXPERIMENT.tune_learning_rate.tokens,
    threads: processes
    resources:
        **TRAINING,
        runtime=sweep_minutes,
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/sweep_learning_rate.py"
        " --config {params.config:q}"
        " --size {wildcards.size} --results {params.results} --execution {resources.execution:q}"
        " --rates {params.rates} --tokens {params.tokens} --out {output.losses} 2> {log}"


rule tune_learning_rate:
    input:
        tables=expand(
            rules.sweep_learning_rate.output.losses, size=EXPERIMENT.tune_learning_rate.sizes
        ),
    output:
        rule=f"{RESULTS}/learning_rate/rule.json",
        settings=f"{RESULTS}/learning_rate/rule.yaml",
    log:
        f"{RESULTS}/logs/learning_rate/rule.log",
    benchmark:
        f"{RESULTS}/logs/learning_rate/rule.tsv"
    params:
        reference=EXPERIMENT.training.reference_params,
    threads: 1
    conda:
        "../envs/law.yaml"
    shell:
        f"python {SCRIPTS}/tune_learning_rate.py"
        " --tables {input.tables}"
        " --reference-params {params.reference} --out {output.rule} > {output.settings} 2> {log}"

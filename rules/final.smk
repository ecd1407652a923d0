# The planned split and the baselines, trained at equal compute.


rule final_trunk:
    input:
        plan=plan_of,
        tokens=f"{RESULTS}/tokens/{GENERAL}/tokens.json",
    output:
        run=f"{FINAL}/trunk.json",
    log:
        f"{RESULTS}/logs/final/{{size}}-{{budget}}-seed{{seed}}-trunk.log",
    benchmark:
        f"{RESULTS}/logs/final/{{size}}-{{budget}}-seed{{seed}}-trunk.tsv"
    params:
        config=final_config,
        results=results_folder,
        domain="",
    threads: processes
    priority: 1
    resources:
        **TRAINING,
        runtime=final_minutes,
    conda:
        "../envs/train.yaml"
    group:
        final_group
    shell:
        f"python {SCRIPTS}/train_final.py"
        " --config {params.config:q} --size {wildcards.size}"
        " --seed {wildcards.seed} --results {params.results} --execution {resources.execution:q}"
        " --plan {input.plan} --budget {wildcards.budget} --strategy trunk {params.domain}"
        " --out {output.run} 2> {log}"


# With final.trunk independent: the trunk of one domain, which has a seed of its own.
use rule final_trunk as final_trunk_of_domain with:
    output:
        run=f"{FINAL}/trunks/{{domain}}.json",
    log:
        f"{RESULTS}/logs/final/{{size}}-{{budget}}-seed{{seed}}-trunk-{{domain}}.log",
    benchmark:
        f"{RESULTS}/logs/final/{{size}}-{{budget}}-seed{{seed}}-trunk-{{domain}}.tsv"
    params:
        config=final_config,
        results=results_folder,
        domain=trunk_domain,


rule final_strategy:
    input:
        plan=plan_of,
        trunks=trunks_of,
        tokens=rules.tokenize.input.sidecars,
    output:
        losses=f"{FINAL}/{{strategy}}/losses.csv",
    log:
        f"{RESULTS}/logs/final/{{size}}-{{budget}}-seed{{seed}}-{{strategy}}.log",
    benchmark:
        f"{RESULTS}/logs/final/{{size}}-{{budget}}-seed{{seed}}-{{strategy}}.tsv"
    params:
        config=final_config,
        results=results_folder,
    threads: processes
    resources:
        **TRAINING,
        runtime=final_minutes,
    conda:
        "../envs/train.yaml"
    group:
        final_group
    shell:
        f"python {SCRIPTS}/train_final.py"
        " --config {params.config:q} --size {wildcards.size}"
        " --seed {wildcards.seed} --results {params.results} --execution {resources.execution:q}"
        " --plan {input.plan} --budget {wildcards.budget} --strategy {wildcards.strategy}"
        " --out {output.losses} 2> {log}"


rule train_final:
    input:
        tables=final_tables(EXPERIMENT.final.seeds),
    output:
        comparison=f"{RESULTS}/final/comparison.csv",
    log:
        f"{RESULTS}/logs/final/comparison.log",
    benchmark:
        f"{RESULTS}/logs/final/comparison.tsv"
    threads: 1
    conda:
        "../envs/law.yaml"
    localrule: True
    shell:
        f"python {SCRIPTS}/gather_final.py"
        " --tables {input.tables} --out {output.comparison}"
        " 2> {log}"


rule seeds:
    input:
        tables=final_tables([*EXPERIMENT.final.seeds, *EXPERIMENT.final.more_seeds]),
    output:
        comparison=f"{RESULTS}/final/seeds.csv",
    log:
        f"{RESULTS}/logs/final/seeds.log",
    benchmark:
        f"{RESULTS}/logs/final/seeds.tsv"
    threads: 1
    conda:
        "../envs/law.yaml"
    localrule: True
    shell:
        f"python {SCRIPTS}/gather_final.py"
        " --tables {input.tables} --out {output.comparison}"
        " --spread > {log} 2>&1"

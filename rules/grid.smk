# The grid: a trunk for each size and seed, its branches, and their losses. Trunks have priority, because
# branches wait for them.


rule pretrain_size:
    input:
        tokens=f"{RESULTS}/tokens/{GENERAL}/tokens.json",
    output:
        run=f"{RESULTS}/runs/{{size}}/seed{{seed}}/trunk.json",
    log:
        f"{RESULTS}/logs/pretrain/{{size}}-seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/logs/pretrain/{{size}}-seed{{seed}}.tsv"
    params:
        config=grid_config,
        results=results_folder,
    threads: processes
    priority: 1
    resources:
        **TRAINING,
        runtime=grid_minutes,
    conda:
        "../envs/train.yaml"
    group:
        grid_group
    shell:
        f"python {SCRIPTS}/pretrain.py"
        " --config {params.config:q} --size {wildcards.size}"
        " --seed {wildcards.seed} --results {params.results} --execution {resources.execution:q}"
        " --out {output.run} 2> {log}"


rule specialize_domain:
    input:
        trunk=rules.pretrain_size.output.run,
        tokens=trained_domains,
    output:
        losses=f"{RESULTS}/runs/{{size}}/seed{{seed}}/{{domain}}/losses.csv",
    log:
        f"{RESULTS}/logs/specialize/{{size}}-seed{{seed}}-{{domain}}.log",
    benchmark:
        f"{RESULTS}/logs/specialize/{{size}}-seed{{seed}}-{{domain}}.tsv"
    params:
        config=grid_config,
        results=results_folder,
        domains=evaluated_domains,
    threads: processes
    resources:
        **TRAINING,
        runtime=grid_minutes,
    conda:
        "../envs/train.yaml"
    group:
        grid_group
    shell:
        f"python {SCRIPTS}/specialize.py"
        " --config {params.config:q} --size {wildcards.size}"
        " --seed {wildcards.seed} --domain {wildcards.domain} --domains {params.domains}"
        " --results {params.results} --execution {resources.execution:q} --out {output.losses}"
        " 2> {log}"


rule pretrain:
    input:
        trunks=grid_trunks,


rule specialize:
    input:
        losses=grid_tables,


rule evaluate:
    input:
        losses=grid_tables,
        code=f"{PACKAGE}/stages/gather.py",
    output:
        losses=f"{RESULTS}/losses.csv",
        cost=f"{RESULTS}/cost.csv",
    log:
        f"{RESULTS}/logs/evaluate.log",
    benchmark:
        f"{RESULTS}/logs/evaluate.tsv"
    params:
        cooldown=EXPERIMENT.training.cooldown_fraction,
        batch=batch_option,
    threads: 1
    conda:
        "../envs/law.yaml"
    localrule: True
    shell:
        f"python {SCRIPTS}/evaluate_models.py"
        " --losses {input.losses} --out {output.losses}"
        " --cost {output.cost} --cooldown-fraction {params.cooldown} --batch-tokens {params.batch}"
        " 2> {log}"

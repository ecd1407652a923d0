# The measured frontier: the loss at several general fractions of one size and budget, and the regret of
# the plan against the best of them.


rule frontier_seed:
    input:
        fit=rules.fit_law.output.fit,
        plan=plan_of,
        tokens=rules.tokenize.input.sidecars,
    output:
        losses=f"{RESULTS}/frontier/{{size}}/{{budget}}/seed{{seed}}/losses.csv",
    log:
        f"{RESULTS}/logs/frontier/{{size}}-{{budget}}-seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/logs/frontier/{{size}}-{{budget}}-seed{{seed}}.tsv"
    params:
        config=frontier_config,
        results=results_folder,
        fractions=list(EXPERIMENT.frontier.fractions),
        even="",
    threads: processes
    resources:
        **TRAINING,
        runtime=frontier_minutes,
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/train_frontier.py"
        " --config {params.config:q} --size {wildcards.size}"
        " --seed {wildcards.seed} --results {params.results} --execution {resources.execution:q}"
        " --law {input.fit} --plan {input.plan} --budget {wildcards.budget}"
        " --fractions {params.fractions} {params.even} --out {output.losses} 2> {log}"


rule frontier:
    input:
        fit=rules.fit_law.output.fit,
        plan=plan_file(EXPERIMENT.frontier.size, EXPERIMENT.frontier.budget_tokens),
        tables=expand(
            rules.frontier_seed.output.losses,
            size=EXPERIMENT.frontier.size,
            budget=EXPERIMENT.frontier.budget_tokens,
            seed=EXPERIMENT.frontier.seeds,
        ),
        code=[f"{PACKAGE}/stages/regret.py", f"{PACKAGE}/report/frontier.py"],
    output:
        table=f"{RESULTS}/frontier/frontier.csv",
        figure=f"{RESULTS}/frontier/frontier.svg",
        picture=f"{RESULTS}/frontier/frontier.png",
    log:
        f"{RESULTS}/logs/frontier.log",
    benchmark:
        f"{RESULTS}/logs/frontier.tsv"
    threads: 1
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/frontier.py"
        " --tables {input.tables} --law {input.fit}"
        " --plan {input.plan} --out {output.table} > {log} 2>&1"

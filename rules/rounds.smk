# The rounds of an adaptive grid. A round trains runs, fits the law to those of all rounds so far, and
# chooses the runs of the next one. The grid and the law of the experiment are those of the last round.


use rule pretrain_size as pretrain_round with:
    output:
        run=f"{ROUNDS}/{{round}}/runs/{{size}}/seed{{seed}}/trunk.json",
    log:
        f"{RESULTS}/logs/rounds/{{round}}/pretrain-{{size}}-seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/logs/rounds/{{round}}/pretrain-{{size}}-seed{{seed}}.tsv"
    params:
        config=round_trunk_config,
        results=results_folder,


use rule specialize_domain as specialize_round with:
    input:
        trunk=rules.pretrain_round.output.run,
        tokens=trained_domains,
    output:
        losses=f"{ROUNDS}/{{round}}/runs/{{size}}/seed{{seed}}/{{domain}}/losses.csv",
    log:
        f"{RESULTS}/logs/rounds/{{round}}/specialize-{{size}}-seed{{seed}}-{{domain}}.log",
    benchmark:
        f"{RESULTS}/logs/rounds/{{round}}/specialize-{{size}}-seed{{seed}}-{{domain}}.tsv"
    params:
        config=round_branch_config,
        results=results_folder,
        domains=evaluated_domains,


use rule evaluate as evaluate_round with:
    input:
        losses=round_tables,
        code=f"{PACKAGE}/stages/gather.py",
    output:
        losses=f"{ROUNDS}/{{round}}/losses.csv",
        cost=f"{ROUNDS}/{{round}}/cost.csv",
    log:
        f"{RESULTS}/logs/rounds/{{round}}/evaluate.log",
    benchmark:
        f"{RESULTS}/logs/rounds/{{round}}/evaluate.tsv"


use rule fit_law as fit_law_round with:
    input:
        losses=rules.evaluate_round.output.losses,
        code=package_code("laws"),
    output:
        fit=f"{ROUNDS}/{{round}}/law/fit.json",
        posterior=f"{ROUNDS}/{{round}}/law/fit.posterior.npz",
    log:
        f"{RESULTS}/logs/rounds/{{round}}/fit_law.log",
    benchmark:
        f"{RESULTS}/logs/rounds/{{round}}/fit_law.tsv"


# Its outputs are updated, not deleted: runs that were chosen before are kept when it runs again.
checkpoint end_round:
    input:
        losses=rules.evaluate_round.output.losses,
        fit=rules.fit_law_round.output.fit,
        code=[
            f"{PACKAGE}/stages/rounds.py",
            f"{PACKAGE}/stages/round_record.py",
            *package_code("planner"),
        ],
    output:
        runs=update(f"{ROUNDS}/{{round}}/next_runs.csv"),
        about=update(f"{ROUNDS}/{{round}}/round.json"),
        pool=f"{ROUNDS}/{{round}}/pool.csv",
    log:
        f"{RESULTS}/logs/rounds/{{round}}/end_round.log",
    benchmark:
        f"{RESULTS}/logs/rounds/{{round}}/end_round.tsv"
    params:
        config=rounds_config,
    threads: 1
    conda:
        "../envs/law.yaml"
    shell:
        f"python {SCRIPTS}/end_round.py --config {{params.config:q}} --round {{wildcards.round}}"
        " --losses {input.losses} --law {input.fit} --out {output.runs} > {log} 2>&1"

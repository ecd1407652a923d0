# The law and the plan.


rule fit_law:
    input:
        losses=rules.evaluate.output.losses,
        code=package_code("laws"),
    output:
        fit=f"{RESULTS}/law/fit.json",
        posterior=f"{RESULTS}/law/fit.posterior.npz",
    log:
        f"{RESULTS}/logs/fit_law.log",
    benchmark:
        f"{RESULTS}/logs/fit_law.tsv"
    params:
        law=EXPERIMENT.law.form,
        discrepancy=EXPERIMENT.law.discrepancy,
        draws=EXPERIMENT.law.draws,
        seed=law_seed_option,
    threads: 1
    conda:
        "../envs/law.yaml"
    group:
        "law"
    shell:
        f"python {SCRIPTS}/fit_law.py --losses {{input.losses}} --out {{output.fit}}"
        " --law {params.law} --discrepancy {params.discrepancy} --draws {params.draws}"
        " --seed {params.seed}"
        " > {log} 2>&1"


rule next_runs:
    input:
        fit=rules.fit_law.output.fit,
        losses=rules.evaluate.output.losses,
        pool=remaining_pool,
        code=package_code("planner"),
    output:
        runs=f"{RESULTS}/law/next_runs.csv",
    log:
        f"{RESULTS}/logs/next_runs.log",
    benchmark:
        f"{RESULTS}/logs/next_runs.tsv"
    params:
        flops=plan_flops,
        params=planned_params,
        domains=",".join(DOMAINS),
        trunk=EXPERIMENT.final.trunk,
        pool=pool_option,
    threads: 1
    conda:
        "../envs/law.yaml"
    shell:
        f"python {SCRIPTS}/next_runs.py --law {{input.fit}} --losses {{input.losses}} {{params.pool}}"
        " --flops {params.flops} --params {params.params} --domains {params.domains}"
        " --trunk {params.trunk} --out {output.runs} > {log} 2>&1"


rule choose_split:
    input:
        fit=rules.fit_law.output.fit,
        code=package_code("planner"),
    output:
        plan=f"{RESULTS}/split/plan.json",
    log:
        f"{RESULTS}/logs/choose_split.log",
    benchmark:
        f"{RESULTS}/logs/choose_split.tsv"
    params:
        flops=plan_flops,
        params=planned_params,
        per_token=planned_flops_per_token,
        domains=",".join(DOMAINS),
        trunk=trunk_option,
        unique=unique_tokens,
    threads: 1
    conda:
        "../envs/law.yaml"
    group:
        "law"
    shell:
        f"python {SCRIPTS}/choose_split.py"
        " --law {input.fit} --flops {params.flops}"
        " --params {params.params} --flops-per-token {params.per_token}"
        " --domains {params.domains} --trunk {params.trunk} {params.unique} --out {output.plan}"
        " > {log} 2>&1"

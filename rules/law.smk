# The law and the plan.


rule fit_law:
    input:
        losses=rules.evaluate.output.losses,
        code=package_code("laws"),
    output:
        fit=f"{RESULTS}/law/fit.json",
    log:
        f"{RESULTS}/logs/fit_law.log",
    benchmark:
        f"{RESULTS}/logs/fit_law.tsv"
    params:
        law=EXPERIMENT.law.form,
        bootstrap=EXPERIMENT.law.bootstrap,
        seed=EXPERIMENT.law.seed,
    threads: 1
    conda:
        "../envs/law.yaml"
    group:
        "law"
    shell:
        f"python {SCRIPTS}/fit_law.py"
        " --losses {input.losses} --out {output.fit}"
        " --law {params.law} --bootstrap {params.bootstrap} --seed {params.seed}"
        " > {log} 2>&1"


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
        trunk=EXPERIMENT.final.trunk,
    threads: 1
    conda:
        "../envs/law.yaml"
    group:
        "law"
    shell:
        f"python {SCRIPTS}/choose_split.py"
        " --law {input.fit} --flops {params.flops}"
        " --params {params.params} --flops-per-token {params.per_token}"
        " --domains {params.domains} --trunk {params.trunk} --out {output.plan}"
        " > {log} 2>&1"

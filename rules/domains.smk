# The number of domains: a few branches of one trunk for each number of clusters of general text.


rule choose_domains:
    input:
        cards=rules.prepare_corpus.output.cards[0],
        tokens=f"{RESULTS}/tokens/{GENERAL}/tokens.json",
        code=[
            f"{PACKAGE}/stages/choose_domains.py",
            f"{PACKAGE}/stages/domains_table.py",
            f"{PACKAGE}/stages/domains_trained.py",
            *package_code("laws"),
            *package_code("planner"),
        ],
    output:
        table=f"{RESULTS}/choose_domains.csv",
    log:
        f"{RESULTS}/logs/choose_domains.log",
    benchmark:
        f"{RESULTS}/logs/choose_domains.tsv"
    params:
        config=domains_config,
        results=results_folder,
    threads: 1
    resources:
        **{**TRAINING, "execution": domains_execution},
        runtime=domains_minutes,
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/choose_domains.py"
        " --config {params.config:q} --results {params.results}"
        " --execution {resources.execution:q} --out {output.table} > {log} 2>&1"

# The ways to use the final models, exported and compared: routed, averaged, as a mixture of experts.
# A base may be of an architecture of which no mixture of experts is made.
DELIVERED = ["routed", "average", "average_uniform", *([] if EXPERIMENT.base else ["moe"])]
DELIVERY = f"{RESULTS}/delivery"


rule delivery:
    input:
        tables=expand(
            rules.final_strategy.output.losses,
            size=EXPERIMENT.final.size,
            budget=EXPERIMENT.final.budget_tokens,
            seed=EXPERIMENT.final.seeds[0],
            strategy=[
                OPTIMAL,
                *(name for name in (JOINT, NO_SPLIT, MIXTURE) if name in STRATEGIES),
            ],
        ),
        router=rules.prepare_corpus.output.router,
        questions=rules.benchmark_items.output.questions,
        tasks=rules.benchmark.input.tasks,
        code=package_code("delivery"),
    output:
        table=f"{DELIVERY}/comparison.csv",
        lines=f"{DELIVERY}/lines.csv",
        figure=f"{DELIVERY}/comparison.svg",
        picture=f"{DELIVERY}/comparison.png",
        folders=[directory(f"{DELIVERY}/{kind}") for kind in DELIVERED],
    log:
        f"{RESULTS}/logs/delivery.log",
    benchmark:
        f"{RESULTS}/logs/delivery.tsv"
    params:
        config=benchmark_config,
        final=delivered_models,
        folder=items_folder,
    threads: 1
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/delivery.py"
        " --final {params.final} --config {params.config:q} --items {params.folder}"
        " --out {output.table} > {log} 2>&1"

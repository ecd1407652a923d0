# The gain by size and budget. A cell is a size and a budget, and has its own plan. Its final models are
# stored beside those of `train_final`, and training that they share is done once.


use rule choose_split as choose_split_at with:
    output:
        plan=f"{RESULTS}/split/{{size}}/{{budget}}/plan.json",
    log:
        f"{RESULTS}/logs/split/{{size}}-{{budget}}.log",
    benchmark:
        f"{RESULTS}/logs/split/{{size}}-{{budget}}.tsv"


use rule benchmark as benchmark_at with:
    input:
        tables=expand(f"{FINAL}/{{strategy}}/losses.csv", strategy=STRATEGIES, allow_missing=True),
        router=rules.prepare_corpus.output.router,
        questions=rules.benchmark_items.output.questions,
        tasks=list(map(str, sorted(Path(TASKS).glob("*.yaml")))),
        code=package_code("zero_shot"),
    output:
        table=f"{FINAL}/benchmarks.csv",
        gains=f"{FINAL}/benchmark_gains.csv",
        routes=f"{FINAL}/benchmark_routes.csv",
        page=f"{FINAL}/benchmarks.md",
        run=f"{FINAL}/benchmark_run.json",
    log:
        f"{RESULTS}/logs/benchmark/{{size}}-{{budget}}-seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/logs/benchmark/{{size}}-{{budget}}-seed{{seed}}.tsv"


rule compare:
    input:
        fit=rules.fit_law.output.fit,
        plans=[plan_file(*cell.split("/")) for cell in CELLS],
        tables=[compared(f"{strategy}/losses.csv") for strategy in STRATEGIES],
        gains=compared("benchmark_gains.csv"),
        code=[
            f"{PACKAGE}/stages/compare.py",
            f"{PACKAGE}/report/compare.py",
            f"{PACKAGE}/report/figures_compare.py",
        ],
    output:
        table=f"{RESULTS}/compare/gains.csv",
        page=f"{RESULTS}/compare/gains.md",
        figure=f"{RESULTS}/compare/gains.svg",
        picture=f"{RESULTS}/compare/gains.png",
    log:
        f"{RESULTS}/logs/compare.log",
    benchmark:
        f"{RESULTS}/logs/compare.tsv"
    params:
        results=results_folder,
        cells=" ".join(CELLS),
        seeds=" ".join(map(str, EXPERIMENT.compare.seeds)),
    threads: 1
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/compare.py"
        " --results {params.results} --fit {input.fit}"
        " --cells {params.cells} --plans {input.plans} --seeds {params.seeds}"
        " --out {output.table} 2> {log}"

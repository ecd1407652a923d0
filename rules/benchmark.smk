# Zero-shot tasks of the specialists, routed and as an ensemble.


rule benchmark_items:
    input:
        cards=rules.prepare_corpus.output.cards,
        tokenizer=rules.train_tokenizer.output.tokenizer,
        code=package_code("zero_shot"),
    output:
        questions=LOCAL_ITEMS,
        counts=f"{RESULTS}/benchmarks/items/items.json",
    log:
        f"{RESULTS}/logs/benchmark_items.log",
    benchmark:
        f"{RESULTS}/logs/benchmark_items.tsv"
    params:
        tasks=local_tasks,
        cap=EXPERIMENT.benchmarks.items,
        words=EXPERIMENT.corpus.cleaning.benchmark_words,
        context=EXPERIMENT.model.context,
        seed=EXPERIMENT.corpus.seed,
        domains=[GENERAL, *DOMAINS],
        corpus=corpus_folder,
        tokenizer=tokenizer_folder,
        out=items_folder,
    threads: 1
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/benchmark_items.py"
        " --tasks {params.tasks} --cap {params.cap}"
        " --words {params.words} --context {params.context} --seed {params.seed}"
        " --corpus {params.corpus} --domains {params.domains} --tokenizer {params.tokenizer}"
        " --out {params.out} 2> {log}"


rule benchmark:
    input:
        tables=rules.train_final.input.tables,
        router=rules.prepare_corpus.output.router,
        questions=rules.benchmark_items.output.questions,
        tasks=list(map(str, sorted(Path(TASKS).glob("*.yaml")))),
        code=package_code("zero_shot"),
    output:
        table=f"{RESULTS}/benchmarks.csv",
        gains=f"{RESULTS}/benchmark_gains.csv",
        routes=f"{RESULTS}/benchmark_routes.csv",
        page=f"{RESULTS}/benchmarks.md",
        run=f"{RESULTS}/benchmark_run.json",
    log:
        f"{RESULTS}/logs/benchmark.log",
    benchmark:
        f"{RESULTS}/logs/benchmark.tsv"
    params:
        config=benchmark_config,
        results=results_folder,
        folder=items_folder,
    threads: 1
    resources:
        **INFERENCE,
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/benchmark.py"
        " --config {params.config:q} --tables {input.tables}"
        " --results {params.results} --items {params.folder} --out {output.table}"
        " --execution {resources.execution:q} 2> {log}"

# The report: a page, figures and a summary.

REPORT = Path(PACKAGE, "report")
CAPTIONS = sorted(REPORT.glob("captions/*.rst"))


rule report:
    input:
        losses=rules.evaluate.output.losses,
        cost=rules.evaluate.output.cost,
        fit=rules.fit_law.output.fit,
        plan=rules.choose_split.output.plan,
        comparison=rules.train_final.output.comparison,
        benchmarks=rules.benchmark.output.table,
        code=[str(file) for file in sorted(REPORT.rglob("*.*")) if file.suffix != ".pyc"],
    output:
        page=f"{RESULTS}/report.html",
        plan_page=f"{RESULTS}/plan_page.html",
        summary=f"{RESULTS}/summary.txt",
        tasks=f"{RESULTS}/loss_to_task.csv",
        figures=[
            report(
                f"{RESULTS}/figures/{caption.stem}.svg",
                caption=str(caption) if HOME else f"../{caption}",
                category="Figures",
                labels={"figure": caption.stem.replace("_", " ")},
            )
            for caption in CAPTIONS
        ],
        pictures=[f"{RESULTS}/figures/{caption.stem}.png" for caption in CAPTIONS],
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/logs/report.tsv"
    params:
        results=results_folder,
    threads: 1
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/report.py"
        " --results {params.results} --out {output.page}"
        " > {output.summary} 2> {log}"

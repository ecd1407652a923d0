# What people look at.


rule report:
    input:
        comparison=rules.train_final.output.comparison,
    output:
        page=f"{RESULTS}/report.html",
    shell:
        "cp {input.comparison} {output.page}"

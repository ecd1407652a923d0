# splitlaw: corpora in; a grid of small models; a law; the optimal split; the proof.
# Every stage is a target of its own: snakemake fit_law, snakemake train_final, ...


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/corpus.smk"
include: "rules/grid.smk"
include: "rules/law.smk"
include: "rules/final.smk"
include: "rules/benchmark.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        rules.report.output.page,

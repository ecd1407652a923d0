# From corpora to a grid of small models, a scaling law, the optimal split, and models that test it.
# Every stage is a target: snakemake fit_law, snakemake train_final, ...

import os


configfile: "config.yaml" if os.path.exists("config.yaml") else f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/session.smk"
include: "rules/cost.smk"
include: "rules/corpus.smk"
include: "rules/learning_rate.smk"
include: "rules/grid.smk"
include: "rules/law.smk"
include: "rules/rounds.smk"
include: "rules/final.smk"
include: "rules/benchmark.smk"
include: "rules/report.smk"
include: "rules/provenance.smk"
include: "rules/compare.smk"
include: "rules/frontier.smk"
include: "rules/delivery.smk"
include: "rules/scarcity.smk"
include: "rules/domains.smk"
include: "rules/new_experiment.smk"


rule all:
    default_target: True
    input:  # by name, so that a deleted file and all that depends on it are made again
        rules.prepare_corpus.output,
        rules.evaluate.output,
        rules.fit_law.output,
        rules.choose_split.output,
        rules.train_final.output,
        rules.benchmark.output,
        rules.report.output.page,

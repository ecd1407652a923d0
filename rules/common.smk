# What the rules share: the checked configuration, and the part of it that each job depends on.

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from splitlaw.experiment.identity import (
    benchmark_json,
    corpus_json,
    execution_json,
    forecast_json,
    grid_json,
    planned_json,
    tokenizer_json,
)
from splitlaw.experiment.config import REQUIRED, ExperimentConfig
from splitlaw.workflow import terminal
from splitlaw.corpus.sources.availability import check_sources_exist, files_digest
from splitlaw.common.errors import UserError, exit_status
from splitlaw.stages.text_folder import plain
from splitlaw.experiment.lineage import GENERAL

# The folder that `new_experiment` makes a configuration for; no part of an experiment.
TEXT = str(config.pop("text", ""))


def read_experiment():
    """The configuration; a mistake in it ends in one line and exit status 2, before any planning.

    A --configfile that has every section is the configuration; one with some of them changes
    config.yaml.
    """
    read = []

    def action():
        files = [os.path.relpath(file) for file in workflow.config_settings.configfiles]
        given = {
            key: part
            for key, part in workflow.config_settings.overwrite_config.items()
            if key != "text"
        }
        if all(key in given for key in REQUIRED):
            config.clear()
            config.update(given)
        elif "config.yaml" not in files:
            files = ["config.yaml", *files]
        read.append(ExperimentConfig.read(config, where=" with ".join(files)))
        check_sources_exist(read[0].corpus)

    status = exit_status(action)
    if status:
        sys.stderr.flush()
        os._exit(status)
    return read[0]


EXPERIMENT = read_experiment()

RESULTS = f"results/{EXPERIMENT.experiment}"
DOMAINS = list(EXPERIMENT.domain_names)
SIZES = list(EXPERIMENT.sizes)
from splitlaw.experiment.strategies import SCRATCH, STRATEGIES

FINAL = f"{RESULTS}/final/{{size}}/{{budget}}/seed{{seed}}"
BUDGET = EXPERIMENT.final.budget_tokens
PACKAGE = "workflow_scripts/splitlaw"
COMPARE = EXPERIMENT.compare
CELLS = expand("{size}/{budget}", size=COMPARE.sizes, budget=COMPARE.budgets)
LOCAL_TASKS = [task for task in EXPERIMENT.benchmarks.tasks if task.startswith("local_")]
LOCAL_ITEMS = [f"{RESULTS}/benchmarks/items/{task}.jsonl" for task in LOCAL_TASKS]


wildcard_constraints:
    size="|".join(SIZES),
    domain="|".join([GENERAL, *DOMAINS]),
    strategy="|".join(STRATEGIES),
    seed=r"\d+",
    budget=r"\d+",


def job_work(name, wildcards):
    """What a job costs where the mean job of its kind costs 1, by the FLOPs of the grid's sizes."""
    if name not in ("pretrain_size", "specialize_domain"):
        return 1.0
    flops = {size: EXPERIMENT.shape_of(size).flops_per_token for size in SIZES}
    return flops[wildcards["size"]] * len(flops) / sum(flops.values())


shown = terminal.follow(workflow, results=Path(RESULTS), work=job_work)


def where_to_look():
    """Print what the last stage of a successful run found, and the files that it wrote."""
    terminal.print_findings(shown, Path(RESULTS))


def package_code(part):
    """The modules of a part of the package, which rules compare by content."""
    return [str(file) for file in sorted(Path(PACKAGE, part).rglob("*.py"))]


def results_folder(wildcards):
    return RESULTS


def corpus_folder(wildcards):
    return f"{RESULTS}/corpus"


def needed(wildcards):
    """Tokens that the grid asks of a domain; a check, never a reason to run again."""
    return EXPERIMENT.needed_tokens(wildcards.domain)


def tokenizer_folder(wildcards):
    return f"{RESULTS}/tokenizer"


def tokens_folder(wildcards):
    return f"{RESULTS}/tokens/{wildcards.domain}"


def text_config(wildcards):
    """What the corpus depends on: the configuration, and which files of text there are."""
    return corpus_json(EXPERIMENT, files_digest(EXPERIMENT.corpus))


def tokenizer_config(wildcards):
    return tokenizer_json(EXPERIMENT)


def job_config(wildcards):
    return grid_json(EXPERIMENT, wildcards.size, int(wildcards.seed))


def final_config(wildcards):
    return planned_json(EXPERIMENT, wildcards.size, "final")


def frontier_config(wildcards):
    return planned_json(EXPERIMENT, wildcards.size, "frontier")


def planned_shape(wildcards):
    """The size that is planned for: the final one, or one of `compare`."""
    return EXPERIMENT.shape_of(wildcards.get("size", EXPERIMENT.final.size))


def planned_params(wildcards):
    return planned_shape(wildcards).params


def planned_flops_per_token(wildcards):
    return planned_shape(wildcards).flops_per_token


def plan_flops(wildcards):
    """The budget in FLOPs: its tokens at the size's FLOPs per token."""
    return int(wildcards.get("budget", BUDGET)) * planned_flops_per_token(wildcards)


def plan_file(size, budget):
    """The plan of a size and budget: the main one, or one of `compare`."""
    if (size, int(budget)) == (EXPERIMENT.final.size, BUDGET):
        return f"{RESULTS}/split/plan.json"
    return f"{RESULTS}/split/{size}/{budget}/plan.json"


def plan_of(wildcards):
    """The plan that final models follow."""
    return plan_file(wildcards.size, wildcards.budget)


def execution(wildcards):
    return execution_json(EXPERIMENT, wildcards.get("size"))


def trained_domains(wildcards):
    """The token files that a branch reads."""
    names = [GENERAL, *DOMAINS] if wildcards.domain == GENERAL else [GENERAL, wildcards.domain]
    return expand(f"{RESULTS}/tokens/{{domain}}/tokens.json", domain=names)


def evaluated_domains(wildcards):
    """What a run is evaluated on besides general: its own domain, an unsplit run on all."""
    return ",".join(DOMAINS if wildcards.domain == GENERAL else [wildcards.domain])


def local_tasks(wildcards):
    return " ".join(LOCAL_TASKS)


def items_folder(wildcards):
    return f"{RESULTS}/benchmarks/items"


def benchmark_config(wildcards):
    return benchmark_json(EXPERIMENT)


def cost_config(wildcards):
    return forecast_json(EXPERIMENT)


def shared_trunk(wildcards):
    """The final trunk, where the strategy has general tokens."""
    return [] if wildcards.strategy == SCRATCH else f"{FINAL}/trunk.json"


def final_tables(seeds):
    """The strategies' tables of the final size and budget."""
    return expand(
        f"{FINAL}/{{strategy}}/losses.csv",
        size=EXPERIMENT.final.size,
        budget=BUDGET,
        seed=seeds,
        strategy=STRATEGIES,
    )


def compared(file):
    """A file of the final models, in every cell and seed."""
    return expand(f"{RESULTS}/final/{{cell}}/seed{{seed}}/{file}", cell=CELLS, seed=COMPARE.seeds)

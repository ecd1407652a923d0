# What the rules share: the checked configuration, and the part of it that each job depends on.

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from splitlaw.experiment import config as experiment
from splitlaw.workflow import terminal
from splitlaw.corpus.sources.availability import check_sources_exist, files_digest
from splitlaw.common.errors import UserError, exit_status
from splitlaw.common.files import canonical_json
from splitlaw.stages.new_experiment import plain
from splitlaw.experiment.lineage import GENERAL

# The folder that `new_experiment` makes a configuration for; no part of an experiment.
TEXT = str(config.pop("text", ""))


def check():
    """Refuse a bad configuration in one line and exit status 2, before anything is planned.

    A --configfile that has every section is the configuration; one with some of them changes
    config.yaml.
    """

    def action():
        given = {
            key: part
            for key, part in workflow.config_settings.overwrite_config.items()
            if key != "text"
        }
        if all(key in given for key in experiment.REQUIRED):
            config.clear()
            config.update(given)
        check_sources_exist(experiment.check_config(config).corpus)

    status = exit_status(action)
    if status:
        sys.stderr.flush()
        os._exit(status)


check()

RESULTS = f"results/{config['experiment']}"
DOMAINS = experiment.domain_names(config)
SIZES = list(config["sizes"])
from splitlaw.experiment.strategies import SCRATCH, STRATEGIES

FINAL = f"{RESULTS}/final/{{size}}/{{budget}}/seed{{seed}}"
BUDGET = int(config["final"]["budget_tokens"])
PACKAGE = "workflow_scripts/splitlaw"
COMPARE = config.get(
    "compare",
    {"sizes": [config["final"]["size"]], "budgets": [BUDGET], "seeds": config["final"]["seeds"]},
)
FRONTIER = {
    "size": config["final"]["size"],
    "budget_tokens": BUDGET,
    "fractions": [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9],
    "seeds": config["final"]["seeds"],
    **config.get("frontier", {}),
}
SWEEP = experiment.learning_rate_sweep(config)
CELLS = expand("{size}/{budget}", size=COMPARE["sizes"], budget=COMPARE["budgets"])
LOCAL_TASKS = [task for task in config["benchmarks"]["tasks"] if task.startswith("local_")]
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
    flops = {size: experiment.shape_of(config, size).flops_per_token for size in SIZES}
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
    return experiment.needed_tokens(config, wildcards.domain)


def tokenizer_folder(wildcards):
    return f"{RESULTS}/tokenizer"


def tokens_folder(wildcards):
    return f"{RESULTS}/tokens/{wildcards.domain}"


def text_config(wildcards):
    """What the corpus depends on: the configuration, and which files of text there are."""
    files = files_digest(experiment.check_config(config).corpus)
    parts = {key: config[key] for key in ("corpus", "evaluation")}
    return canonical_json({**parts, "files": files} if files else parts)


def tokenizer_config(wildcards):
    return canonical_json({key: config[key] for key in ("tokenizer", "evaluation")})


def job_of(size, **runs):
    """All that decides what the given runs of a size are."""
    return canonical_json(
        {
            "shape": vars(experiment.shape_of(config, size)),
            "training": config["training"],
            "test_tokens": config["evaluation"]["tokens"],
            **runs,
        }
    )


def job_config(wildcards):
    """The grid of a size and seed."""
    grid = experiment.grid_of(config, wildcards.size, int(wildcards.seed))
    split = "holdout" if wildcards.size in config["holdout_sizes"] else "fit"
    return job_of(wildcards.size, split=split, cells=grid.cells, unsplit=grid.unsplit)


def final_config(wildcards):
    """The final models, which do not depend on the grid but through the plan."""
    return job_of(wildcards.size, split="final", cells=[], unsplit=[])


def frontier_config(wildcards):
    return job_of(wildcards.size, split="frontier", cells=[], unsplit=[])


def planned_shape(wildcards):
    """The size that is planned for: the final one, or one of `compare`."""
    return experiment.shape_of(config, wildcards.get("size", config["final"]["size"]))


def planned_params(wildcards):
    return planned_shape(wildcards).params


def planned_flops_per_token(wildcards):
    return planned_shape(wildcards).flops_per_token


def plan_flops(wildcards):
    """The budget in FLOPs: its tokens at the size's FLOPs per token."""
    return int(wildcards.get("budget", BUDGET)) * planned_flops_per_token(wildcards)


def plan_file(size, budget):
    """The plan of a size and budget: the main one, or one of `compare`."""
    if (size, int(budget)) == (config["final"]["size"], BUDGET):
        return f"{RESULTS}/split/plan.json"
    return f"{RESULTS}/split/{size}/{budget}/plan.json"


def plan_of(wildcards):
    """The plan that final models follow."""
    return plan_file(wildcards.size, wildcards.budget)


def execution(wildcards):
    """Where and how to compute; never a reason to run again."""
    known = experiment.execution_of(config, getattr(wildcards, "size", None))
    known.pop("flops_per_second", None)  # for the forecast alone
    return canonical_json(known)


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
    """What the systems are asked, and how long the models and documents are."""
    return canonical_json(
        {
            "tasks": config["benchmarks"]["tasks"],
            "context": config["model"]["context"],
            "test_tokens": config["evaluation"]["tokens"],
            "characters": config["evaluation"]["characters_per_document"],
        }
    )


def cost_config(wildcards):
    """What a forecast and the measurement behind it depend on."""
    parts = "sizes holdout_sizes model tokenizer grid training evaluation final execution"
    named = {key: config[key] for key in parts.split() if key in config}
    return canonical_json({**named, "corpus": {"domains": dict.fromkeys(DOMAINS)}})


def shared_trunk(wildcards):
    """The final trunk, where the strategy has general tokens."""
    return [] if wildcards.strategy == SCRATCH else f"{FINAL}/trunk.json"


def final_tables(seeds):
    """The strategies' tables of the final size and budget."""
    return expand(
        f"{FINAL}/{{strategy}}/losses.csv",
        size=config["final"]["size"],
        budget=BUDGET,
        seed=seeds,
        strategy=STRATEGIES,
    )


def compared(file):
    """A file of the final models, in every cell and seed."""
    return expand(
        f"{RESULTS}/final/{{cell}}/seed{{seed}}/{file}", cell=CELLS, seed=COMPARE["seeds"]
    )

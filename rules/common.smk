# Definitions that the rules share: the configuration, and the files and parameters of jobs.

import os
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from splitlaw.corpus.sources.availability import files_digest
from splitlaw.experiment import identity, rounds
from splitlaw.experiment.base_settings import planned_replay
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import JOINT, MIXTURE, NO_SPLIT, OPTIMAL, SCRATCH, SINGLE
from splitlaw.scheduling import resources
from splitlaw.stages.text_folder import plain
from splitlaw.tokens.existing import tokenizer_digest
from splitlaw.workflow import startup, terminal

# The folder of text for `new_experiment`; not a key of the configuration.
TEXT = startup.text_folder(config.pop("text", ""), sys.argv)


def read_experiment():
    settings = workflow.config_settings
    files = [os.path.relpath(file) for file in settings.configfiles]
    unlocking = "--unlock" in sys.argv
    return startup.read_experiment(config, settings.overwrite_config, files, only_keys=unlocking)


EXPERIMENT = startup.value_or_exit(read_experiment, leave=os._exit)
RESULTS = f"results/{EXPERIMENT.experiment}"
DOMAINS = list(EXPERIMENT.domain_names)
STRATEGIES = EXPERIMENT.strategies
SIZES = list(EXPERIMENT.sizes)
SEEDS = list(EXPERIMENT.grid.all_seeds)
SHARDS = EXPERIMENT.corpus.shards
ADAPTIVE = EXPERIMENT.grid.adaptive is not None
# Sizes whose whole grid is trained: all of them unless the grid is adaptive, then the held-out ones.
WHOLE = [size for size in SIZES if not ADAPTIVE or EXPERIMENT.split_of(size) == "holdout"]
ROUNDS = f"{RESULTS}/rounds"
FINAL = f"{RESULTS}/final/{{size}}/{{budget}}/seed{{seed}}"
# Of the target `scarcity`: a plan, and the final models of a seed, for a number of unique tokens.
SCARCE_CELL = f"{RESULTS}/scarcity/{{unique}}/{{size}}/{{budget}}"
SCARCE = f"{SCARCE_CELL}/seed{{seed}}"
ALL_TEXT = "all"
AMOUNTS = [*EXPERIMENT.scarcity.unique_tokens, ALL_TEXT]

# From another folder (snakemake -s, --directory), results are written there. In the checkout, paths
# are relative: absolute ones would be other inputs, and every job would run again.
HOME = "" if Path(workflow.basedir).samefile(".") else f"{workflow.basedir}/"
PACKAGE = f"{HOME}workflow_scripts/splitlaw"
SCRIPTS = shlex.quote(f"{HOME}workflow_scripts").replace("{", "{{").replace("}", "}}")
TASKS = f"{HOME}tasks"
CELLS = expand("{size}/{budget}", size=EXPERIMENT.compare.sizes, budget=EXPERIMENT.compare.budgets)
LOCAL_TASKS = [task for task in EXPERIMENT.benchmarks.tasks if task.startswith("local_")]
LOCAL_ITEMS = [f"{RESULTS}/benchmarks/items/{task}.jsonl" for task in LOCAL_TASKS]


wildcard_constraints:
    size="|".join(SIZES),
    domain="|".join([GENERAL, *DOMAINS]),
    strategy="|".join(STRATEGIES),
    seed=r"\d+",
    budget=r"\d+",
    round=r"\d+",
    shard=r"\d+",
    unique=rf"\d+|{ALL_TEXT}",


def job_work(name, wildcards):
    """Work of a job relative to the mean over the jobs of its rule."""
    if name in ("pretrain_size", "specialize_domain", "pretrain_round", "specialize_round"):
        return resources.relative_flops(EXPERIMENT, wildcards["size"])
    return 1.0


shown = terminal.follow(workflow, results=Path(RESULTS), work=job_work)


def package_code(part):
    """The modules of a part of the package; Snakemake compares them by content."""
    return [str(file) for file in sorted(Path(PACKAGE, part).rglob("*.py"))]


def text_folder(wildcards):
    return TEXT  # as a parameter, it would be taken for a pattern where it has braces


def results_folder(wildcards):
    return RESULTS


def corpus_folder(wildcards):
    return f"{RESULTS}/corpus"


def required_tokens(wildcards):
    """Tokens that the grid requires of a domain; a check that never runs a job again."""
    return EXPERIMENT.required_tokens(wildcards.domain)


def tokenizer_folder(wildcards):
    return f"{RESULTS}/tokenizer"


def tokens_folder(wildcards):
    return f"{RESULTS}/tokens/{wildcards.domain}"


def corpus_config(wildcards):
    return identity.corpus_json(EXPERIMENT, files_digest(EXPERIMENT.corpus))


SHARDS_FOLDER = f"{RESULTS}/corpus_shards"  # files that the jobs of a preparation in shards share


def text_group(wildcards):
    """The jobs on text are one job of the scheduler, unless shards make them several."""
    return "text" if SHARDS == 1 else None


def written_shards(wildcards):
    """The files that say which files of the corpus the shards have written."""
    shards = range(SHARDS) if SHARDS > 1 else []
    return [f"{SHARDS_FOLDER}/written/{shard}.json" for shard in shards]


def encoded_in_shards(wildcards):
    """Whether the text of a domain is encoded in shards: only general text is large enough."""
    return SHARDS > 1 and wildcards.domain == GENERAL


def encoded_shards(wildcards):
    """The encoded text of the shards of a domain."""
    shards = range(SHARDS) if encoded_in_shards(wildcards) else []
    return [f"{SHARDS_FOLDER}/tokens/{shard}" for shard in shards]


def step_options(step, folder):
    """The options of one step of a work in shards."""
    return f"--step {step} --work {folder} --shards {SHARDS}"


def prepare_step(wildcards):
    """What is left of the preparation once its shards are done; all of it without shards."""
    return step_options("complete", SHARDS_FOLDER) if SHARDS > 1 else ""


def join_step(wildcards):
    """What is left of encoding a domain once its shards are done; all of it without shards."""
    folder = f"{SHARDS_FOLDER}/tokens"
    return step_options("join", folder) if encoded_in_shards(wildcards) else ""


def tokenizer_config(wildcards):
    return identity.tokenizer_json(EXPERIMENT, tokenizer_digest(EXPERIMENT.tokenizer))


def grid_config(wildcards):
    return identity.grid_json(EXPERIMENT, wildcards.size, int(wildcards.seed))


def rounds_config(wildcards):
    return identity.rounds_json(EXPERIMENT)


def round_runs(number, file):
    """The runs of a round; `file` is next_runs.csv of the round before."""
    return rounds.read_runs(Path(file), EXPERIMENT) if number else rounds.start_runs(EXPERIMENT)


def runs_of_job(wildcards):
    """The runs of a job's round, which are known where the job exists."""
    number = int(wildcards.round)
    return round_runs(number, f"{ROUNDS}/{number - 1}/next_runs.csv")


def round_trunk_config(wildcards):
    size, seed = wildcards.size, int(wildcards.seed)
    return rounds.trunk_json(EXPERIMENT, runs_of_job(wildcards), size=size, seed=seed)


def round_branch_config(wildcards):
    size, seed, domain = wildcards.size, int(wildcards.seed), wildcards.domain
    chosen = runs_of_job(wildcards)
    return rounds.branch_json(EXPERIMENT, chosen, size=size, seed=seed, domain=domain)


def chosen_runs(number):
    """The runs of a round, once the round before has ended; none after the last round."""
    ended = checkpoints.end_round.get(round=number - 1).output.runs if number else None
    return round_runs(number, ended)


def last_round():
    """The number of the last round, once it has ended."""
    number = 0
    while chosen_runs(number + 1):
        number += 1
    return number


def trained_in(last, file):
    """A file of every job of the grid up to a round; `file` is its path with {size} and so on."""
    whole = expand(f"{RESULTS}/runs/{file}", size=WHOLE, seed=SEEDS, domain=[GENERAL, *DOMAINS])
    files = [
        f"{ROUNDS}/{number}/runs/{file}".format(size=r.size, seed=r.seed, domain=r.run.domain)
        for number in range(last + 1)
        for r in chosen_runs(number)
    ]
    return list(dict.fromkeys(whole + files))


def grid_trunks(wildcards):
    """The trunks of the grid; those of an adaptive one are known after its last round."""
    return trained_in(last_round() if ADAPTIVE else -1, "{size}/seed{seed}/trunk.json")


def grid_tables(wildcards):
    """The loss tables of the grid; those of an adaptive one are known after its last round."""
    last = last_round() if ADAPTIVE else -1
    return trained_in(last, "{size}/seed{seed}/{domain}/losses.csv")


def round_tables(wildcards):
    """The loss tables of a round and those before."""
    return trained_in(int(wildcards.round), "{size}/seed{seed}/{domain}/losses.csv")


def remaining_pool(wildcards):
    """The runs of an adaptive grid that are not trained, unless there are none."""
    file = checkpoints.end_round.get(round=last_round()).output.pool if ADAPTIVE else None
    return file if file and len(Path(file).read_text().splitlines()) > 1 else []


def pool_option(wildcards, input):
    return f"--pool {input.pool}" if input.pool else ""


# Options of a base follow the value of another option: a parameter more would run the jobs of all
# results without a base again.


def batch_option(wildcards):
    """The tokens of a step, followed by the option with those of the base where they are known."""
    batch, base = EXPERIMENT.training.batch_tokens, EXPERIMENT.base_tokens
    return f"{batch} --base-tokens {base}" if base else batch


def law_seed_option(wildcards):
    """The seed of the law's draws, followed by options of a base and of the general loss."""
    seed, base = EXPERIMENT.law.seed, EXPERIMENT.base
    if base is None and not any(EXPERIMENT.grid.replay):
        return seed
    tokens = f" --base-tokens {base.pretrain_tokens}" if base else ""
    return f"{seed}{tokens} --cooldown-fraction {EXPERIMENT.training.cooldown_fraction}"


def trunk_option(wildcards):
    """The kind of trunk, and the options of replay, of the limit on general loss and of the base."""
    trunk, limit = EXPERIMENT.final.trunk, EXPERIMENT.final.max_general_loss_rise
    planned = planned_replay(EXPERIMENT.final, DOMAINS) if EXPERIMENT.plans_replay else {}
    shares = [shlex.quote(f"{domain}={share}") for domain, share in planned.items()]
    options = f"{trunk} --replay {' '.join(shares)}" if shares else trunk
    if limit is not None:
        confidence = EXPERIMENT.final.limit_confidence
        options += f" --max-general-loss-rise {limit} --limit-confidence {confidence}"
    if EXPERIMENT.base is None:
        return options
    # The law is fitted to branches of this run, so its file exists.
    file = f"{RESULTS}/runs/base/seed{EXPERIMENT.grid.seeds[0]}/trunk.json"
    return f"{options} --base-general-loss {file}"


def final_config(wildcards):
    return identity.planned_json(EXPERIMENT, wildcards.size, "final")


def frontier_config(wildcards):
    return identity.planned_json(EXPERIMENT, wildcards.size, "frontier")


def domains_config(wildcards):
    return identity.domains_json(EXPERIMENT)


def benchmark_config(wildcards):
    return identity.benchmark_json(EXPERIMENT)


def forecast_config(wildcards):
    return identity.forecast_json(EXPERIMENT)


def planned_shape(wildcards):
    """The shape of the size to plan for: the final one, or one of `compare`."""
    return EXPERIMENT.shape_of(wildcards.get("size", EXPERIMENT.final.size))


def planned_params(wildcards):
    return planned_shape(wildcards).params


def planned_flops_per_token(wildcards):
    return planned_shape(wildcards).flops_per_token


def plan_flops(wildcards):
    """The budget in FLOPs: its tokens times the FLOPs per token of the size."""
    budget = int(wildcards.get("budget", EXPERIMENT.final.budget_tokens))
    return budget * planned_flops_per_token(wildcards)


def plan_file(size, budget):
    """The plan of a size and budget: that of `final`, or one of `compare`."""
    if (size, int(budget)) == (EXPERIMENT.final.size, EXPERIMENT.final.budget_tokens):
        return f"{RESULTS}/split/plan.json"
    return f"{RESULTS}/split/{size}/{budget}/plan.json"


def plan_of(wildcards):
    """The plan that final models follow."""
    if wildcards.get("unique"):
        return f"{SCARCE_CELL}/plan.json".format(**wildcards)
    return plan_file(wildcards.size, wildcards.budget)


def unique_tokens(wildcards):
    """The option of a plan with the tokens that differ in each domain, where they are limited."""
    limits = EXPERIMENT.final.limits(DOMAINS)
    if wildcards.get("unique"):
        limited = DOMAINS if wildcards.unique != ALL_TEXT else []
        limits = dict.fromkeys(limited, wildcards.unique)
    given = " ".join(shlex.quote(f"{domain}={number}") for domain, number in limits.items())
    return f"--unique-tokens {given}" if given else ""


def trained_domains(wildcards):
    """Token files of the domains that a run reads or is evaluated on."""
    names = [GENERAL, *DOMAINS] if wildcards.domain == GENERAL else [GENERAL, wildcards.domain]
    return expand(f"{RESULTS}/tokens/{{domain}}/tokens.json", domain=names)


def evaluated_domains(wildcards):
    """Domains that a run is evaluated on, except general: its own, or all for an unsplit run."""
    return ",".join(DOMAINS if wildcards.domain == GENERAL else [wildcards.domain])


def local_tasks(wildcards):
    return " ".join(LOCAL_TASKS)


def items_folder(wildcards):
    return f"{RESULTS}/benchmarks/items"


def trunks_of(wildcards):
    """The final trunks that a strategy's models begin from, if it trains general text first."""
    if wildcards.strategy in (SCRATCH, *SINGLE):
        return []
    folder = SCARCE if wildcards.get("unique") else FINAL
    if EXPERIMENT.final.trunk == "shared" or wildcards.strategy == NO_SPLIT:
        return f"{folder}/trunk.json"
    return expand(f"{folder}/trunks/{{domain}}.json", domain=DOMAINS, allow_missing=True)


def trunk_domain(wildcards):
    """The option of a job that trains the independent trunk of a domain."""
    return f"--domain {wildcards.domain}"


def final_tables(seeds):
    """The loss tables of every strategy at the final size and budget."""
    return expand(
        f"{FINAL}/{{strategy}}/losses.csv",
        size=EXPERIMENT.final.size,
        budget=EXPERIMENT.final.budget_tokens,
        seed=seeds,
        strategy=STRATEGIES,
    )


def delivered_models(wildcards):
    """The folder of the specialists to export."""
    final, seed = EXPERIMENT.final, EXPERIMENT.final.seeds[0]
    cell = f"{final.size}/{final.budget_tokens}/seed{seed}"
    return f"{RESULTS}/final/{cell}/{OPTIMAL}"


def compared(file):
    """A file of the final models, for every cell and seed of `compare`."""
    return expand(
        f"{RESULTS}/final/{{cell}}/seed{{seed}}/{file}", cell=CELLS, seed=EXPERIMENT.compare.seeds
    )


def scarce(file, unique, **others):
    """A file of every cell of `scarcity` with these numbers of unique tokens."""
    config = EXPERIMENT.scarcity
    cell = {"size": config.sizes, "budget": config.budget_tokens, "seed": config.seeds}
    return list(dict.fromkeys(expand(file, unique=unique, **cell, **others)))

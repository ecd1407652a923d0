# What the jobs ask of a scheduler. A profile says what the site has: see slurm/profile.yaml.

from functools import cache

from splitlaw.scheduling import resources as needs

CALIBRATION = f"{RESULTS}/calibration.json"
SMALL_SECONDS, TINY_SECONDS = 1800, 80  # of all runs of a size and seed


def offered(resources, name):
    """A value of the command line or the profile, or None where it has no such line."""
    value = resources[name] if resources and name in resources else None
    return getattr(value, "raw", None) or getattr(value, "value", value)


def site(name):
    """A line of the site's block: see slurm/profile.yaml."""
    return offered(workflow.resource_settings.default_resources, name)


def local_gpus():
    """GPUs of this machine that a local profile offers."""
    return int(offered(workflow.resource_settings.resources, "gpu") or 0)


MEASURED = needs.read_calibration(Path(CALIBRATION), config)


def processes(size):
    """Processes of a run, one a GPU."""
    return int(experiment.execution_of(config, size).get("processes", 1))


def on_gpu(size=None):
    """Whether a size is trained on GPUs here; without a size, whether models are asked there."""
    wanted = experiment.execution_of(config, size).get("device") != "cpu"
    return wanted and bool(site("gpu_partition") or local_gpus())


@cache
def pace(size):
    return needs.pace_of(config, size, MEASURED, gpu=on_gpu(size))


def seconds(size, work):
    return work.seconds(pace(size), config["training"]["batch_tokens"])


@cache
def training_seconds(size, part):
    """Expected seconds of a size's job on a domain, or of its trunk."""
    if part == "trunk":
        return seconds(size, needs.trunk_work(config, size, DOMAINS))
    return seconds(size, needs.branch_work(config, size, part, DOMAINS))


@cache
def final_work(size, budget, strategy):
    return needs.final_work(config, strategy, DOMAINS, size=size, budget=int(budget))


def runtime(wildcards, attempt):
    """Minutes of a training job, from the wildcards that its rule has."""
    names = dict(wildcards.items())
    if "budget" in names:
        work = final_work(names["size"], names["budget"], names.get("strategy", "trunk"))
        expected = seconds(names["size"], work)
    else:
        expected = training_seconds(names["size"], names.get("domain", "trunk"))
    return minutes_for(expected, attempt)


def minutes_for(expected, attempt):
    limit = float(site("max_runtime") or "inf")
    return needs.minutes(expected, attempt=attempt, limit=limit)


def steps_seconds(size, tokens, runs):
    """Expected seconds of one job that trains so many tokens and ends so many runs."""
    steps = round(tokens / config["training"]["batch_tokens"])
    return seconds(size, needs.Work(steps=steps, runs=runs, jobs=1))


def sweep_minutes(wildcards, attempt):
    tokens, runs = SWEEP["tokens"] * len(SWEEP["rates"]), len(SWEEP["rates"])
    return minutes_for(steps_seconds(wildcards.size, tokens, runs), attempt)


def frontier_minutes(wildcards, attempt):
    """Every fraction costs a budget at most: what they share is trained once."""
    count = len(FRONTIER["fractions"]) + 1
    tokens, runs = count * int(wildcards.budget), count * len(DOMAINS)
    return minutes_for(steps_seconds(wildcards.size, tokens, runs), attempt)


def memory(wildcards, attempt):
    return needs.memory_mb(pace(wildcards.size), attempt=attempt)


def largest_memory(wildcards, attempt):
    return max(needs.memory_mb(pace(size), attempt=attempt) for size in SIZES)


def calibration(wildcards):
    """The measured pace, unless a throughput is given."""
    return [] if config.get("execution", {}).get("flops_per_second") else CALIBRATION


def cost_config(wildcards):
    """What a forecast and the measurement behind it depend on."""
    parts = "sizes holdout_sizes model tokenizer grid training evaluation final execution"
    named = {key: config[key] for key in parts.split() if key in config}
    return canonical_json({**named, "corpus": {"domains": dict.fromkeys(DOMAINS)}})


def largest_size():
    """The size that takes the most processes: what fits it fits all."""
    return max(SIZES, key=processes)


def size_in(wildcards):
    return getattr(wildcards, "size", None) or largest_size()


def ranks(wildcards):
    """A thread a process: on a CPU more threads would round sums in another order."""
    return processes(size_in(wildcards))


def cpus(wildcards):
    """One CPU a process, and three more that feed a GPU."""
    size = size_in(wildcards)
    return processes(size) * (4 if on_gpu(size) else 1)


def gpu(wildcards):
    """GPUs of a machine without a scheduler."""
    size = size_in(wildcards)
    return processes(size) if on_gpu(size) and not site("gpu_partition") else None


def gres(wildcards):
    """GPUs of a cluster. Jobs of a group must agree on it and are given it once: they share it."""
    size = size_in(wildcards)
    if not on_gpu(size) or not site("gpu_partition"):
        return None
    kind = f":{site('gpu_type')}" if site("gpu_type") else ""
    return f"gpu{kind}:{processes(size)}"


def partition(wildcards):
    """Where models are trained."""
    on_cluster = on_gpu(size_in(wildcards)) and site("gpu_partition")
    return on_cluster or site("slurm_partition")


def one_gpu(wildcards):
    """For what asks models in one process."""
    return 1 if on_gpu() and not site("gpu_partition") else None


def one_gres(wildcards):
    kind = f":{site('gpu_type')}" if site("gpu_type") else ""
    return f"gpu{kind}:1" if on_gpu() and site("gpu_partition") else None


def model_partition(wildcards):
    return (on_gpu() and site("gpu_partition")) or site("slurm_partition")


def size_group(size, work):
    """Runs so short that the scheduler's own seconds would count share a job.

    Jobs of several sizes share one only where they are computed in the same way.
    """
    expected = seconds(size, work)
    if processes(size) > 1 or expected > SMALL_SECONDS:
        return None
    alike = size not in config.get("execution", {}).get("by_size", {})
    return "tiny" if expected < TINY_SECONDS and alike else "small"


@cache
def group_of(size, budget=None):
    """The group of a size's grid, or of its final models at a budget."""
    if budget is None:
        return size_group(size, needs.grid_work(config, size, DOMAINS))
    parts = [final_work(size, budget, strategy) for strategy in ["trunk", *STRATEGIES]]
    return size_group(size, sum(parts, needs.Work()))


def grid_group(wildcards):
    return group_of(wildcards.size)


def final_group(wildcards):
    return group_of(wildcards.size, wildcards.budget)

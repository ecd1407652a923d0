# What the jobs ask of a scheduler. A profile says what the site has: see slurm/profile.yaml.

from functools import cache

from splitlaw import needs

CALIBRATION = f"{RESULTS}/calibration.json"
EXECUTION = config.get("execution", {})
PROCESSES = int(EXECUTION.get("processes", 1))
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


ON_GPU = EXECUTION.get("device") != "cpu" and bool(site("gpu_partition") or local_gpus())
PACES = {
    size: needs.pace_of(config, size, needs.read_calibration(Path(CALIBRATION), config), gpu=ON_GPU)
    for size in SIZES
}


def seconds(size, work):
    return work.seconds(PACES[size], config["training"]["batch_tokens"]) / PROCESSES


@cache
def training_seconds(size, part):
    """Expected seconds of a size's job on a domain, or of its trunk."""
    if part == "trunk":
        return seconds(size, needs.trunk_work(config, size, DOMAINS))
    return seconds(size, needs.branch_work(config, size, part, DOMAINS))


@cache
def final_seconds(strategy):
    return seconds(config["final"]["size"], needs.final_work(config, strategy, DOMAINS))


def runtime(wildcards, attempt):
    """Minutes of a training job, from the wildcards that its rule has."""
    names = dict(wildcards.items())
    if "budget" in names:
        expected = final_seconds(names.get("strategy", "trunk"))
    else:
        expected = training_seconds(names["size"], names.get("domain", "trunk"))
    limit = float(site("max_runtime") or "inf")
    return needs.minutes(expected, attempt=attempt, limit=limit)


def memory(wildcards, attempt):
    return needs.memory_mb(PACES[wildcards.size], processes=PROCESSES, attempt=attempt)


def largest_memory(wildcards, attempt):
    pace = max(PACES.values(), key=lambda pace: pace.memory_mb)
    return needs.memory_mb(pace, processes=PROCESSES, attempt=attempt)


def cost_config(wildcards):
    """What a forecast and the measurement behind it depend on."""
    parts = "sizes holdout_sizes model tokenizer grid training evaluation final execution"
    named = {key: config[key] for key in parts.split() if key in config}
    return canonical_json({**named, "corpus": {"domains": dict.fromkeys(DOMAINS)}})


def cpus(wildcards):
    """One CPU a process, and three more that feed a GPU."""
    return PROCESSES * (4 if ON_GPU else 1)


def gpu(wildcards):
    """GPUs on one machine; on a cluster `gres` says it."""
    return PROCESSES if ON_GPU and not site("gpu_partition") else None


def gres(wildcards):
    """GPUs on a cluster. Jobs of a group must agree on it and are given it once: they share it."""
    if not ON_GPU or not site("gpu_partition"):
        return None
    kind = f":{site('gpu_type')}" if site("gpu_type") else ""
    return f"gpu{kind}:{PROCESSES}"


def partition(wildcards):
    """Where models are trained."""
    return site("gpu_partition") if ON_GPU and site("gpu_partition") else site("slurm_partition")


def size_group(size, work):
    """Runs so short that the scheduler's own seconds would count share a job."""
    expected = seconds(size, work)
    if PROCESSES > 1 or expected > SMALL_SECONDS:
        return None
    return "tiny" if expected < TINY_SECONDS else "small"


GRID_GROUPS = {size: size_group(size, needs.grid_work(config, size, DOMAINS)) for size in SIZES}
FINAL_GROUP = size_group(
    config["final"]["size"],
    sum(
        (needs.final_work(config, strategy, DOMAINS) for strategy in ["trunk", *STRATEGIES]),
        needs.Work(),
    ),
)


def grid_group(wildcards):
    return GRID_GROUPS[wildcards.size]


def final_group(wildcards):
    return FINAL_GROUP

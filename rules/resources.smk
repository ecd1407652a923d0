# Resources that jobs request from a scheduler. The profile describes the site: see slurm/profile.yaml.

from splitlaw.scheduling import devices, slurm
from splitlaw.scheduling.requests import JobRequests
from splitlaw.scheduling.throughput import read_calibration

CALIBRATION = f"{RESULTS}/calibration.json"


def profile_value(settings, name):
    """A value of the command line or the profile, or None where neither has it."""
    value = settings[name] if settings and name in settings else None
    return getattr(value, "raw", None) or getattr(value, "value", value)


def read_site():
    """The site that the profile describes."""
    settings = workflow.resource_settings
    of_each_job = settings.default_resources
    return devices.Site(
        partition=profile_value(of_each_job, "slurm_partition"),
        gpu_partition=profile_value(of_each_job, "gpu_partition"),
        gpu_type=profile_value(of_each_job, "gpu_type"),
        slurm_extra=profile_value(of_each_job, "slurm_extra"),
        max_minutes=slurm.read_max_runtime(profile_value(of_each_job, "max_runtime")),
        local_gpus=int(profile_value(settings.resources, "gpu") or 0),
    )


SITE = startup.value_or_exit(read_site, leave=os._exit)
REQUESTS = JobRequests(
    config=EXPERIMENT,
    site=SITE,
    calibration=read_calibration(Path(CALIBRATION), EXPERIMENT),
)


def execution(wildcards):
    size = wildcards.get("size")
    return identity.execution_json(EXPERIMENT, size, gpu=devices.uses_gpu(EXPERIMENT, SITE, size))


def training_devices(wildcards):
    """The devices for a size; for a job on all sizes, devices that suffice for each of them."""
    return devices.training_devices(EXPERIMENT, SITE, wildcards.get("size"))


def processes(wildcards):
    """Threads of a training job, one for each process: more would change the order of sums."""
    return training_devices(wildcards).processes


def cpus(wildcards):
    return training_devices(wildcards).cpus


def gpus(wildcards):
    return training_devices(wildcards).local_gpus


def gres(wildcards):
    return training_devices(wildcards).gres


def slurm_extra(wildcards):
    """The options of the profile, unless the GPUs require another one."""
    return training_devices(wildcards).slurm_extra or SITE.slurm_extra


def partition(wildcards):
    return training_devices(wildcards).partition


def inference_gpus(wildcards):
    return devices.inference_devices(EXPERIMENT, SITE).local_gpus


def inference_gres(wildcards):
    return devices.inference_devices(EXPERIMENT, SITE).gres


def inference_slurm_extra(wildcards):
    return devices.inference_devices(EXPERIMENT, SITE).slurm_extra or SITE.slurm_extra


def inference_partition(wildcards):
    return devices.inference_devices(EXPERIMENT, SITE).partition


def memory(wildcards, attempt):
    return REQUESTS.memory_mb(wildcards.get("size"), attempt=attempt)


def grid_minutes(wildcards, attempt):
    seconds = REQUESTS.grid_seconds(wildcards.size, wildcards.get("domain", resources.TRUNK))
    return REQUESTS.minutes(seconds, attempt=attempt)


def final_minutes(wildcards, attempt):
    strategy = wildcards.get("strategy", resources.TRUNK)
    seconds = REQUESTS.final_seconds(wildcards.size, int(wildcards.budget), strategy)
    return REQUESTS.minutes(seconds, attempt=attempt)


def sweep_minutes(wildcards, attempt):
    return REQUESTS.minutes(REQUESTS.sweep_seconds(wildcards.size), attempt=attempt)


def frontier_minutes(wildcards, attempt):
    seconds = REQUESTS.frontier_seconds(wildcards.size, int(wildcards.budget))
    return REQUESTS.minutes(seconds, attempt=attempt)


def domains_minutes(wildcards, attempt):
    return REQUESTS.minutes(REQUESTS.domains_seconds(), attempt=attempt)


def domains_execution(wildcards):
    size = EXPERIMENT.choose_domains.size
    return identity.execution_json(EXPERIMENT, size, gpu=devices.uses_gpu(EXPERIMENT, SITE, size))


def grid_group(wildcards):
    return REQUESTS.grid_group(wildcards.size)


def final_group(wildcards):
    return REQUESTS.final_group(wildcards.size, int(wildcards.budget))


def calibration(wildcards):
    """The measured throughput, unless the configuration gives one."""
    return [] if EXPERIMENT.execution.flops_per_second else CALIBRATION


TRAINING_DEVICES = {
    "cpus_per_task": cpus,
    "gpu": gpus,
    "gres": gres,
    "mem_mb": memory,
    "slurm_extra": slurm_extra,
    "slurm_partition": partition,
}
TRAINING = {**TRAINING_DEVICES, "execution": execution, "runs": 1}
INFERENCE = {
    "execution": execution,
    "gpu": inference_gpus,
    "gres": inference_gres,
    "slurm_extra": inference_slurm_extra,
    "slurm_partition": inference_partition,
}

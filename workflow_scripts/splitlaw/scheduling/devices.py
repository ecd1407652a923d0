"""The partition, GPUs and CPUs that a job requests, from the configuration and the site."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from splitlaw.experiment.config import RunsConfig
from splitlaw.scheduling.slurm import GPUS_PER_NODE

ACCEPTED_TYPE = re.compile(r"[a-zA-Z0-9_.]+")
"""Types of GPUs that Snakemake's Slurm plugin accepts in `gres`; names such as `a100-sxm4-80gb` are
refused."""
CPUS_PER_GPU = 4
"""CPUs of a process that trains on a GPU: itself and three that keep the GPU supplied."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Partitions and GPUs that the profile describes; see slurm/profile.yaml."""

    partition: str | None = None
    """Default partition."""
    gpu_partition: str | None = None
    """Partition of jobs that train or evaluate models; None where they run on CPUs."""
    gpu_type: str | int | None = None
    """Type of GPU to request, such as `a100` or 3090; None accepts any."""
    slurm_extra: str | None = None
    """Further options of `sbatch` for every job."""
    max_minutes: float = math.inf
    """Longest runtime that a job may request."""
    local_gpus: int = 0
    """Number of GPUs of this machine, without a scheduler."""

    @property
    def has_gpu(self) -> bool:
        """Whether jobs can run on GPUs."""
        return bool(self.gpu_partition or self.local_gpus)


@dataclass(frozen=True, kw_only=True)
class Devices:
    """Devices of one job."""

    processes: int
    """Number of processes, one for each GPU."""
    gpu: bool
    """Whether the job runs on GPUs."""
    site: Site
    """Site on which it runs."""

    @property
    def cpus(self) -> int:
        """Number of CPUs."""
        return self.processes * (CPUS_PER_GPU if self.gpu else 1)

    @property
    def local_gpus(self) -> int | None:
        """Number of this machine's GPUs; None on a cluster and for a job on CPUs."""
        return self.processes if self.gpu and not self.site.gpu_partition else None

    @property
    def gres(self) -> str | None:
        """GPUs as Slurm's generic resource; None without a cluster and for a job on CPUs.

        Jobs of a group must request the same. The group requests it once and they share it.
        """
        if not self.gpu or not self.site.gpu_partition or self.slurm_extra:
            return None
        gpu_type = f":{self.site.gpu_type}" if self.site.gpu_type else ""
        return f"gpu{gpu_type}:{self.processes}"

    @property
    def slurm_extra(self) -> str | None:
        """Options of `sbatch` for GPUs whose type is no name for Snakemake, with the site's own."""
        named = self.gpu and self.site.gpu_partition and self.site.gpu_type
        if not named or ACCEPTED_TYPE.fullmatch(str(self.site.gpu_type)):
            return None
        option = f"{GPUS_PER_NODE}={self.site.gpu_type}:{self.processes}"
        return f"{self.site.slurm_extra or ''} {option}".strip()

    @property
    def partition(self) -> str | None:
        """Partition of the cluster."""
        return (self.site.gpu_partition if self.gpu else None) or self.site.partition


def uses_gpu(config: RunsConfig, site: Site, size: str | None = None) -> bool:
    """Whether models of `size` are trained on a GPU; without a size, whether models run on one."""
    return config.execution_of(size).device != "cpu" and site.has_gpu


def training_devices(config: RunsConfig, site: Site, size: str | None = None) -> Devices:
    """Devices for training `size`; without a size, for the size that takes most processes."""
    processes = {name: config.execution_of(name).processes for name in config.sizes}
    size = size or max(processes, key=lambda name: processes[name])
    return Devices(processes=processes[size], gpu=uses_gpu(config, site, size), site=site)


def inference_devices(config: RunsConfig, site: Site) -> Devices:
    """Devices for evaluating models of every size in one process."""
    return Devices(processes=1, gpu=uses_gpu(config, site), site=site)

"""The partition, GPUs and CPUs that a job requests, from the configuration and the site."""

from __future__ import annotations

import math
from dataclasses import dataclass

from splitlaw.experiment.config import RunsConfig

CPUS_PER_GPU = 4
"""CPUs of a process that trains on a GPU: itself and three that keep the GPU supplied."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Partitions and GPUs that the profile describes; see slurm/profile.yaml."""

    partition: str | None = None
    """Default partition."""
    gpu_partition: str | None = None
    """Partition of jobs that train or evaluate models; None where they run on CPUs."""
    gpu_type: str | None = None
    """Type of GPU to request; None accepts any."""
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
        if not self.gpu or not self.site.gpu_partition:
            return None
        gpu_type = f":{self.site.gpu_type}" if self.site.gpu_type else ""
        return f"gpu{gpu_type}:{self.processes}"

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

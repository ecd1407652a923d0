"""Partitions, GPUs and CPUs of jobs, at sites with and without GPUs."""

from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm.utils import set_gres_string
from snakemake_executor_plugin_slurm.validation import validate_slurm_extra

from splitlaw.experiment.config import ExperimentConfig
from splitlaw.scheduling.devices import Site, inference_devices, training_devices, uses_gpu
from splitlaw.scheduling.slurm import request

CPU_CLUSTER = Site(partition="cpu")
GPU_CLUSTER = Site(partition="cpu", gpu_partition="gpu", gpu_type="a100")
GPU_MACHINE = Site(local_gpus=4)
LAPTOP = Site()


@pytest.fixture
def parallel(config):
    """The largest size takes two processes, the smallest is trained on CPUs."""
    by_size = {"w56": {"processes": 2}, "w16": {"device": "cpu"}}
    config["execution"] = {"by_size": by_size}
    return ExperimentConfig.read(config)


def test_jobs_request_gpus_of_the_type_of_the_cluster(parallel):
    devices = training_devices(parallel, GPU_CLUSTER, "w56")
    assert (devices.partition, devices.gres, devices.cpus) == ("gpu", "gpu:a100:2", 8)
    assert devices.local_gpus is None
    any_type = Site(partition="cpu", gpu_partition="gpu")
    assert training_devices(parallel, any_type, "w24").gres == "gpu:1"


@pytest.mark.parametrize("gpu_type", [3090, "2080ti", "1g.10gb", "a100-sxm4-80gb", "nvidia_a100"])
def test_a_type_of_gpu_may_have_any_name(parallel, gpu_type):
    """Slurm plugin issue 173. The plugin refuses types with a hyphen in `gres`, as tried here."""
    site = Site(partition="cpu", gpu_partition="gpu", gpu_type=gpu_type, slurm_extra="--nice=5")
    devices = training_devices(parallel, site, "w56")
    asked = {"gres": devices.gres, "slurm_extra": devices.slurm_extra}
    wanted = request("pretrain_size", asked)
    assert (wanted.gpus, wanted.gpu_type) == (2, str(gpu_type))
    job = SimpleNamespace(resources=SimpleNamespace(get=asked.get, **asked))
    if devices.gres:
        assert set_gres_string(job) == f" --gres=gpu:{gpu_type}:2"
    else:
        assert devices.slurm_extra == f"--nice=5 --gpus-per-node={gpu_type}:2"
        validate_slurm_extra(job)


def test_a_size_on_cpus_stays_on_the_default_partition(parallel):
    devices = training_devices(parallel, GPU_CLUSTER, "w16")
    assert (devices.partition, devices.gres, devices.cpus) == ("cpu", None, 1)


def test_without_a_scheduler_gpus_of_the_machine_are_counted(parallel):
    devices = training_devices(parallel, GPU_MACHINE, "w56")
    assert (devices.local_gpus, devices.gres, devices.partition) == (2, None, None)


@pytest.mark.parametrize("site", [CPU_CLUSTER, LAPTOP])
def test_without_gpus_every_process_has_one_cpu(parallel, site):
    devices = training_devices(parallel, site, "w56")
    assert (devices.cpus, devices.gres, devices.local_gpus) == (2, None, None)
    assert devices.partition == site.partition


def test_without_a_size_the_devices_suffice_for_every_size(parallel):
    assert training_devices(parallel, GPU_CLUSTER).processes == 2


def test_models_are_evaluated_in_one_process(parallel):
    assert inference_devices(parallel, GPU_CLUSTER).gres == "gpu:a100:1"
    assert inference_devices(parallel, GPU_MACHINE).local_gpus == 1


def test_an_experiment_on_cpus_uses_no_gpu(config):
    config["execution"] = {"device": "cpu"}
    config = ExperimentConfig.read(config)
    assert not uses_gpu(config, GPU_CLUSTER)
    assert inference_devices(config, GPU_CLUSTER).partition == "cpu"

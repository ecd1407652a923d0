"""Limits of a cluster from the output of `sinfo`, and messages about impossible requests."""

import math

import pytest

from splitlaw.common.errors import UserError
from splitlaw.scheduling import slurm
from splitlaw.scheduling.slurm import Request

SINFO = """\
cpu|1:00:00|(null)|4|8000
gpu|2-00:00:00|gpu:a100:4(S:0-1)|64|512000+
gpu|2-00:00:00|gpu:v100:2|32|256000
long|infinite|(null)|128+|1000000
"""
KNOWN = slurm.read_partitions(SINFO)


def test_partitions_are_those_of_the_largest_node():
    assert KNOWN["cpu"].minutes == 60 and KNOWN["cpu"].gpus == 0
    assert KNOWN["gpu"].gpus == 4 and KNOWN["gpu"].gpu_types == {"a100", "v100"}
    assert KNOWN["gpu"].minutes == 2880 and KNOWN["gpu"].memory_mb == 512000
    assert KNOWN["long"].minutes == math.inf and KNOWN["long"].cpus == 128


@pytest.mark.parametrize(
    ("limit", "minutes"), [("30:00", 30), ("1:30:00", 90), ("2-12:00:00", 3600), ("0:30", 0.5)]
)
def test_time_limits(limit, minutes):
    assert slurm.read_minutes(limit) == minutes


def test_a_request_has_the_resources_of_a_job():
    wanted = slurm.request(
        "pretrain_size",
        {"slurm_partition": "gpu", "runtime": 30, "gres": "gpu:a100:2", "_cores": 8, "mem_mb": 9},
    )
    assert wanted == Request(
        job="pretrain_size",
        partition="gpu",
        minutes=30,
        gpus=2,
        gpu_type="a100",
        cpus=8,
        memory_mb=9,
    )


def test_possible_requests_pass():
    slurm.check([Request(job="a", partition="gpu", minutes=2880, gpus=4, gpu_type="a100")], KNOWN)
    slurm.check([Request(job="a", partition="")], KNOWN)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"partition": "gup"}, "gup, which does not exist; the partitions are cpu, gpu, long"),
        ({"partition": "cpu", "gpus": 1}, "cpu, which has none; set gpu_partition to gpu"),
        ({"partition": "gpu", "gpus": 8}, "nodes of gpu have at most 4; lower execution.processes"),
        ({"partition": "gpu", "gpus": 1, "gpu_type": "h100"}, "but gpu has a100, v100; set"),
        ({"partition": "cpu", "minutes": 90}, "allows 60; lower runtime, or set max_runtime: 60"),
        ({"partition": "cpu", "cpus": 5}, "the largest node of cpu has 4"),
        ({"partition": "cpu", "memory_mb": 9000}, "the largest node of cpu has 8000"),
    ],
)
def test_requests_that_no_node_can_satisfy_are_refused(wanted, message):
    with pytest.raises(UserError, match=message):
        slurm.check([Request(job="pretrain_size", **wanted)], KNOWN)


def test_a_machine_without_slurm_is_reported(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="sinfo is not installed here"):
        slurm.partitions()

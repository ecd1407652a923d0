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


def test_messages_of_the_site_among_the_partitions_are_left_out():
    """Slurm plugin issue 157: commands of Slurm print the site's messages too."""
    message = "sinfo: You will be charged for the CPUs | and the memory that you request.\n"
    assert slurm.read_partitions(f"{message}{SINFO}\n") == KNOWN


# Snakemake-Profiles/slurm issue 17: less than a day; C-Star pull request 662: no limit
@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("30:00", 30), ("1:30:00", 90), ("2-12:00:00", 3600), ("0:30", 0.5), ("infinite", math.inf)],
)
def test_time_limits(limit, minutes):
    assert slurm.read_minutes(limit) == minutes


@pytest.mark.parametrize(
    ("value", "minutes"),
    [
        (2880, 2880), ("2880", 2880), ("2d", 2880), ("36h", 2160), ("2d 12h", 3600), ("90m", 90),
        ("1.5h", 90), ("2-12:00:00", 3600), ("12:00:00", 720), ("UNLIMITED", math.inf),
        (None, math.inf),
    ],
)  # fmt: skip
def test_max_runtime_is_written_as_snakemake_and_slurm_write_times(value, minutes):
    """Slurm plugin issue 378: `2d` was a traceback."""
    assert slurm.read_max_runtime(value) == minutes


@pytest.mark.parametrize("value", ["two days", "2x", "1.2.3h", "-"])
def test_another_max_runtime_is_one_line(value):
    with pytest.raises(UserError, match=f"max_runtime is {value}; give minutes, or a time like"):
        slurm.read_max_runtime(value)


@pytest.mark.parametrize(
    ("resources", "count", "types"),
    [
        # Slurm plugin issue 173: types that begin with a digit or contain a hyphen
        ("gpu:3090:4(S:0-1)", 4, {"3090"}),
        ("gpu:2080ti:2", 2, {"2080ti"}),
        ("gpu:a100-sxm4-80gb:8(S:0,2-3)", 8, {"a100-sxm4-80gb"}),
        ("gpu:1g.10gb:7,gpu:a100_3g.20gb:2", 9, {"1g.10gb", "a100_3g.20gb"}),
        ("shard:40,gpu:4,nvme:1000", 4, set()),
        ("gpu:tesla", 1, {"tesla"}),
        ("gpu", 1, set()),
        ("(null)", 0, set()),
        ("", 0, set()),
    ],
)
def test_gpus_of_every_type_are_counted(resources, count, types):
    assert slurm.read_gpus(resources) == (count, types)


def test_the_queue_is_asked_as_old_versions_of_slurm_understand(tmp_path, monkeypatch):
    """Slurm plugin issue 326: squeue before version 20.02 has no option --me."""
    squeue = tmp_path / "squeue"
    squeue.write_text(
        '#!/bin/sh\ncase "$*" in *--me*) echo "unrecognized option --me" >&2; exit 1;; esac\n'
        'echo "12|RUNNING|/a b|rule_pretrain_size_w16"\necho "13|PENDING|/other|rule_x"\n'
        'echo "1043074_[3-9%2]|PENDING|/a b|group_w16|seed0"\necho "a line of a prologue"\n'
    )
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    job, array = slurm.queued_jobs("/a b")
    assert (job.identifier, job.state, job.name) == ("12", "RUNNING", "pretrain_size_w16")
    # Snakemake pull request 2036: identifiers of array jobs
    assert (array.identifier, array.name) == ("1043074_[3-9%2]", "w16|seed0")


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


def test_memory_per_cpu_takes_precedence_and_must_suffice_for_the_job():
    wanted = slurm.request("pretrain", {"mem_mb_per_cpu": 4000, "mem_mb": 6000, "cpus_per_task": 2})
    assert wanted.memory_mb == 8000
    with pytest.raises(UserError, match=r"mem_mb_per_cpu 1000 for 2 CPUs.* set it to 3000 or more"):
        slurm.request("pretrain", {"mem_mb_per_cpu": 1000, "mem_mb": 6000, "cpus_per_task": 2})


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

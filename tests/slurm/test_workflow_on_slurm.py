"""The workflow on a real Slurm: the same losses as without it, also after failures."""

import re

import pytest
from project import Project, tiny

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture(scope="module")
def project(tmp_path_factory, cluster):
    return Project(tmp_path_factory.mktemp("a cluster"), tiny(), cluster.environment)


def jobs(cluster, state="RUNNING"):
    """Numbers of the jobs in a state, with their comments."""
    lines = (cluster.ask("squeue", "-h", "-t", state, "-o", "%i %k") or "").splitlines()
    return dict(line.split(" ", 1) for line in lines)


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ({"slurm_partition": "cup"}, "requests the partition cup, which does not exist"),
        ({"gpu_partition": "cpu"}, "requests a GPU on the partition cpu, which has none"),
        ({"runtime": 90}, "requests 450 minutes, but the partition cpu allows 60; lower runtime"),
    ],
)
def test_a_request_that_the_site_cannot_satisfy_ends_in_one_line(project, site, message):
    project.adapt(site)
    done = project.snakemake("--profile", "slurm", "--quiet", "all", "--", "evaluate")
    project.adapt({})
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not list((project.folder / "results/tiny").glob("corpus/*"))


def test_a_job_with_a_gpu_that_torch_cannot_use_is_refused(project, cluster):
    """The GPU is only a device file. All training of a size is one job, which requests it once."""
    project.adapt({"gpu_partition": "gpu"}, retries=0)
    workflow = project.start("snakemake", "--profile", "slurm", "evaluate")
    workflow.wait()
    project.adapt({})
    assert "but torch" in project.output() and "set execution.device to cpu" in project.output()
    assert not list(project.folder.glob("results/tiny/checkpoints/**/*.safetensors"))
    lines = (cluster.ask("scontrol", "show", "job", "--oneliner") or "").splitlines()
    grid = [line for line in lines if "Partition=gpu" in line]
    assert len(grid) == 2, "one for each size"
    assert all(re.search(r"gres[:/]gpu[:=]1\b", line) for line in grid), grid


def test_a_requeued_job_and_a_killed_workflow_give_the_same_losses(project, cluster, request):
    """A job is requeued; Snakemake is killed; the next one names the job and how to resume.

    The losses are those of the same sizes without Slurm, which may be computed meanwhile.
    """
    workflow = project.start("snakemake", "--profile", "slurm", "evaluate")
    state = "results/tiny/checkpoints/**/*.safetensors"
    project.wait(lambda: list(project.folder.glob(state)), "the first state")
    grid = [number for number, what in jobs(cluster).items() if "pretrain_size" in what]
    assert cluster.ask("scontrol", "requeue", grid[0]) is not None
    project.wait(lambda: grid[0] in jobs(cluster), "the requeued job to run again")

    workflow.kill()
    workflow.wait()
    refused = project.snakemake("--profile", "slurm", "evaluate")
    assert refused.returncode == 2
    line = refused.stderr.splitlines()[-1]
    assert "a workflow was killed here and left its lock" in line
    assert re.search(rf"{grid[0]} \S+ running", line)
    command = line.split("resume it with: ")[1]
    assert command == "python workflow_scripts/resume.py --profile slurm evaluate"

    done = project.command(*command.split())
    assert done.returncode == 0, done.stderr
    assert "cancelled: " in done.stderr and "the lock is removed" in done.stderr
    undisturbed = request.getfixturevalue("evaluated") / "results/tiny/losses.csv"
    lines = undisturbed.read_text().splitlines(keepends=True)
    assert project.losses() == "".join(line for line in lines if not line.startswith("w56-"))
    assert not jobs(cluster) and not jobs(cluster, "PENDING")


def test_changed_artifacts_are_reported(project):
    done = project.snakemake("--cores", "1", "--profile", "local", "check_provenance")
    assert done.returncode == 0, done.stderr
    assert "are unchanged" in done.stdout
    losses = project.folder / "results/tiny/losses.csv"
    losses.write_text(losses.read_text().replace("law", "lax"))
    done = project.snakemake("--cores", "1", "--profile", "local", "check_provenance")
    assert done.returncode == 1
    assert "losses.csv: differs from the file that the workflow wrote" in done.stderr

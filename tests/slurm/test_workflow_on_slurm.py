"""The workflow on a real Slurm: the same losses as at home, whatever happens on the way."""

import re

import pytest
from project import Project, tiny

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture(scope="module")
def local(tmp_path_factory, cluster):
    """The losses of an undisturbed run without Slurm."""
    project = Project(tmp_path_factory.mktemp("local"), tiny(), cluster.environment)
    done = project.snakemake("--profile", "local", "--cores", "2", "evaluate")
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory, cluster):
    return Project(tmp_path_factory.mktemp("cluster"), tiny(), cluster.environment)


def jobs(cluster, state="RUNNING"):
    """Numbers of the jobs in a state, with what they are."""
    lines = (cluster.ask("squeue", "-h", "-t", state, "-o", "%i %k") or "").splitlines()
    return dict(line.split(" ", 1) for line in lines)


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ({"slurm_partition": "cup"}, "goes to the partition cup, which does not exist"),
        ({"gpu_partition": "cpu"}, "asks for a GPU on the partition cpu, which has none"),
        ({"runtime": 90}, "asks for 450 minutes, the partition cpu allows 60; lower runtime"),
    ],
)
def test_what_the_site_does_not_have_stops_everything_in_one_line(project, site, words):
    project.adapt(site)
    done = project.snakemake("--profile", "slurm", "--quiet", "all", "--", "evaluate")
    project.adapt({})
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert not list((project.folder / "results/tiny").glob("corpus/*"))


def test_through_a_requeue_and_the_death_of_the_workflow_to_the_same_losses(
    project, local, cluster
):
    """A job is requeued; Snakemake is killed; the next call names its orphan; one command goes on.

    The GPU is a device file, so that models are trained on the CPU of its node; all trainings of a
    size are one job that asks for it once.
    """
    project.adapt({"gpu_partition": "gpu"})
    workflow = project.start("snakemake", "--profile", "slurm", "evaluate")
    state = "results/tiny/checkpoints/**/*.safetensors"
    project.wait(lambda: list(project.folder.glob(state)), "the first state")
    grid = [number for number, what in jobs(cluster).items() if "pretrain_size" in what]
    assert len(grid) == 1, "one GPU, so one of the two sizes at a time"
    about = cluster.ask("scontrol", "show", "job", grid[0])
    assert "Partition=gpu" in about and re.search(r"gres[:/]gpu[:=]1\b", about), about
    assert cluster.ask("scontrol", "requeue", grid[0]) is not None
    project.wait(lambda: grid[0] in jobs(cluster), "the requeued job to run again")

    workflow.kill()
    workflow.wait()
    refused = project.snakemake("--profile", "slurm", "evaluate")
    assert refused.returncode == 2
    line = refused.stderr.splitlines()[-1]
    assert "a workflow was killed here and left its lock" in line
    assert re.search(rf"{grid[0]} \S+ running", line)
    command = line.split("go on with: ")[1]
    assert command == "python workflow_scripts/resume.py --profile slurm evaluate"

    done = project.command(*command.split())
    assert done.returncode == 0, done.stderr
    assert "stopped: " in done.stderr and "the lock is removed" in done.stderr
    assert project.losses() == local.losses()
    assert not jobs(cluster) and not jobs(cluster, "PENDING")


def test_everything_is_as_it_was_written(project):
    done = project.snakemake("--cores", "1", "--profile", "local", "check_provenance")
    assert done.returncode == 0, done.stderr
    assert "are as they were written" in done.stdout
    losses = project.folder / "results/tiny/losses.csv"
    losses.write_text(losses.read_text().replace("law", "lax"))
    done = project.snakemake("--cores", "1", "--profile", "local", "check_provenance")
    assert done.returncode == 1
    assert "losses.csv: is not the file that the workflow wrote" in done.stderr

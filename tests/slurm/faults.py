"""The fault campaign: a tiny experiment on a real Slurm, once for every kind of fault.

    python tests/slurm/faults.py --rounds 4 --out faults.csv

One experiment is run undisturbed, then once for every fault, from the same text, with the fault at
a random time during training. A run passes if it finishes, its losses.csv is identical to the
undisturbed one, and no segment is trained by two processes at once. Lost work are the steps that
are trained more than once: every process records every step.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import cluster as slurm
from cluster import Cluster
from project import Project, tiny

TARGET = "evaluate"
WORKFLOW = ("snakemake", "--profile", "slurm", TARGET)
# Records what the trainer itself does not: one line for each step, in every process.
NOTE_STEPS = """
import importlib.abc, importlib.util, os, sys, time

class Note(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "splitlaw.training.loop":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            note(module.Trainer)
        spec.loader.exec_module = exec_module
        return spec

def note(trainer):
    file = os.open(os.environ["NOTE_STEPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    train, step = trainer._train, trainer._step
    def _train(self, lineage, *, begin):
        self.noted, self.segment = begin, self.store.folder(lineage)
        train(self, lineage, begin=begin)
    def _step(self, batch, rate):
        result = step(self, batch, rate)
        line = f"{time.time()} {os.getpid()} {self.segment} {self.noted}\\n"
        os.write(file, line.encode())
        self.noted += 1
        return result
    trainer._train, trainer._step = _train, _step

if "NOTE_STEPS" in os.environ:
    sys.meta_path.insert(0, Note())
"""


def config() -> dict:
    """Two sizes, two domains, and training of some seconds with a state every second."""
    cells = {"pretrain_tokens": [65536, 131072], "specialize_tokens": [32768]}
    return tiny(
        grid={
            "trunk_tokens": 196608,
            "min_tokens_per_param": 0,
            "fit": {**cells, "unsplit_tokens": [196608]},
            "holdout": cells,
        },
        execution={"compile": False, "device": "cpu", "checkpoint_seconds": 1, "repeat": True},
    )


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An event during a running workflow."""

    name: str
    strike: Callable[[Campaign, Project, subprocess.Popen[str]], subprocess.Popen[str]]
    """Cause it, and return the process in which the workflow continues."""
    text: str
    """Text that the output must contain; empty where no message is required."""
    site: tuple[tuple[str, object], ...] = ()
    """Default resources of the profile for it."""
    lines: tuple[tuple[str, object], ...] = ()
    """Other settings of the profile."""


class Campaign:
    """The cluster and the undisturbed run."""

    def __init__(self, cluster: Cluster, folder: Path, seed: int) -> None:
        self.cluster, self.folder = cluster, folder
        self.random = random.Random(seed)
        (folder / "note").mkdir(parents=True)
        (folder / "note/sitecustomize.py").write_text(NOTE_STEPS)
        self.text: Path | None = None

    def project(self, name: str, fault: Fault | None = None) -> Project:
        """A project with the text that `prepare` made."""
        note = {
            "PYTHONPATH": str(self.folder / "note"),
            "NOTE_STEPS": str(self.folder / name) + ".steps",
        }
        project = Project(self.folder / name, config(), {**self.cluster.environment, **note})
        site, lines = (dict(fault.site), dict(fault.lines)) if fault else ({}, {})
        project.adapt({"mem_mb": "1000 * attempt", "runtime": 2, **site}, **lines)
        if self.text:
            for part in ("results", ".snakemake"):
                shutil.copytree(self.text / part, project.folder / part)
        return project

    def prepare(self) -> None:
        """Make the text without Slurm, then run the experiment undisturbed."""
        project = self.project("text")
        done = project.snakemake("--profile", "local", "--cores", "2", "tokenize")
        assert done.returncode == 0, done.stderr
        self.text = project.folder
        project = self.project("undisturbed")
        began = time.monotonic()
        workflow = project.start(*WORKFLOW)
        assert workflow.wait() == 0, project.output()
        self.seconds = time.monotonic() - began
        self.losses = project.losses()
        self.steps = pd.read_csv(f"{project.folder}.steps", sep=" ", header=None)
        assert not self.steps.duplicated([2, 3]).any(), "the undisturbed run trained a step twice"

    def run(self, fault: Fault, number: int) -> dict[str, object]:
        """Run the experiment with one fault."""
        name = f"{number:02d}-{fault.name.replace(' ', '-')}"
        project = self.project(name, fault)
        began = time.monotonic()
        workflow = project.start(*WORKFLOW)
        moment = self.random.uniform(0.02, 0.6) * len(self.steps)
        project.wait(lambda: self.trained(name) > moment, "steps")
        at = self.trained(name)
        workflow = fault.strike(self, project, workflow)
        finished = workflow.wait(timeout=1200) == 0
        steps = pd.read_csv(f"{project.folder}.steps", sep=" ", header=None)
        steps[2] = steps[2].str.replace(f"/{name}/", "/undisturbed/")
        row = {
            "fault": fault.name,
            "at_step": at,
            "finished": finished,
            "same_losses": finished and project.losses() == self.losses,
            "reported": fault.text in project.output(),
            "steps_lost": len(steps) - len(self.steps),
            "at_once": together(steps),
            "seconds": round(time.monotonic() - began, 1),
        }
        if passed(row):
            shutil.rmtree(project.folder)
        return row

    def trained(self, name: str) -> int:
        """Number of steps recorded so far."""
        file = Path(f"{self.folder / name}.steps")
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def running(self) -> list[str]:
        """Numbers of the running training jobs."""
        listing = self.cluster.ask("squeue", "-h", "-t", "RUNNING", "-o", "%i %k") or ""
        return [line.split()[0] for line in listing.splitlines() if "pretrain_size" in line]

    def one(self, project: Project) -> str:
        """A running training job."""
        return self.random.choice(project.wait(self.running, "a running job"))

    def node(self, job: str) -> str:
        """The node of a job."""
        return self.cluster.ask("squeue", "-h", "-j", job, "-o", "%N") or ""


def together(steps: pd.DataFrame) -> bool:
    """Whether two processes trained the same segment at the same time."""
    spans = steps.groupby([2, 1])[0].agg(["min", "max"]).sort_values("min")
    for _, segment in spans.groupby(level=0):
        if (segment["min"].to_numpy()[1:] < segment["max"].to_numpy()[:-1]).any():
            return True
    return False


def passed(row: dict[str, object]) -> bool:
    """Whether a run with a fault passed."""
    return bool(row["finished"] and row["same_losses"] and row["reported"] and not row["at_once"])


# ---- the faults -------------------------------------------------------------------------------


def requeue(campaign, project, workflow):
    campaign.cluster.ask("scontrol", "requeue", campaign.one(project))
    return workflow


def preempt(campaign, project, workflow):
    """Jobs of a partition of higher priority request every CPU."""
    campaign.one(project)
    for node in ("c1", "c2"):
        wanted = ("-p", "cpu", "-w", node, "-c", "8", "--mem", "100", "-t", "1")
        campaign.cluster.ask("sbatch", *wanted, "-o", "/dev/null", "--wrap", "sleep 3")
    return workflow


def time_limit(campaign, project, workflow):
    """The time limit of the job ends: SIGTERM, and SIGKILL five seconds later."""
    campaign.cluster.ask("scontrol", "update", f"JobId={campaign.one(project)}", "EndTime=now+2")
    return workflow


def cancel(campaign, project, workflow):
    campaign.cluster.ask("scancel", campaign.one(project))
    return workflow


def nothing(campaign, project, workflow):
    """The profile causes the fault."""
    return workflow


def node_down(campaign, project, workflow):
    """The administrator sets a node down and resumes it."""
    node = campaign.node(campaign.one(project))
    campaign.cluster.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=fault")
    time.sleep(3)
    campaign.cluster.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
    return workflow


def node_lost(campaign, project, workflow):
    """A node loses power: its daemon and all processes of its jobs end at once."""
    job = campaign.one(project)
    node = campaign.node(job)
    campaign.cluster.kill(f"slurmd-{node}")
    campaign.cluster.kill_processes_of(node)
    time.sleep(2)
    campaign.cluster.start_node(node)
    return workflow


def controller(campaign, project, workflow):
    """The controller is killed and restarted."""
    campaign.cluster.kill("slurmctld")
    time.sleep(campaign.random.uniform(1, 6))
    campaign.cluster.start_controller()
    return workflow


def resume(campaign, project, workflow):
    """Start Snakemake again, which names the command that resumes; then run that command."""
    refused = project.start(*WORKFLOW)
    assert refused.wait() == 2, project.output()[-2000:]
    line = project.output().splitlines()[-1]
    return project.start(*line.split("resume it with: ")[1].split())


def workflow_killed(campaign, project, workflow):
    workflow.kill()
    workflow.wait()
    return resume(campaign, project, workflow)


def workflow_interrupted(campaign, project, workflow):
    """Ctrl-C: Snakemake cancels its jobs and unlocks; the same command resumes."""
    workflow.send_signal(signal.SIGINT)
    workflow.wait()
    return project.start(*WORKFLOW)


FAULTS = (
    Fault(name="requeue", strike=requeue, text=""),
    Fault(
        name="preemption",
        strike=preempt,
        text="",
        site=(("slurm_partition", "scavenge"),),
    ),
    Fault(name="time limit", strike=time_limit, text="DUE TO TIME LIMIT"),
    Fault(name="cancelled job", strike=cancel, text="CANCELLED AT"),
    Fault(
        name="out of memory",
        strike=nothing,
        text="xceeded job memory limit",
        lines=(
            (
                "set-resources",
                {
                    "pretrain_size": {"mem_mb": "600 if attempt == 1 else 2000"},
                    "specialize_domain": {"mem_mb": "200 if attempt == 1 else 1000"},
                },
            ),
        ),
    ),
    Fault(name="node down", strike=node_down, text=""),
    Fault(name="node lost", strike=node_lost, text=""),
    Fault(name="controller restart", strike=controller, text=""),
    Fault(name="workflow killed", strike=workflow_killed, text="cancelled: "),
    Fault(name="workflow interrupted", strike=workflow_interrupted, text=""),
)


def summarise(rows: pd.DataFrame) -> str:
    """A line for each kind of fault."""
    table = rows.groupby("fault", sort=False).agg(
        faults=("fault", "size"),
        finished=("finished", "sum"),
        same_losses=("same_losses", "sum"),
        reported=("reported", "sum"),
        twice_at_once=("at_once", "sum"),
        steps_lost_mean=("steps_lost", "mean"),
        steps_lost_max=("steps_lost", "max"),
    )
    return table.round(1).to_string()


def main(argv: list[str] | None = None) -> int:
    """Run the campaign and write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="runs with each kind of fault")
    parser.add_argument("--only", nargs="*", default=[], help="kinds of fault; all by default")
    parser.add_argument("--seed", type=int, default=0, help="seed of the times of faults")
    parser.add_argument("--out", type=Path, required=True, help="table to write, as CSV")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster is stopped
    rows = []
    folder = Path(tempfile.mkdtemp(prefix="splitlaw-faults-"))
    with slurm.running() as cluster:
        campaign = Campaign(cluster, folder, arguments.seed)
        campaign.prepare()
        print(f"undisturbed: {len(campaign.steps)} steps, {campaign.seconds:.0f} s", flush=True)
        chosen = [fault for fault in FAULTS if fault.name in arguments.only or not arguments.only]
        for number, fault in enumerate(chosen * arguments.rounds):
            row = campaign.run(fault, number)
            rows.append(row)
            print(row, flush=True)
            pd.DataFrame(rows).to_csv(arguments.out, index=False)
    table = pd.DataFrame(rows)
    print(summarise(table))
    failed = sum(not passed(row) for row in rows)
    print(
        f"{len(rows) - failed} of {len(rows)} faults had no effect on the results"
        + (f"; {folder}" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

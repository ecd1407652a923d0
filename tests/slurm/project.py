"""A copy of the repository with an experiment of seconds: two domains and two sizes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import tiny_project
import yaml

ROOT = Path(__file__).parents[2]
COPIED = "Snakefile config.yaml envs rules slurm local tasks workflow_scripts".split()
# The profile as a site would adapt it.
SITE = {
    "slurm_partition": "cpu",
    "mem_mb": "1500 * attempt",
    "disk_mb": 1000,
    "runtime": "5 * attempt",
    "max_runtime": 60,
}
POLL_SECONDS = 5
"""Interval of status queries: short, because the jobs take seconds."""


def tiny(**changes) -> dict:
    """The experiment of `tiny_project` with two sizes, which are both fitted."""
    config = tiny_project.tiny(ROOT)
    config["sizes"] = {name: config["sizes"][name] for name in ("w16", "w24")}
    config["holdout_sizes"] = []
    config["final"]["size"] = "w24"
    del config["compare"]  # it names another size
    for key, value in changes.items():
        config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
    return config


class Project:
    """A copy of the repository in `folder`, and Snakemake in it."""

    def __init__(self, folder: Path, config: dict, environment: dict[str, str]) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None
        path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        self.environment = {**environment, "PATH": path}
        folder.mkdir(parents=True, exist_ok=True)
        ignore = shutil.ignore_patterns("__pycache__")
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=ignore)
            elif (ROOT / name).exists():
                shutil.copy(ROOT / name, folder / name)
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        self.adapt({})

    def adapt(self, site: dict, **lines) -> None:
        """Write the profile with default resources of the site and other settings."""
        profile = yaml.safe_load((ROOT / "slurm/profile.yaml").read_text())
        profile["default-resources"] = {**SITE, **site}
        profile["slurm-init-seconds-before-status-checks"] = POLL_SECONDS
        profile["latency-wait"] = 10
        profile.update(lines)
        (self.folder / "slurm/profile.yaml").write_text(yaml.safe_dump(profile))

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end."""
        return self.command("snakemake", *arguments)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project to its end."""
        return subprocess.run(
            arguments, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in the project; its output is appended to output.txt."""
        with (self.folder / "output.txt").open("a") as output:
            self.process = subprocess.Popen(
                arguments, cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
        return self.process

    def output(self) -> str:
        """Output of the started commands."""
        return (self.folder / "output.txt").read_text()

    def losses(self) -> str:
        """Content of losses.csv."""
        return (self.folder / "results/tiny/losses.csv").read_text()

    def wait(self, condition: Callable[[], object], what: str, *, seconds: float = 400) -> object:
        """Wait until `condition()` is true, as long as the last command runs; return its value."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            ended = self.process is not None and self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                why = "it ended" if ended else f"{seconds} s passed"
                raise TimeoutError(f"waited for {what}; {why}:\n{self.output()[-3000:]}")
            time.sleep(0.2)
        return found

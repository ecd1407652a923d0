"""A copy of the repository with an experiment of about a minute, and the command that runs it."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

NAMES = ("Snakefile", "config.yaml", "envs", "rules", "report", "tasks")


def tiny(root: Path) -> dict:
    """The default configuration with two domains, small models and a few thousand tokens."""
    config = yaml.safe_load((root / "config.yaml").read_text())
    smoke = yaml.safe_load((root / "tests/smoke.yaml").read_text())
    for key, value in smoke.items():
        config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
    config["experiment"] = "tiny"
    domains = {name: config["corpus"]["domains"][name] for name in ("law", "medicine")}
    for domain in domains.values():
        domain["sources"] = [{**domain["sources"][0], "max_documents": 400}]
    config["corpus"]["domains"] = domains
    config["corpus"]["general"] = {
        "sources": [{"package": "bbc_news", "max_documents": 400}],
        "slices": {"law": 0.15, "medicine": 0.15},
    }
    config["sizes"] = {name: config["sizes"][name] for name in ("w16", "w24", "w56")}
    config.pop("tune_learning_rate")  # it names sizes that are left out here
    return config


class Project:
    """A copy of the repository and the command that runs it."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        for name in NAMES:
            if (root / name).is_dir():
                shutil.copytree(root / name, folder / name)
            elif (root / name).exists():
                shutil.copy(root / name, folder / name)
        shutil.copytree(
            root / "workflow_scripts",
            folder / "workflow_scripts",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        self.config = tiny(root)
        self.write_config()

    def write_config(self) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["snakemake", "--cores", "2", "--rerun-incomplete", *words],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
        )

    def planned(self, *words: str) -> dict[str, int]:
        """How many jobs of each rule a dry run would start."""
        done = self.run(*words, "--dry-run", "--quiet", "host")
        assert done.returncode == 0, done.stderr
        # The jobs of a group stand indented.
        lines = map(str.strip, done.stdout.splitlines())
        rules = [line for line in lines if line.startswith(("rule ", "localrule "))]
        names = [line.split()[1].rstrip(":") for line in rules]
        return {name: names.count(name) for name in names if name != "all"}

    def states(self) -> dict[Path, str]:
        files = self.folder.glob("results/tiny/checkpoints/**/*.safetensors")
        return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

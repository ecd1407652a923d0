"""The conda environments have the pins of the lock that `make` uses.

python tests/test_envs.py        writes them anew after a lock has changed
"""

import re
from pathlib import Path

import yaml

ENVS = Path(__file__).parent.parent / "envs"
LAW = ("numpy", "pandas", "pydantic", "PyYAML", "ruamel.yaml", "scipy", "threadpoolctl")
TRAIN_HEAD = """\
# For --sdm conda: the pins of requirements.lock, which `make` uses; tests/test_envs.py writes this
# file. train.post-deploy.sh adds what does not fit its own metadata.
"""
LAW_HEAD = "# For --sdm conda: the law and the planner need no torch. Pins of requirements.lock.\n"
CONDA = """\
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - pip:
"""
POST_HEAD = """\
#!/usr/bin/env bash
# What the corpora's package and lm-eval pin is older than what we use, and they run well on ours.
set -euo pipefail
"""


def lock(name: str) -> list[str]:
    """The pins of a lock, a line each."""
    lines = (ENVS / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def environment(head: str, pins: list[str]) -> str:
    """A conda environment of these pins."""
    listed = "".join(f"      - {pin}\n" for pin in pins)
    return f"{head}{CONDA}{listed}"


def wanted() -> dict[str, str]:
    """Every generated file of envs/."""
    pins = lock("requirements.lock")
    law = [pin for pin in pins if re.split("==", pin)[0] in LAW]
    rest = lock("corpora.lock") + lock("benchmarks.lock")
    install = " \\\n".join(["pip install --no-deps", *(f"    {pin}" for pin in rest)])
    return {
        "train.yaml": environment(TRAIN_HEAD, pins),
        "law.yaml": environment(LAW_HEAD, law),
        "train.post-deploy.sh": f"{POST_HEAD}{install}\n",
    }


def test_environments_have_the_pins_of_the_locks():
    for name, text in wanted().items():
        assert (ENVS / name).read_text() == text, f"run: python {Path(__file__).name}"


def test_every_pin_is_exact():
    pins = [*lock("requirements.lock"), *lock("corpora.lock"), *lock("benchmarks.lock")]
    beside = [*lock("trackers.lock"), *lock("docs.lock")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", pin) for pin in pins + beside)
    for name in ("train.yaml", "law.yaml"):
        *_, pip = yaml.safe_load((ENVS / name).read_text())["dependencies"]
        assert set(pip["pip"]) <= set(pins)


def test_every_rule_that_runs_a_script_names_an_environment():
    for file in (ENVS.parent / "rules").glob("*.smk"):
        for rule in re.split(r"^rule ", file.read_text(), flags=re.M)[1:]:
            if "python {SCRIPTS}/" in rule:
                assert "conda:" in rule, f"{file.name}: {rule.split(':')[0]}"


if __name__ == "__main__":
    for name, text in wanted().items():
        (ENVS / name).write_text(text)

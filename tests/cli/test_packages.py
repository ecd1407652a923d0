"""Every package that the code imports is declared, and a missing one names an extra that has it."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

from splitlaw.cli.extras import EXTRAS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow_scripts" / "splitlaw"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INDIRECT = {"snakemake", "tensorboard"}
"""Started as a program, and imported by torch."""
DISTRIBUTIONS = importlib.metadata.packages_distributions()
"""Distributions by the module that they install; finding them takes a second."""


def names(requirements: list[str]) -> set[str]:
    """Names of distributions in requirements, with those of the project's own extras."""
    found = set()
    for requirement in requirements:
        own = re.fullmatch(r"splitlaw\[(.*)\]", requirement)
        if own:
            for extra in own[1].split(","):
                found |= names(PROJECT["optional-dependencies"][extra])
        else:
            found.add(normal(re.split(r"[<>=\[ ]", requirement)[0]))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


BASE = names(PROJECT["dependencies"])
DECLARED = {extra: names(part) for extra, part in PROJECT["optional-dependencies"].items()}


def imported(part: Path) -> dict[str, str]:
    """Distributions that a module, or those below a folder, import anywhere, with one of them."""
    found = {}
    for file in part.rglob("*.py") if part.is_dir() else [part]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            for module in modules:
                top = module.split(".")[0]
                if top == "splitlaw" or top in sys.stdlib_module_names:
                    continue
                # Several distributions may share a namespace such as `ruamel`.
                candidates = DISTRIBUTIONS.get(top, [top])
                wanted = normal(".".join(module.split(".")[:2]))
                exact = [name for name in candidates if normal(name) == wanted]
                found[normal((exact or candidates)[0])] = str(file.relative_to(PACKAGE))
    return found


def test_every_import_is_declared_and_nothing_else():
    found = imported(PACKAGE)
    declared = BASE.union(*DECLARED.values())
    missing = {name: found[name] for name in set(found) - declared}
    assert not missing, f"declare these in pyproject.toml: {missing}"
    assert not declared - set(found) - INDIRECT, "nothing imports these"


@pytest.mark.parametrize("part", ["laws", "planner", "api.py"])
def test_the_law_and_the_plan_require_only_the_base(part):
    found = imported(PACKAGE / part)
    assert set(found) <= BASE, found


@pytest.mark.parametrize(
    ("part", "extras"),
    [
        ("corpus", ["benchmark"]),  # documents of a data set of the hub; embeddings by torch
        ("tokens", ["corpus"]),
        ("training", ["train", "track"]),
        ("zero_shot", ["benchmark"]),
        ("delivery", ["benchmark", "serve"]),
        ("report", ["report"]),
        ("workflow", ["workflow"]),
    ],
)
def test_a_part_requires_only_its_extra(part, extras):
    allowed = BASE.union(*(DECLARED[extra] for extra in extras))
    beyond = {name: file for name, file in imported(PACKAGE / part).items() if name not in allowed}
    assert not beyond


def test_an_advised_extra_provides_the_package():
    advised = {}
    for extra, packages in EXTRAS.items():
        for package in packages:
            candidates = {normal(name) for name in DISTRIBUTIONS.get(package, [package])}
            assert candidates & DECLARED[extra], f"{extra} does not provide {package}"
            advised |= dict.fromkeys(candidates)
    assert set().union(*DECLARED.values()) <= set(advised), "packages without advice"

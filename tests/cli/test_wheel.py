"""The source distribution, and a wheel of it in an environment with the base dependencies alone."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from laws.planted import cells, law, table
from test_packages import BASE, DECLARED, normal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ABSENT = ("torch", "transformers", "pydantic", "yaml", "rich", "tqdm", "pyarrow", "matplotlib")


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """The source distribution, built from a copy of the project."""
    copy, out = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("sources")
    for name in project_files():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    build = [sys.executable, "-c", code, str(out)]
    subprocess.run(build, cwd=copy, check=True, stdout=subprocess.DEVNULL)
    (file,) = out.glob("splitlaw-*.tar.gz")
    return file


def project_files() -> list[str]:
    """The files of the project that git tracks or would track."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(sources, tmp_path_factory) -> Path:
    """The wheel, built from the source distribution."""
    out = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    pip = [sys.executable, "-m", "pip", "wheel", *options]
    subprocess.run([*pip, str(sources), "--wheel-dir", str(out)], check=True)
    (file,) = out.glob("splitlaw-*.whl")
    return file


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory) -> Path:
    """The folder of programs of an environment with the wheel and the base dependencies."""
    return environment(tmp_path_factory.mktemp("environment"), wheel, BASE)


def environment(folder: Path, wheel: Path, names: set[str]) -> Path:
    """Make an environment with the wheel, distributions and what they require; its programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = folder / "packages"
    packages.mkdir()
    for name in with_requirements(names):
        link(name, packages)
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "base.pth").write_text(f"{packages}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python")]
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True)
    return folder / "bin"


def with_requirements(names: set[str]) -> set[str]:
    """Distributions and all that they require, without extras."""
    found, left = set(), set(names)
    while left:
        name = left.pop()
        found.add(name)
        for requirement in importlib.metadata.requires(name) or []:
            if "extra ==" not in requirement and "sys_platform" not in requirement:
                left.add(normal(re.split(r"[^\w.-]", requirement)[0]))
        left -= found
    return found


def link(name: str, folder: Path) -> None:
    """Link what a distribution of the running environment has installed into a folder."""
    distribution = importlib.metadata.distribution(name)
    for top in {file.parts[0] for file in distribution.files or [] if file.parts[0] != ".."}:
        if top not in ("__pycache__", "bin") and not (folder / top).exists():
            (folder / top).symlink_to(Path(distribution.locate_file(top)))


def run(*command: object, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_source_distribution_has_the_workflow_its_tests_and_its_documentation(sources):
    with tarfile.open(sources) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in project_files() if not name.startswith(".")} <= packed


def test_the_wheel_has_every_file_of_the_package(wheel):
    package = ROOT / "workflow_scripts"
    files = {
        str(file.relative_to(package))
        for file in (package / "splitlaw").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == files


def test_the_wheel_fits_plans_and_predicts_without_torch(programs, tmp_path):
    truth = law("effective_tokens")
    table(truth, noise=1e-3).to_csv(tmp_path / "losses.csv", index=False)
    cells(truth.domains).to_csv(tmp_path / "points.csv", index=False)
    for module in ABSENT:
        code = f"import importlib.util; print(importlib.util.find_spec({module!r}))"
        assert run(programs / "python", "-c", code, folder=tmp_path) == "None\n"
    splitlaw = programs / "splitlaw"
    options = ["--law", "effective_tokens", "--draws", "20"]
    fitted = ["--losses", "losses.csv", "--out", "fit.json", *options]
    assert "left out" in run(splitlaw, "fit_law", *fitted, folder=tmp_path)
    planned = ["--law", "fit.json", "--params", "3e7", "--flops", "5e17", "--out", "plan.json"]
    assert "this split" in run(splitlaw, "choose_split", *planned, folder=tmp_path)
    assert 0 < json.loads((tmp_path / "plan.json").read_text())["fraction_general"] < 1
    points = ["--law", "fit.json", "--points", "points.csv", "--out", "predictions.csv"]
    run(splitlaw, "predict_loss", *points, folder=tmp_path)
    assert (tmp_path / "predictions.csv").read_text().count("\n") == len(cells(truth.domains)) + 1


def test_the_extra_of_the_report_is_enough_for_its_pages(wheel, tmp_path):
    programs = environment(tmp_path / "environment", wheel, BASE | DECLARED["report"])
    table(law("effective_tokens"), noise=1e-3).to_csv(tmp_path / "losses.csv", index=False)
    options = ["--law", "effective_tokens", "--draws", "20"]
    splitlaw, fitted = programs / "splitlaw", ["--losses", "losses.csv", "--out", "fit.json"]
    run(splitlaw, "fit_law", *fitted, *options, folder=tmp_path)
    run(splitlaw, "report", "--law", "fit.json", folder=tmp_path)
    assert "explorer-data" in (tmp_path / "plan_page.html").read_text()
    budget = ["--params", "3e7", "--flops", "5e17", "--out", "report.html"]
    run(splitlaw, "report", "--losses", "losses.csv", *budget, folder=tmp_path)
    assert (tmp_path / "report.html").exists()


def test_a_stage_that_requires_an_extra_names_it(programs, tmp_path):
    words = ["--config", "{}", "--size", "s", "--results", "r", "--out", "r/trunk.json"]
    done = subprocess.run(
        [str(programs / "splitlaw"), "pretrain", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: \w+ is not installed; pip install 'splitlaw\[\w+\]'\n", done.stderr
    )

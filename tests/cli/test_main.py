"""The command line: its commands, its help, its exit statuses, and the scripts."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from splitlaw.cli import COMMANDS, main

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
NAMES = [name for commands in COMMANDS.values() for name in commands]
WITHOUT_SCRIPT = {"run", "status", "export", "chat", "serve"}
"""Commands that only `splitlaw` has."""
RENAMED = {"evaluate": "evaluate_models", "tokenize": "tokenize_corpus"}
"""Scripts whose command would shadow a module of Python or of Hugging Face."""


def splitlaw(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "splitlaw", *words], cwd=SCRIPTS, capture_output=True, text=True
    )


def test_every_command_has_help_and_imports_nothing_for_it():
    code = """
import sys
from splitlaw.cli import COMMANDS, main
for name in [name for commands in COMMANDS.values() for name in commands]:
    try:
        main([name, "--help"])
    except SystemExit as end:
        assert end.code == 0, name
ours = sys.stdlib_module_names | {"splitlaw", "__main__", "sitecustomize"}
modules = {name.split(".")[0] for name in sys.modules}
print("imported:", *sorted(m for m in modules - ours if not m.startswith("_")), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("usage: splitlaw ") == len(NAMES)
    assert done.stderr.strip() in ("imported:", "imported: distutils-precedence")


@pytest.mark.parametrize("words", [["--help"], ["fit_law", "--help"]])
def test_help_is_fast(words):
    def seconds() -> float:
        start = time.monotonic()
        assert splitlaw(*words).returncode == 0
        return time.monotonic() - start

    # The fastest of some, because other processes may use the processors too.
    assert min(seconds() for _ in range(5)) < 0.5


def test_the_list_of_commands_is_printed_without_a_command(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == listed
    assert re.findall(r"^  (\w+) {2,}\S", listed, re.MULTILINE) == NAMES
    assert all(len(line) <= 100 for line in listed.splitlines())


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("fit_lw", "did you mean fit_law?"), ("xyz", "splitlaw --help lists the commands")],
)
def test_an_unknown_command_is_one_line(name, remedy, capsys):
    assert main([name]) == 2
    assert capsys.readouterr().err == f"error: {name!r} is not a command of splitlaw; {remedy}\n"


@pytest.mark.parametrize("words", [["--losses", "x.csv"], ["--losses", "x", "--out", "y", "--z"]])
def test_a_wrong_call_is_one_line(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(["fit_law", *words])
    assert end.value.code == 2
    assert re.fullmatch(r"error: .*; see splitlaw fit_law --help\n", capsys.readouterr().err)


def test_the_module_runs_as_the_command():
    done = splitlaw("predict_loss", "--law", "none.json", "--points", "x.csv", "--out", "y.csv")
    assert done.returncode == 2
    assert done.stderr == "error: none.json: no such file; name an existing JSON file\n"
    by_path = [sys.executable, str(SCRIPTS / "splitlaw" / "__main__.py"), "--version"]
    version = subprocess.run(by_path, capture_output=True, text=True, check=True).stdout
    assert version == splitlaw("--version").stdout


def test_every_script_calls_its_command_and_nothing_else():
    wanted = {RENAMED.get(name, name): name for name in NAMES if name not in WITHOUT_SCRIPT}
    scripts = {file.stem: file.read_text() for file in SCRIPTS.glob("*.py")}
    assert set(scripts) == set(wanted)
    (text,) = {text.replace(wanted[stem], "NAME") for stem, text in scripts.items()}
    assert text.count("\n") < 10


def test_a_missing_package_is_one_line_with_its_extra(monkeypatch, capsys, tmp_path):
    # Other tests may have imported what requires torch.
    requiring = ("splitlaw.training", "splitlaw.stages", "splitlaw.zero_shot")
    for name in [name for name in sys.modules if name.startswith(requiring)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    job = ["--config", "{}", "--size", "s", "--results", str(tmp_path)]
    assert main(["pretrain", *job, "--out", str(tmp_path / "trunk.json")]) == 2
    wanted = "error: torch is not installed; pip install 'splitlaw[train]'\n"
    assert capsys.readouterr().err == wanted
    assert [file.name for file in tmp_path.iterdir()] == ["status"]

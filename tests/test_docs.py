"""The documentation agrees with the code: keys, stages, commands, files, names, messages."""

import ast
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

import make_configuration
import make_dag

from splitlaw.cli import COMMANDS
from splitlaw.common.errors import CommandParser

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_the_schema_and_the_reference_are_those_of_the_models():
    for file, text in (
        (make_configuration.SCHEMA, make_configuration.schema_text()),
        (make_configuration.PAGE, make_configuration.page()),
    ):
        made = file.read_text(encoding="utf-8")
        assert made == text, f"{file.name}: run python docs/make_configuration.py"


def test_every_key_of_the_configuration_is_described():
    schema = make_configuration.schema()
    for name, section in schema["properties"].items():
        assert make_configuration.resolved(section, schema)["description"]
        for path, node in make_configuration.keys(section, schema, name, {}):
            assert node.get("description"), f"{path} has no docstring"


def test_the_schema_has_standard_keywords_only():
    text = make_configuration.schema_text()
    assert not re.findall(r"^ *(?:- )?(?:ge|gt|le|lt|multiple_of): ", text, re.MULTILINE)


def test_the_figure_shows_all_stages():
    graph = make_dag.stages()
    assert set(graph) == set(make_dag.PLACES)
    drawn = make_dag.FIGURE.read_text(encoding="utf-8")
    assert all(f">{stage}<" in drawn for stage in graph)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_a_target(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [_anchor(head) for head in heads], f"{page.name} links to {link}"


def _anchor(head):
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    text = page.read_text(encoding="utf-8")
    rules = "\n".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    targets = {"all", *re.findall(r"^rule (\w+):", rules, re.MULTILINE)}
    for script in re.findall(r"python ((?:workflow_scripts|docs|perf|tests)/[\w/]+\.py)", text):
        assert "STAGE" in script or (ROOT / script).exists(), f"{page.name}: {script}"
    for command in _commands(text):
        words = re.sub(r"\s#.*|--[\w-]+ \S+|&&.*", "", command).split()
        if words[:1] == ["snakemake"] or words[:2] == ["splitlaw", "run"]:
            named = {word for word in words[1:] if re.fullmatch(r"[a-z_]+", word)} - {"run"}
            assert named <= targets, f"{page.name}: {command}"
        elif words[:1] == ["splitlaw"] and words[1:2] not in (["COMMAND"], ["STAGE"], ["resume"]):
            options = set(re.findall(r"--[\w-]+", command.partition("#")[0])) - {"--help"}
            assert options <= _options(words[1]), f"{page.name}: {command}"


def _options(command: str) -> set[str]:
    """The options of a command of `splitlaw`."""
    area = next((area for area, commands in COMMANDS.items() if command in commands), None)
    assert area, f"splitlaw has no command {command}"
    parser = CommandParser(prog=command)
    getattr(import_module(f"splitlaw.cli.{area}"), f"add_{command}")(parser)
    return {option for action in parser._actions for option in action.option_strings}


def _commands(text: str) -> list[str]:
    """Command lines in code blocks and in running text."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [line.strip() for block in blocks for line in block.splitlines()] + inline
    return [line for line in lines if line.startswith(("snakemake ", "splitlaw "))]


def test_messages_of_troubleshooting_are_in_the_code():
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^### `([^`]+)`", page, re.MULTILINE)
    assert len(quoted) > 20
    known = [_joined(text) for file in SOURCES for text in _texts(file)]
    missing = [message for message in quoted if not any(_joined(message) in text for text in known)]
    assert not missing, "reworded in the code: " + "; ".join(missing)


ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "workflow_scripts" / "splitlaw"


def test_files_of_the_architecture_exist():
    paths = re.findall(r"`([\w./]+(?:\.py|\.smk|/))`", ARCHITECTURE)
    assert len(paths) > 20
    missing = [path for path in paths if not any((top / path).exists() for top in (PACKAGE, ROOT))]
    assert not missing


def test_every_folder_is_in_the_architecture():
    table = ARCHITECTURE.partition("## Folders")[2].partition("## Layers")[0]
    for folder in PACKAGE.iterdir():
        if (folder / "__init__.py").exists():
            assert f"`{folder.name}/`" in table


def test_names_of_the_architecture_exist():
    text, before = " ".join(ARCHITECTURE.split()), ""
    pairs = re.findall(r"`([\w.]+)` in (?:`([\w/]+\.(?:py|smk))`|the same module)", text)
    assert len(pairs) > 15
    missing = []
    for name, path in pairs:
        before = path or before
        file = next(top / before for top in (PACKAGE, ROOT) if (top / before).exists())
        missing += [f"{name} in {before}"] if name not in _defined(file) else []
    assert not missing


def _defined(file: Path) -> set[str]:
    """Functions, classes and their methods in a module or in a file of rules."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".smk":
        pattern = r"^(?:def|rule|checkpoint|use rule \w+ as) (\w+)"
        return set(re.findall(pattern, text, re.MULTILINE))
    kinds = (ast.FunctionDef, ast.ClassDef)
    top = [node for node in ast.parse(text).body if isinstance(node, kinds)]
    inner = {f"{n.name}.{m.name}" for n in top for m in n.body if isinstance(m, kinds)}
    return {node.name for node in top} | inner


SOURCES = sorted((ROOT / "workflow_scripts").rglob("*.py"))


def _texts(file):
    """All string literals of a module, with … for the parts that are filled in."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _joined(text):
    """Adjacent … become one, so that it does not matter how many parts are filled in."""
    return re.sub(r"(…[ .:]*)+", "…", " ".join(text.split())).strip("… ")

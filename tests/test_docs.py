"""The documents say what is there: keys, stages, targets, files."""

import ast
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

import make_configuration
import make_dag

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_the_configuration_reference_is_that_of_the_schema():
    told = make_configuration.PAGE.read_text(encoding="utf-8")
    assert told == make_configuration.page(), "run python docs/make_configuration.py"


def test_every_key_of_the_configuration_is_described(schema):
    for name, section in schema["properties"].items():
        assert section["description"]
        for path, node in make_configuration.keys(section, schema, name, {}):
            assert node.get("description"), f"{path} has no description in config.schema.yaml"


def test_the_figure_shows_the_stages_that_there_are():
    graph = make_dag.stages()
    assert set(graph) == set(make_dag.PLACES)
    drawn = make_dag.FIGURE.read_text(encoding="utf-8")
    assert all(f">{stage}<" in drawn for stage in graph)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
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
def test_commands_name_what_there_is(page):
    text = page.read_text(encoding="utf-8")
    rules = "\n".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    known = set(re.findall(r"^rule (\w+):", rules, re.MULTILINE))
    for block in re.findall(r"```(?:\w*)\n(.*?)```", text, re.DOTALL):
        for script in re.findall(r"python ((?:workflow_scripts|docs|perf)/\w+\.py)", block):
            assert (ROOT / script).exists(), script
        for line in re.findall(r"^snakemake (.*)$", block, re.MULTILINE):
            words = re.sub(r"\s#.*|--[\w-]+ \S+|&&.*", "", line).split()
            for word in words:
                if re.fullmatch(r"[a-z_]+", word):
                    assert word in known, f"{page.name}: snakemake {word}"


def test_the_messages_of_troubleshooting_are_those_of_the_code():
    said = " ".join((ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8").split())
    heads = re.findall(r"### `([^`]+)`", said)
    assert len(heads) > 20
    known = [_joined(text) for file in SOURCES for text in _texts(file)]
    for head in heads:
        assert any(_joined(head) in text for text in known), head


SOURCES = sorted((ROOT / "workflow_scripts").rglob("*.py"))


def _texts(file):
    """Every text in a module, with … for what is filled in."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _joined(text):
    """Without the difference between one thing filled in and two."""
    return re.sub(r"(…[ .:]*)+", "…", " ".join(text.split())).strip("… ")

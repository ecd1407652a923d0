"""Write config.schema.yaml and docs/configuration.md from the models of the configuration.

python docs/make_configuration.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from splitlaw.experiment.config import ExperimentConfig  # noqa: E402

SCHEMA = ROOT / "config.schema.yaml"
PAGE = ROOT / "docs" / "configuration.md"
SCHEMA_HEAD = """\
# The configuration as a JSON schema, for editors that check YAML. Made from the models in
# workflow_scripts/splitlaw/experiment by `python docs/make_configuration.py`; do not edit.
"""
PAGE_HEAD = """# Configuration

This page lists all keys of `config.yaml`. [Terms](terms.md) defines the words.

- NAME is a name that you choose.
- An unknown key or an invalid value is reported in one line, before anything starts.
- Write `3.0e-4` instead of `3e-4`, which YAML reads as text.
- `splitlaw run --configfile my.yaml` uses `my.yaml` instead of `config.yaml` if it has every
  section marked *required* below; the files that `splitlaw new_experiment` writes have them. A file
  with only some of these sections changes `config.yaml`.
- Keys of `execution` determine where and how results are computed. If you change them, no result
  is computed again. If you add sizes, domains, seeds or tokens, only the additional models are
  trained.

`python docs/make_configuration.py` writes this page from `workflow_scripts/splitlaw/experiment`.
"""

KEYWORDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
"""JSON schema's names of constraints that pydantic writes under its own names where a validator
converts the value first."""
ARRAY_KEYWORDS = {"minLength": "minItems", "maxLength": "maxItems"}
"""The same for the length of lists."""
NAMED = ("properties", "patternProperties", "$defs")
"""Keywords whose values have names of the configuration as keys, not keywords."""

BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
}
KINDS = {
    "object": "keys",
    "array": "list",
    "string": "text",
    "boolean": "true or false",
    "number": "number",
    "integer": "integer",
}
PLURALS = {"string": "texts", "number": "numbers", "integer": "integers"}

Node = dict[str, Any]


def main() -> None:
    """Write both files."""
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


# ---- the schema -------------------------------------------------------------------------------


def schema_text() -> str:
    """The schema as YAML."""
    return SCHEMA_HEAD + yaml.safe_dump(schema(), sort_keys=False, width=100)


@cache
def schema() -> Node:
    """The schema of a whole configuration, its sections in the order of config.yaml."""
    made = plain(ExperimentConfig.model_json_schema())
    order = [*yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))]
    sections = made["properties"]
    names = [*order, *(name for name in sections if name not in order)]
    made["properties"] = {name: sections[name] for name in names}
    made["required"] = [name for name in names if name in made["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def plain(node: Any) -> Any:
    """A part of pydantic's schema in standard keywords, without titles and defaults of sections."""
    if isinstance(node, list):
        return [plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    names = {**KEYWORDS, **(ARRAY_KEYWORDS if node.get("type") == "array" else {})}
    made = {}
    for key, value in node.items():
        if key == "title" or (key == "default" and (value is None or isinstance(value, dict))):
            continue
        if key in NAMED:
            made[key] = {name: plain(each) for name, each in value.items()}
        elif key == "description":
            made[key] = " ".join(value.split())
        else:
            made[names.get(key, key)] = plain(value)
    if "patternProperties" in made:
        made["additionalProperties"] = False
    return made


# ---- the page ---------------------------------------------------------------------------------


def page() -> str:
    """The whole reference."""
    whole = schema()
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    parts = [PAGE_HEAD]
    described: dict[str, str] = {}
    for name, section in whole["properties"].items():
        mark = " (required)" if name in whole["required"] else ""
        parts.append(f"## {name}{mark}\n\n{resolved(section, whole)['description']}\n")
        rows = list(keys(section, whole, name, described))
        parts.append(table(rows, config))
    return "\n".join(part for part in parts if part)


def resolved(node: Node, whole: Node) -> Node:
    """A node with its reference followed; a description beside a reference takes precedence."""
    if "$ref" in node:
        return {**whole["$defs"][node["$ref"].rsplit("/", 1)[1]], **node}
    return node


def alternatives(node: Node, whole: Node) -> list[Node]:
    """The schemas that a value may follow, without that of null."""
    listed = [*node.get("anyOf", []), *node.get("oneOf", [])] or [node]
    return [resolved(each, whole) for each in listed if each.get("type") != "null"]


def keys(
    node: Node, whole: Node, path: str, described: dict[str, str]
) -> Iterator[tuple[str, Node]]:
    """All keys below a node with their own nodes, depth first.

    The keys of a section that appears several times are listed once; `described` has the place.
    """
    for form in alternatives(resolved(node, whole), whole):
        required = form.get("required", [])
        for name, child in form.get("properties", {}).items():
            here = f"{path}.{name}"
            found = {**resolved(child, whole), "required_key": name in required}
            yield here, found
            if name != "by_size":  # has the same keys as the section itself
                yield from _below(child, whole, here, described)
        for below in form.get("patternProperties", {}).values():
            yield from _below(below, whole, f"{path}.NAME", described)


def _below(
    node: Node, whole: Node, path: str, described: dict[str, str]
) -> Iterator[tuple[str, Node]]:
    """The keys inside a value: of a section, or of each item of a list of sections."""
    for form in alternatives(node, whole):
        if isinstance(form.get("items"), dict):
            yield from _below(form["items"], whole, f"{path}[]", described)
        reference = form.get("$ref")
        if reference in described and described[reference] != path:
            continue
        if reference:
            described[reference] = path
        yield from keys(form, whole, path, described)


def table(rows: list[tuple[str, Node]], config: Node) -> str:
    """The keys of a section as a table."""
    if not rows:
        return ""
    lines = ["| key | description | value | default | config.yaml |", "|---|---|---|---|---|"]
    for path, node in rows:
        short = path.split(".", 1)[1]
        description = node.get("description", "").replace("|", "\\|")
        cells = (f"`{short}`", description, value(node), default(node), present(path, config))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def value(node: Node) -> str:
    """The values that a key allows, in words."""
    forms = alternatives(node, schema())
    described = list(dict.fromkeys(form_of_value(form) for form in forms))
    null = [each for each in node.get("anyOf", []) if each.get("type") == "null"]
    return " or ".join([*described, *(["null"] if null and "$ref" in str(node["anyOf"]) else [])])


def form_of_value(node: Node) -> str:
    """The values of one form, in words."""
    if "enum" in node or "const" in node:
        return ", ".join(f"`{choice}`" for choice in node.get("enum", [node.get("const")]))
    if node.get("type") != "array":
        return KINDS[node["type"]] + bounds(node)
    items = node.get("items", {})
    if "prefixItems" in node:
        return f"list of {len(node['prefixItems'])} numbers"
    if "enum" in items:
        return "list of " + form_of_value(items)
    return f"list of {PLURALS.get(items.get('type', ''), 'keys')}" + bounds(items)


def bounds(node: Node) -> str:
    """The limits of a number."""
    limits = [words.format(node[key]) for key, words in BOUNDS.items() if key in node]
    return f", {' and '.join(limits)}" if limits else ""


def default(node: Node) -> str:
    """The value of an absent key."""
    if node.get("required_key"):
        return "required"
    return f"`{flow(node['default'])}`" if "default" in node else ""


def present(path: str, config: Node) -> str:
    """The value in config.yaml, where it is short."""
    here: Any = config
    for part in path.split("."):
        if not isinstance(here, dict) or part not in here:
            return ""
        here = here[part]
    if isinstance(here, dict) or (
        isinstance(here, list) and any(isinstance(x, dict) for x in here)
    ):
        return ""
    return f"`{flow(here)}`"


def flow(value: Any) -> str:
    """A value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.replace("\n...", "").strip()


if __name__ == "__main__":
    main()

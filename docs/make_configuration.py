"""Write docs/configuration.md from config.schema.yaml and config.yaml.

python docs/make_configuration.py
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"
HEAD = """# Configuration

Every key of `config.yaml`, made from `config.schema.yaml` by `python docs/make_configuration.py`.
An unknown key or a value out of bounds is refused in one line before anything starts. NAME stands
for a name of your own. Write `3.0e-4`, not `3e-4`, which YAML takes for text.

`snakemake --configfile my.yaml` takes `my.yaml` as it stands where it has every section that is
marked *required* below, as the files of `snakemake new_experiment` do; with only some sections it
changes `config.yaml`. What is in `execution` decides where and how things are computed and never
makes anything again; every other change trains what it adds and nothing else.
"""

Node = dict[str, Any]


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole reference."""
    schema = yaml.safe_load((ROOT / "config.schema.yaml").read_text(encoding="utf-8"))
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    parts = [HEAD]
    told: dict[str, str] = {}
    for name, section in schema["properties"].items():
        mark = " (required)" if name in schema["required"] else ""
        parts.append(f"## {name}{mark}\n\n{section['description']}\n")
        rows = list(keys(section, schema, name, told))
        parts.append(table(rows, config))
    return "\n".join(part for part in parts if part)


def keys(node: Node, schema: Node, path: str, told: dict[str, str]) -> Iterator[tuple[str, Node]]:
    """Every key below a node with its own node, depth first.

    What several keys refer to is told in full once; `told` holds where.
    """
    for name, child in node.get("properties", {}).items():
        here, reference = f"{path}.{name}", child.get("$ref", "")
        found = schema["$defs"][reference.rsplit("/", 1)[1]] if reference else child
        if reference in told and ("properties" in found or "items" in found):
            yield here, {**found, "description": f"As {told[reference]}."}
            continue
        if reference:
            told[reference] = here.split(".", 1)[1]
        yield here, found
        if name != "by_size":  # takes the keys that stand beside it
            yield from keys(found, schema, here, told)
    for part, step in (("additionalProperties", ".NAME"), ("items", "[]")):
        if isinstance(node.get(part), dict):
            yield from keys(node[part], schema, f"{path}{step}", told)


def table(rows: list[tuple[str, Node]], config: Node) -> str:
    """The keys of a section as a table."""
    if not rows:
        return ""
    lines = ["| key | what | value | in config.yaml |", "|---|---|---|---|"]
    for path, node in rows:
        short = path.split(".", 1)[1] if "." in path else path
        what = node.get("description", "").replace("|", "\\|")
        lines.append(f"| `{short}` | {what} | {value(node)} | {present(path, config)} |")
    return "\n".join(lines) + "\n"


BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
}


def value(node: Node) -> str:
    """What a value may be, in words."""
    if "enum" in node:
        return ", ".join(f"`{choice}`" for choice in node["enum"])
    kind = node.get("type", "")
    kinds = [kind] if isinstance(kind, str) else kind
    words = {"object": "keys", "array": "list", "string": "text", "boolean": "true or false"}
    told = " or ".join(words.get(k, k) for k in kinds)
    items = node.get("items", {})
    if kind == "array" and "enum" in items:
        return "list of " + ", ".join(f"`{choice}`" for choice in items["enum"])
    if kind == "array" and isinstance(items.get("type"), str):
        item = items["type"]
        plural = {"string": "texts", "object": "mappings"}.get(item, f"{item}s")
        told = f"list of {plural}" + bounds(items)
    return told + bounds(node)


def bounds(node: Node) -> str:
    """The limits of a number."""
    told = [words.format(node[key]) for key, words in BOUNDS.items() if key in node]
    return f", {' and '.join(told)}" if told else ""


def present(path: str, config: Node) -> str:
    """What config.yaml has there, where it is short."""
    here: Any = config
    for part in path.split("."):
        if not isinstance(here, dict) or part not in here:
            return ""
        here = here[part]
    if isinstance(here, dict) or (
        isinstance(here, list) and any(isinstance(x, dict) for x in here)
    ):
        return ""
    told = yaml.safe_dump(here, default_flow_style=True, width=1000).replace("\n...", "").strip()
    return f"`{told}`"


if __name__ == "__main__":
    main()

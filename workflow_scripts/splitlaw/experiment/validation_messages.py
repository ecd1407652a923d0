"""Messages for configurations that pydantic refuses, in one line: key, problem, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

RENAMED: dict[str, str] = {"law.bootstrap": "law.draws"}
"""Old path of each renamed key to its new path."""

GIVEN, DISCOVERED = "<given>", "<discovered>"
"""Tags of the two forms of `corpus.domains`. pydantic puts them into the path of an error; the
brackets distinguish them from keys."""

EXPECTED = {
    "bool_type": "give true or false",
    "dict_type": "give keys",
    "finite_number": "give a finite number",
    "float_type": "give a number",
    "greater_than": "give a number above {gt:g}",
    "greater_than_equal": "give a number of at least {ge:g}",
    "int_type": "give a whole number",
    "less_than": "give a number below {lt:g}",
    "less_than_equal": "give a number of at most {le:g}",
    "literal_error": "give {expected}",
    "mapping_type": "give keys",
    "model_type": "give keys",
    "multiple_of": "give a multiple of {multiple_of:g}",
    "string_type": "give text, in quotes where YAML would read a number",
    "too_long": "give at most {max_length}",
    "too_short": "give at least {min_length}",
    "tuple_type": "give a list",
}
"""The remedy for a value that one of pydantic's checks refuses, by the type of the error."""

Location = tuple[int | str, ...]


def explain(error: ValidationError, model: type[BaseModel], *, section: str = "") -> str:
    """The most informative error of a validation in one line, without the name of the file.

    `section` is the key whose value was validated. An unknown key is reported before the others: a
    misspelt key also causes a missing one, whose report would be less specific.
    """
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    location = tuple(part for part in first["loc"] if part not in (GIVEN, DISCOVERED))
    if first["type"] == "extra_forbidden":
        return _cut(_unknown(location, model, section))
    if first["type"] == "missing":
        return _cut(_missing(location, section, first["input"]))
    return _cut(_wrong(location, section, first))


def _cut(message: str) -> str:
    """A message of one line of bounded length, of which the problem and the remedy are the ends."""
    message = " ".join(message.split())
    return message if len(message) <= 500 else f"{message[:300]} ... {message[-150:]}"


def path(location: Location, section: str = "") -> str:
    """A location as it is written in messages: `corpus.domains.law.sources[0].files`."""
    parts = [section] if section else []
    for part in location:
        if isinstance(part, int) and parts:
            parts[-1] += f"[{part}]"
        else:
            parts.append(str(part))
    return ".".join(parts)


def _unknown(location: Location, model: type[BaseModel], section: str) -> str:
    key, new = str(location[-1]), RENAMED.get(path(location, section))
    if new:
        return f"{path(location, section)} is now called {new}; rename it"
    known = known_keys(model, location[:-1])
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known keys are {', '.join(known)}"
    return f"unknown key {key} in {path(location[:-1], section) or 'the top level'}; {hint}"


def _missing(location: Location, section: str, value: Any) -> str:
    where = path(location[:-1], section) or "the top level"
    if isinstance(location[-1], int):  # a list of fixed length
        return f"{where} has {_count(value)}; give more"
    return f"{where} has no {location[-1]}; add it"


def _wrong(location: Location, section: str, error: Mapping[str, Any]) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if location and location[-1] == "[key]":
        name = path(location[:-2], section)
        if kind == "string_type":
            return f"{name} has the name {value!r}; {EXPECTED[kind]}"
        return f"{name} has the name {value!r}; give one that matches {context['pattern']}"
    where = path(location, section)
    if kind == "value_error":
        return f"{where}: {context['error']}" if where else str(context["error"])
    if kind in ("int_type", "float_type") and isinstance(value, str):
        if "e" in value.lower():
            return f"{where} is the text {_short(value)}; write a number (3.0e-4, not 3e-4)"
        return f"{where} is the text {_short(value)}; write a number"
    if kind == "string_pattern_mismatch":
        return f"{where} is {_short(value)}; give text that matches {context['pattern']}"
    known = EXPECTED.get(kind)
    remedy = known.format(**context) if known else f"{error['msg']}; correct the value"
    if value is None:
        return f"{where or 'the content'} is empty; {remedy}"
    if kind in ("too_long", "too_short"):
        return f"{where} has {_count(value)}; {remedy}"
    return f"{where or 'the content'} is {_short(value)}; {remedy}"


def _count(values: Any) -> str:
    return f"{len(values)} value{'' if len(values) == 1 else 's'}"


def _short(value: Any) -> str:
    """A value as text, cut where a mapping or list would fill the line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def known_keys(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that a model allows at a location, sorted."""
    schema = model.model_json_schema()
    nodes = [schema]
    for part in location:
        nodes = [below for node in nodes for below in _below(_alternatives(node, schema), part)]
    found = {key for node in nodes for each in _alternatives(node, schema) for key in _keys(each)}
    return sorted(found)


def _keys(node: Mapping[str, Any]) -> Sequence[str]:
    return list(node.get("properties", {}))


def _alternatives(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas that a value at `node` may follow, with references resolved."""
    if "$ref" in node:
        yield from _alternatives(schema["$defs"][node["$ref"].rsplit("/", 1)[1]], schema)
        return
    inner = [*node.get("anyOf", []), *node.get("oneOf", [])]
    for each in inner:
        yield from _alternatives(each, schema)
    if not inner:
        yield dict(node)


def _below(nodes: Iterator[dict[str, Any]], part: int | str) -> Iterator[dict[str, Any]]:
    for node in nodes:
        if part in node.get("properties", {}):
            yield node["properties"][part]
            continue
        yield from node.get("patternProperties", {}).values()
        for key in ("additionalProperties", "items"):
            if isinstance(node.get(key), dict):
                yield node[key]

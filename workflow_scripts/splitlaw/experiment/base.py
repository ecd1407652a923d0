"""The base of every section of the configuration, and the types of its values.

Values are kept as written: a whole number remains an integer where any number is allowed. Results
are identified by digests of these values, and `1` and `1.0` have different digests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.functional_validators import WrapValidator

from splitlaw.common.errors import UserError
from splitlaw.experiment.validation_messages import explain


class Settings(BaseModel):
    """A section of the configuration: immutable, and without keys that are not declared.

    The docstring below a field is its description in the schema. Values are not converted: text is
    never read as a number.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    @classmethod
    def read(cls, content: Mapping[str, Any], *, where: str, section: str = "") -> Self:
        """Validate `content` and return it as a section.

        `where` names the file or option that `content` is from, and `section` the key that it has
        there. Raises `UserError` that names both and the invalid key.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise UserError(f"{where}: {explain(error, cls, section=section)}") from None

    @classmethod
    def load(cls, source: str, *, section: str = "", option: str = "--config") -> Self:
        """Read a section from `source`, inline JSON or the name of a JSON or YAML file.

        The file may hold a complete configuration, of which only `section` is read. `option` is the
        command-line option whose value is `source`, for messages.
        """
        where = option if is_inline(source) else source
        return cls.read(load_config(source, section, option=option), where=where, section=section)


def is_inline(source: str) -> bool:
    """Whether the value of an option is inline JSON, not the name of a file."""
    return source.lstrip().startswith("{")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises `ValueError` for a key that occurs twice."""
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the key {twice} occurs twice")
    return dict(pairs)


class _UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a key which occurs twice; by default the last one counts."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag == "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} occurs twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def load_config(source: str, section: str = "", *, option: str = "--config") -> dict[str, Any]:
    """Read inline JSON, or a JSON or YAML file; return only the value of `section` if it has one.

    Raises `UserError` that names the file, or `option` for inline JSON.
    """
    inline = is_inline(source)
    where, kind = (option, "JSON") if inline else (source, "YAML")
    try:
        text = source if inline else Path(source).read_text(encoding="utf-8")
        content = (
            json.loads(text, object_pairs_hook=_unique)
            if inline or source.endswith(".json")
            else yaml.load(text, Loader=_UniqueKeys)
        )
    except OSError as cause:
        raise UserError(f"{where}: cannot be read ({cause.strerror}); correct the path") from None
    except (ValueError, yaml.YAMLError) as cause:
        reason = " ".join(str(cause).split())
        raise UserError(f"{where}: cannot be read as {kind} ({reason}); correct it") from None
    if isinstance(content, dict) and section:
        content = content.get(section, content)
    if not isinstance(content, dict):
        raise UserError(f"{where}: has no keys; give {kind} with keys and values")
    return content


def _keep_integer(value: Any, check: Callable[[Any], float]) -> float:
    checked = check(value)
    return value if isinstance(value, int) else checked


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Item = TypeVar("Item")


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"has {value} twice; remove one of them")
    return values


Number = Annotated[float, WrapValidator(_keep_integer)]
"""Any finite number; integers are kept."""
Count = Annotated[int, BeforeValidator(_whole)]
"""A whole number, which may be written like `2.0e+6`."""
Natural = Annotated[Count, Field(ge=0)]
"""A whole number of at least 0."""
Positive = Annotated[Count, Field(ge=1)]
"""A whole number of at least 1."""
Fraction = Annotated[Number, Field(gt=0, lt=1)]
"""A number between 0 and 1, both excluded."""
Share = Annotated[Number, Field(ge=0, lt=1)]
"""A number of at least 0 and below 1."""
Values = Annotated[tuple[Item, ...], Field(strict=False)]
"""A list, which is kept as a tuple."""
Distinct = Annotated[
    tuple[Item, ...],
    Field(strict=False, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]
"""A list without repeated values, which is kept as a tuple."""
Seeds = Annotated[Distinct[Natural], Field(min_length=1)]
"""Seeds of initialisation and data order."""

"""The base class of the sections of the configuration, reading them, and types of values.

Values are kept as written: a whole number remains an integer where any number is allowed. Results
are identified by digests of these values, and `1` and `1.0` have different digests.
"""

from __future__ import annotations

import json
import math
import re
import sys
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
        except UnicodeEncodeError as error:
            text = error.object[max(error.start - 20, 0) : error.end]
            raise UserError(
                f"{where}: {text!r} ends with half a character; write all of it, or remove it"
            ) from None

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


_OTHER_BASE = re.compile(r"[-+]?(?:0[0-9_]+|[0-9][0-9_]*(?::[0-9_]+)+(?:\.[0-9_]*)?)")
"""Numbers that YAML 1.1 reads to the base 8, such as 010, or 60, such as 1:30."""


class _StrictLoader(yaml.SafeLoader):
    """A loader that refuses what YAML reads otherwise than it looks.

    That is a key which occurs twice, of which the last one would count, and a number that YAML
    does not read as decimal.
    """

    def construct_scalar(self, node: Any) -> Any:
        scalar = isinstance(node, yaml.ScalarNode)
        number = scalar and node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        if number and _OTHER_BASE.fullmatch(node.value):
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"YAML reads {node.value} as another number: write it in decimal, or quote it",
                node.start_mark,
            )
        return super().construct_scalar(node)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key.value, str):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is a list or has keys itself", key.start_mark
                )
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
    is_json = inline or source.endswith(".json")
    where, kind = option if inline else source, "JSON" if is_json else "YAML"
    try:
        text = source if inline else Path(source).read_text(encoding="utf-8-sig")
        content = (
            json.loads(text, object_pairs_hook=_unique)
            if is_json
            else yaml.load(text, Loader=_StrictLoader)
        )
    except OSError as cause:
        raise UserError(f"{where}: cannot be read ({cause.strerror}); correct the path") from None
    except RecursionError:
        raise UserError(
            f"{where}: cannot be read as {kind} (too many levels); correct it"
        ) from None
    except (ValueError, LookupError, AttributeError, yaml.YAMLError) as cause:  # of wrong tags
        reason = " ".join(str(cause).split())
        raise UserError(f"{where}: cannot be read as {kind} ({reason}); correct it") from None
    if isinstance(content, dict) and section:
        content = content.get(section, content)
    if not isinstance(content, dict):
        raise UserError(f"{where}: has no keys; give {kind} with keys and values")
    return content


def _keep_integer(value: Any, check: Callable[[Any], float]) -> float:
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise ValueError("the number is too large; give a smaller one")
    checked = check(value)
    return value if isinstance(value, int) else checked


LARGEST_COUNT = 1 << 53
"""Larger whole numbers differ by less than the precision of a float."""


def whole(value: Any) -> Any:
    """A whole number as an integer, and other values unchanged; `ValueError` if it is too large."""
    if isinstance(value, int | float) and LARGEST_COUNT < abs(value) < math.inf:
        raise ValueError(f"the number is too large; give at most {LARGEST_COUNT:.0e}")
    return int(value) if isinstance(value, float) and value.is_integer() else value


Item = TypeVar("Item")


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"has {value} twice; remove one of them")
    return values


def _in_thousandths(share: float) -> float:
    if 0 < share < 0.001 or share > 0.999:
        raise ValueError(f"is {share}; give 0, or a share from 0.001 to 0.999")
    return share


Number = Annotated[float, WrapValidator(_keep_integer)]
"""Any finite number; integers are kept."""
Count = Annotated[int, BeforeValidator(whole)]
"""A whole number, which may be written like `2.0e+6`."""
Natural = Annotated[Count, Field(ge=0)]
"""A whole number of at least 0."""
Positive = Annotated[Count, Field(ge=1)]
"""A whole number of at least 1."""
Fraction = Annotated[Number, Field(gt=0, lt=1)]
"""A number between 0 and 1, both excluded."""
Share = Annotated[Number, Field(ge=0, lt=1), AfterValidator(_in_thousandths)]
"""A number of at least 0 and below 1, of which thousandths count."""
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

"""Options of a plan, and the values of options that are lists or pairs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _ArgumentGroup
from collections.abc import Sequence
from typing import Any, TypeAlias

Options: TypeAlias = ArgumentParser | _ArgumentGroup
"""What options are declared on."""


def add_plan_options(parser: Options) -> None:
    """Declare the options of a plan besides its budget."""
    add = parser.add_argument
    add("--params", metavar="N", help="model size, or several separated by commas (any size)")
    add("--flops-per-token", type=float, metavar="F", help="FLOPs per token (those of the table)")
    add(
        "--pretrain-tokens",
        type=float,
        metavar="D",
        help="tokens of an existing base model; the budget then pays for D' alone",
    )
    add(
        "--unique-tokens",
        nargs="+",
        action="extend",
        default=[],
        metavar="domain=TOKENS",
        help="tokens of available text, which is repeated beyond them (no limit)",
    )
    add_domains(parser)


def add_domains(parser: Options) -> None:
    """Declare the options of a plan that `next_runs` has too."""
    add = parser.add_argument
    add(
        "--domains",
        metavar="a,b,c",
        help='domains to plan for; a name with a comma is written as a,"b,c" (all)',
    )
    add(
        "--trunk",
        choices=["shared", "independent"],
        default="shared",
        help="one general run for all domains, or one for each (%(default)s)",
    )
    add(
        "--weights",
        nargs="+",
        action="extend",
        default=[],
        metavar="domain=W",
        help="weights of the domains in the mean loss (equal)",
    )


def read_plan_options(args: Namespace) -> dict[str, Any]:
    """The values of the options that `add_plan_options` declares."""
    return {
        "params": numbers(args.params, "--params"),
        "domains": names(args.domains, "--domains"),
        "trunk": args.trunk,
        "weights": pairs(args.weights, "--weights"),
        "unique_tokens": pairs(args.unique_tokens, "--unique-tokens"),
        "flops_per_token": args.flops_per_token,
        "pretrain_tokens": args.pretrain_tokens,
    }


def base_tokens(text: str) -> float | str:
    """A number, or any other text as it is: the fit refuses what it does not know."""
    try:
        return float(text)
    except ValueError:
        return text


def general_loss(given: str | None) -> float | None:
    """A general loss: a number, or that of the base in the trunk.json of its runs."""
    from splitlaw.common.errors import UserError
    from splitlaw.common.files import read_json

    if given is None:
        return None
    try:
        return float(given)
    except ValueError:
        content = read_json(given)
    try:
        return float(content["base"]["losses"]["general"]["loss"])
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"--base-general-loss {given}: has no general loss of a base; give the trunk.json of a "
            "base, or a number"
        ) from None


def shares(given: Sequence[str] | None) -> float | str | dict[str, float | str] | None:
    """Shares of replay: `domain=r`, `domain=free`, or one share or `free` of all domains."""
    from splitlaw.common.errors import UserError

    if given is None:
        return None
    found: dict[str, float | str] = {}
    for text in given:
        name, _, value = text.rpartition("=")
        _check_new(name or "the share of all domains", name in found, "--replay")
        try:
            found[name] = value if value == "free" else float(value)
        except ValueError:
            raise UserError(
                f"--replay {text!r}: give domain=r, domain=free, or a share of all domains"
            ) from None
    if "" not in found:
        return found
    if len(found) > 1:
        raise UserError("--replay: give one share of all domains, or domain=r for each")
    return found[""]


def _check_new(name: str, known: bool, flag: str) -> None:
    """Refuse a name that was given before, perhaps with another value."""
    from splitlaw.common.errors import UserError

    if known:
        raise UserError(f"{flag}: {name} is given twice; give it once")


def pairs(given: Sequence[str], flag: str) -> dict[str, float]:
    """`domain=number` arguments as a dictionary."""
    from splitlaw.common.errors import UserError

    found: dict[str, float] = {}
    for text in given:
        name, _, value = text.rpartition("=")
        _check_new(name, name in found, flag)
        try:
            found[name] = float(value)
        except ValueError:
            raise UserError(f"{flag} {text!r}: give domain=number") from None
    return found


def names(text: str | None, flag: str) -> list[str] | None:
    """Names separated by commas, a name with a comma between double quotes; None if left out."""
    import csv

    from splitlaw.common.errors import UserError

    if text is None:
        return None
    try:
        (found,) = csv.reader([text], strict=True, skipinitialspace=True)
    except (csv.Error, ValueError):
        raise UserError(
            f"{flag} {text!r}: give names separated by commas; a name with a comma is written "
            "between double quotes, as in 'a,\"b,c\"'"
        ) from None
    if not found:
        raise UserError(f"{flag} is empty; give names separated by commas")
    return found


def numbers(text: str | None, flag: str) -> list[float] | None:
    """Numbers separated by commas; None if the option is left out."""
    from splitlaw.common.errors import UserError

    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{flag} {text!r}: give a number, or several separated by commas") from None

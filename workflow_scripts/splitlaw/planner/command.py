"""What `choose_split.py` does with its arguments."""

import argparse
from collections.abc import Sequence

from splitlaw.common.errors import UserError
from splitlaw.laws.result import FitResult
from splitlaw.planner.inverse import least_compute
from splitlaw.planner.plan import plan


def pairs(given: Sequence[str], flag: str) -> dict[str, float]:
    """`domain=number` arguments as a dictionary."""
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise UserError(f"{flag} {text!r}: give domain=number") from None
    return found


def numbers(text: str | None, flag: str) -> list[float] | None:
    """Numbers between commas; None for nothing."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{flag} {text!r}: give a number, or several by commas") from None


def choose_split(args: argparse.Namespace) -> None:
    """Read the fit, plan, write plan.json, print what it says."""
    if (args.flops is None) == (args.target_loss is None):
        raise UserError("give one of --flops and --target-loss")
    options = {
        "params": numbers(args.params, "--params"),
        "domains": args.domains.split(",") if args.domains else None,
        "trunk": args.trunk,
        "weights": pairs(args.weights, "--weights"),
        "unique_tokens": pairs(args.unique_tokens, "--unique-tokens"),
        "flops_per_token": args.flops_per_token,
        "pretrain_tokens": args.pretrain_tokens,
        "min_tokens_per_model": args.min_tokens_per_model,
    }
    fit = FitResult.load(args.law)
    if args.target_loss is not None:
        made = least_compute(fit, loss=args.target_loss, **options)
    else:
        made = plan(fit, flops=args.flops, **options)
    made.save(args.out)
    print(made.summary())

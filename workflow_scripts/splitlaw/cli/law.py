"""Commands that require neither torch nor a checkout: the law, the plan, predictions."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace, _ArgumentGroup
from collections.abc import Sequence
from typing import Any, TypeAlias

from splitlaw.cli.outputs import output_file


def add_fit_law(parser: ArgumentParser) -> None:
    """Declare the options; those left out take the defaults of `splitlaw.fit_law`."""
    add = parser.add_argument
    parser.argument_default = SUPPRESS
    add("--losses", required=True, help="table of losses, CSV")
    add("--out", type=output_file, required=True, help="fit.json to write")
    add("--law", metavar="NAME|auto", help="form of the law; auto averages the default ones (auto)")
    add(
        "--discrepancy",
        choices=["on", "none"],
        help="smooth correction of the form; none is the classical fit (on)",
    )
    add(
        "--draws",
        "--bootstrap",
        type=int,
        metavar="N",
        help="draws of the posterior, for the 90%% intervals (300)",
    )
    add("--seed", type=int, metavar="S", help="seed of the draws (0)")
    add(
        "--min-tokens-per-param",
        type=float,
        metavar="X",
        help="leave out rows with fewer tokens per parameter (0)",
    )
    add(
        "--drop-invalid",
        action="store_true",
        help="leave out rows with a value that cannot be used, and count them",
    )
    add(
        "--trajectories",
        action="store_true",
        help="accept several points along one run",
    )
    add(
        "--base-tokens",
        type=base_tokens,
        metavar="N|unknown",
        help="tokens of the base model that all runs continue; pretrain_tokens include them, or, "
        "if unknown, count the added ones alone (no base)",
    )


def run_fit_law(args: Namespace) -> None:
    """Fit a scaling law to a table of losses: losses.csv in, fit.json out."""
    from splitlaw.common.step_line import StepLine
    from splitlaw.laws import fit_table

    options = dict(vars(args))
    out = options.pop("out")
    steps = StepLine("fit_law")
    try:
        law = fit_table(options.pop("losses"), report=steps, **options)
    finally:
        steps.close()
    law.save(out)
    print(law.summary())


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
    _add_domains(parser)


def _add_domains(parser: Options) -> None:
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


def add_choose_split(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--law", required=True, help="fit.json of fit_law")
    add("--flops", type=float, metavar="C", help="training FLOPs of all models together")
    add("--out", type=output_file, required=True, help="plan.json to write")
    add_plan_options(parser)
    add(
        "--min-tokens-per-model",
        type=float,
        default=0.0,
        metavar="X",
        help="smallest D + D' of any model (0)",
    )
    add(
        "--target-loss",
        type=float,
        metavar="L",
        help="mean loss to reach with the least compute, instead of --flops",
    )
    add(
        "--max-general-loss-rise",
        type=float,
        metavar="X",
        help="largest rise of the general loss of a specialist, relative to the base, or to a "
        "general run of the whole budget (no limit)",
    )
    add(
        "--base-general-loss",
        metavar="L|trunk.json",
        help="measured general loss of the base as it is given, or the file that has it (that of "
        "the law)",
    )
    add(
        "--replay",
        nargs="+",
        action="extend",
        metavar="domain=r|free",
        help="share of general tokens in the branch of a domain, or of all without a name (0; free "
        "with a limit on general loss, if the law has replay)",
    )


def run_choose_split(args: Namespace) -> None:
    """Choose the compute-optimal split of a budget: fit.json in, plan.json out."""
    from splitlaw.api import load_law, plan
    from splitlaw.common.errors import UserError
    from splitlaw.planner import least_compute

    if (args.flops is None) == (args.target_loss is None):
        raise UserError("give either --flops or --target-loss")
    options = {**read_plan_options(args), "min_tokens_per_model": args.min_tokens_per_model}
    law = load_law(args.law)
    replay = shares(args.replay)
    if args.target_loss is not None:
        if replay is not None or args.max_general_loss_rise is not None or law.base is not None:
            raise UserError(
                "--target-loss plans without a base, replay and a limit on general loss; give "
                "--flops"
            )
        made = least_compute(law, loss=args.target_loss, **options)
    else:
        made = plan(
            law,
            flops=args.flops,
            replay=replay,
            max_general_loss_rise=args.max_general_loss_rise,
            base_general_loss=general_loss(args.base_general_loss),
            **options,
        )
    made.save(args.out)
    print(made.summary())


def add_next_runs(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--law", required=True, help="fit.json of fit_law")
    add("--flops", type=float, required=True, metavar="C", help="budget of the plan")
    add("--params", type=float, required=True, metavar="N", help="model size of the plan")
    add("--out", type=output_file, required=True, help="next_runs.csv to write")
    add("--pool", help="table of runs to choose from, CSV (the grid of the law's range)")
    add("--losses", help="table of runs that are trained already, CSV (none)")
    add("--runs", type=int, metavar="M", help="number of runs to choose (one for each domain)")
    _add_domains(parser)


def run_next_runs(args: Namespace) -> None:
    """Choose the runs that would improve a plan most for their cost: fit.json in, a table out."""
    from splitlaw.api import load_law
    from splitlaw.common.files import write_text
    from splitlaw.planner import next_runs

    chosen = next_runs(
        load_law(args.law),
        flops=args.flops,
        params=args.params,
        pool=args.pool,
        trained=args.losses,
        runs=args.runs,
        domains=names(args.domains, "--domains"),
        trunk=args.trunk,
        weights=pairs(args.weights, "--weights"),
    )
    write_text(args.out, chosen.to_csv(index=False))
    if chosen.empty:
        print("No run is needed: the expected regret of the plan is 0, or no run would lower it.")
        return
    print(chosen.to_string(index=False))
    if args.runs and len(chosen) < args.runs:
        print(f"{len(chosen)} runs are enough: no regret is expected after them.")


def add_predict_loss(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--law", required=True, help="fit.json of fit_law")
    parser.add_argument("--points", required=True, help="table of points, CSV")
    parser.add_argument(
        "--out", type=output_file, required=True, help="CSV to write, with losses and intervals"
    )


def run_predict_loss(args: Namespace) -> None:
    """Predict losses under a fitted law: fit.json and points.csv in, a table out."""
    import sys

    from splitlaw.api import load_law, predict_loss
    from splitlaw.common.files import write_text
    from splitlaw.laws.warn import range_warnings

    law = load_law(args.law)
    predicted = predict_loss(law, args.points)
    write_text(args.out, predicted.to_csv(index=False))
    for warning in range_warnings(predicted, law.range):
        print(f"warning: {warning}", file=sys.stderr)


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


def pairs(given: Sequence[str], flag: str) -> dict[str, float]:
    """`domain=number` arguments as a dictionary."""
    from splitlaw.common.errors import UserError

    found = {}
    for text in given:
        name, _, value = text.rpartition("=")
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

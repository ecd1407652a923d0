"""Commands that require neither torch nor a checkout: the law, the plan, predictions."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace

from splitlaw.cli.outputs import output_file
from splitlaw.cli.plan_options import (
    add_domains,
    add_plan_options,
    base_tokens,
    general_loss,
    names,
    pairs,
    read_plan_options,
    shares,
)


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
    add(
        "--cooldown-fraction",
        type=float,
        metavar="X",
        help="part of each run, at its end, over which its learning rate falls linearly to 0: "
        "in the law of the general loss, short branches then count for less (unknown)",
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
        "--limit-confidence",
        type=float,
        metavar="P",
        help="probability with which each specialist keeps this limit; at 0.5 its prediction "
        "does (0.9)",
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
        given = (
            replay,
            args.max_general_loss_rise,
            args.limit_confidence,
            args.base_general_loss,
        )
        if any(value is not None for value in given):
            raise UserError(
                "--target-loss plans without replay and a limit on general loss; give --flops"
            )
        made = least_compute(law, loss=args.target_loss, **options)
    else:
        made = plan(
            law,
            flops=args.flops,
            replay=replay,
            max_general_loss_rise=args.max_general_loss_rise,
            limit_confidence=args.limit_confidence,
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
    add_domains(parser)


def run_next_runs(args: Namespace) -> None:
    """Choose the runs that would improve a plan most for their cost: fit.json in, a table out."""
    import sys

    from splitlaw.api import load_law
    from splitlaw.common.files import write_text
    from splitlaw.laws.warn import constant_column_notes
    from splitlaw.planner import next_runs

    law = load_law(args.law)
    chosen = next_runs(
        law,
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
    for note in constant_column_notes(law.range):
        print(f"note: {note}", file=sys.stderr)
    if chosen.empty:
        print("No run is needed: the expected regret of the plan is 0, or no run would lower it.")
        return
    print(chosen.to_string(index=False))
    if args.runs and len(chosen) < args.runs:
        print(f"{len(chosen)} runs: no other run of the pool would lower the expected regret.")


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

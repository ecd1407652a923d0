"""The commands of the command line, and running one of them in this process.

A command NAME is a pair of functions in one of the modules here: `add_NAME(parser)` declares its
options, `run_NAME(args)` does the work. Only the module of the chosen command is imported, and it
imports what the work needs after the command line has been accepted, so that `--help` is fast.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from importlib import import_module

from splitlaw import __version__
from splitlaw.cli.extras import missing_package
from splitlaw.common.errors import CommandParser, UserError, exit_status, no_room
from splitlaw.common.status_file import job_status

WORKER = "SPLITLAW_WORKER"
"""Environment variable with the path of the socket of a worker (`splitlaw.cli.worker`)."""

COMMANDS = {
    "corpus": {
        "prepare_corpus": "clean, deduplicate and split the documents of every domain",
        "train_tokenizer": "train a byte-level BPE tokenizer, or copy an existing one",
        "tokenize": "encode the documents of one domain into token files",
    },
    "train": {
        "pretrain": "train the general trunk of one size and seed",
        "specialize": "train the branches of one domain, or cool down the unsplit runs",
        "sweep_learning_rate": "train one size at several learning rates",
        "train_final": "train the final models of one strategy",
        "train_frontier": "train the best split at several general fractions",
        "choose_domains": "predict the loss for several numbers of domains from a few branches",
    },
    "results": {
        "evaluate": "gather the losses of the grid into losses.csv and cost.csv",
        "end_round": "choose the runs of the next round of an adaptive grid",
        "tune_learning_rate": "fit the learning rate as a function of size",
        "gather_final": "gather the losses of the final models into comparison.csv",
        "benchmark_items": "write the items of the local zero-shot tasks",
        "benchmark": "evaluate the final models on zero-shot tasks",
        "compare": "tabulate and draw the gain of the optimal split by size and budget",
        "frontier": "tabulate and draw a measured frontier, and report the plan's regret",
        "scarcity": "tabulate and draw the gain of the optimal split by the amount of text",
        "report": "write the report, or the plan page of a fit",
    },
    "law": {
        "fit_law": "fit a scaling law to a table of losses",
        "choose_split": "choose the compute-optimal split of a budget",
        "next_runs": "choose the runs that would improve a plan most for their cost",
        "predict_loss": "predict losses at given points",
    },
    "delivery": {
        "export": "write final models as one folder: routed, averaged, or as experts",
        "delivery": "compare all ways to use the final models",
        "chat": "continue the lines that are typed",
        "serve": "answer requests of the OpenAI interface",
    },
    "project": {
        "new_experiment": "write a configuration for a folder of text",
        "cost": "forecast tokens, FLOPs and time of an experiment",
        "calibrate": "measure the training throughput of this machine",
        "check_provenance": "check every file of an experiment against its recorded hash",
    },
    "workflow": {
        "run": "run the workflow with Snakemake, from any folder of a checkout",
        "status": "show the progress of the jobs of every experiment",
        "resume": "resume a workflow that was killed",
    },
}
"""The commands of each module, with a line of help, in the order in which they are listed."""

HELP = """\
Usage: splitlaw COMMAND [options]      splitlaw COMMAND --help lists the options.

When should a general pretraining run be split into specialists?
"""


def run_command(words: Sequence[str]) -> int:
    """Run a command in this process and return its exit status."""
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return 0
    if words[0] == "--version":
        print(f"splitlaw {__version__}")
        return 0
    name = words[0]
    areas = {command: area for area, commands in COMMANDS.items() for command in commands}
    if name not in areas:
        return exit_status(lambda: _refuse(name, list(areas)))
    module = import_module(f"splitlaw.cli.{areas[name]}")
    run: Callable[[Namespace], None] = getattr(module, f"run_{name}")
    parser = CommandParser(prog=f"splitlaw {name}", description=run.__doc__)
    getattr(module, f"add_{name}")(parser)
    args, others = parser.parse_known_args(words[1:])
    if hasattr(args, "for_snakemake"):
        args.for_snakemake = others
    elif others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    return exit_status(lambda: _run(run, args), job_status(name, vars(args)))


def overview() -> str:
    """The list of commands, a line each."""
    lines = [HELP.rstrip()]
    for commands in COMMANDS.values():
        lines += ["", *(f"  {name:<20} {line}" for name, line in commands.items())]
    return "\n".join(lines)


def _refuse(name: str, known: list[str]) -> None:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else "splitlaw --help lists the commands"
    raise UserError(f"{name!r} is not a command of splitlaw; {remedy}")


def _run(run: Callable[[Namespace], None], args: Namespace) -> None:
    """Call `run`, and name a package that is missing or the output for which the disk is full."""
    try:
        run(args)
    except ModuleNotFoundError as cause:
        advice = missing_package(cause)
        if advice is None:
            raise
        raise UserError(advice) from None
    except Exception as cause:
        number, out = no_room(cause), getattr(args, "out", None)
        # Python names the file where it is opened, and not where it is written.
        if number is None or getattr(cause, "filename", None) or out is None:
            raise
        raise OSError(number, os.strerror(number), str(out)) from cause

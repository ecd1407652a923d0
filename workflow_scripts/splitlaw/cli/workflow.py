"""Commands that start a workflow, show its progress, and resume it after it was killed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from splitlaw.cli.checkout import find_checkout
from splitlaw.common.errors import UserError

CORES = ("--cores", "-c", "--jobs", "-j", "--profile", "--workflow-profile")
"""Options of Snakemake that set the number of cores, or name a profile that does."""

FLAGS = ("-n", "--dry-run", "--dryrun", "-p", "--printshellcmds", "-F", "--forceall")
"""Common options of Snakemake without a value: an argument after one of these may be a target."""


def add_run(parser: ArgumentParser) -> None:
    """Declare the options; all others are passed to Snakemake."""
    parser.usage = "splitlaw run [TARGET ...] [--configfile FILE] [options of snakemake]"
    parser.epilog = (
        "All other options are those of snakemake, see snakemake --help: for example "
        "--profile slurm, --dry-run, --forcerun report. Without --profile and --cores, all cores "
        "are used."
    )
    parser.add_argument(
        "--configfile",
        "--configfiles",
        action="append",
        default=[],
        metavar="FILE",
        help="configuration; give the option once for each file",
    )
    _pass_others_on(parser)


def run_run(args: Namespace) -> None:
    """Run the workflow with Snakemake, from any folder of a checkout."""
    arguments, _ = _absolute_directory(_config_last(args.for_snakemake))
    files = [str(_configuration(file)) for file in args.configfile]
    if files:
        _check_targets(arguments)
        # Last, because Snakemake reads every argument after --configfile as a file.
        arguments += ["--configfile", *files]
    os.chdir(find_checkout())
    _require_snakemake()
    _check_content(["config.yaml", *files])
    _become_snakemake(arguments)


def add_status(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Reads only results/NAME/status/, so it works while a workflow is running, while jobs are "
        "queued, and on every machine that can read the folder."
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        metavar="RESULTS",
        help="results folder of one experiment (all experiments of the checkout if left out)",
    )
    parser.add_argument(
        "--watch", action="store_true", help="redraw the table every second until Ctrl-C"
    )


def run_status(args: Namespace) -> None:
    """Show the progress of the jobs of every experiment."""
    from splitlaw.workflow.status import show_status

    if args.folder is not None and not args.folder.is_dir():
        raise UserError(f"{args.folder}: no such folder; name the results folder of an experiment")
    root = Path() if args.folder else find_checkout()
    show_status(args.folder, watch=args.watch, root=root)


def add_resume(parser: ArgumentParser) -> None:
    """Declare the options; all others are passed to Snakemake."""
    parser.usage = "splitlaw resume [--ignore-provenance] [TARGET ...] [options of snakemake]"
    parser.epilog = (
        "All other arguments are those of the snakemake command that was killed, for example: "
        "splitlaw resume --profile slurm report"
    )
    parser.add_argument(
        "--ignore-provenance",
        action="store_true",
        help="take over the lock of a workflow on another machine",
    )
    _pass_others_on(parser)


def run_resume(args: Namespace) -> None:
    """Resume a workflow that was killed: stop its jobs, remove its lock, and start it again."""
    from splitlaw.workflow import session

    arguments, folder = _absolute_directory(args.for_snakemake)
    named = any(word == "-s" or word.startswith("--snakefile") for word in arguments)
    here = folder is None and session.RECORDS.is_dir()  # it was started here, with snakemake -s
    if not named and not here:
        os.chdir(find_checkout())
    _require_snakemake()
    with contextlib.chdir(folder or Path()):
        for line in session.resume(ignore_provenance=args.ignore_provenance):
            print(line, file=sys.stderr)
    _become_snakemake(arguments)


DIRECTORY = ("--directory", "-d")
"""Options of Snakemake that name the working folder, where it keeps its records and its lock."""


def _absolute_directory(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    """The arguments with the working folder as an absolute path, and that folder if they have one.

    A relative path is relative to the current folder, which may change before Snakemake starts.
    """
    changed = list(arguments)
    folder = None
    for number, argument in enumerate(changed):
        option, separator, value = argument.partition("=")
        if option not in DIRECTORY:
            continue
        at = number if separator else number + 1
        if not separator:
            value = changed[at] if at < len(changed) else ""
        if not Path(value).is_dir():
            raise UserError(f"{option} {value}: no such folder; name the folder of the workflow")
        folder = Path(value).resolve()
        changed[at] = f"{option}={folder}" if separator else str(folder)
    return changed, folder


def _pass_others_on(parser: ArgumentParser) -> None:
    # An abbreviation of an option here may be an option of Snakemake.
    parser.allow_abbrev = False
    parser.set_defaults(for_snakemake=[])


def _config_last(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--config KEY=VALUE ...` at the end.

    Snakemake reads every argument after `--config` as one of its values, also a target.
    """
    values: list[str] = []
    others: list[str] = []
    inside = False
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if name in ("--config", "-C"):
            inside = True
            values += [value] if separator else []
        elif inside and separator and not argument.startswith("-"):
            values.append(argument)
        else:
            inside = False
            others.append(argument)
    return [*others, "--config", *values] if values else others


def _configuration(name: str) -> Path:
    file = Path(name).resolve()
    if file.is_dir():
        raise UserError(f"{name}: is a folder; --configfile names a file in YAML or JSON")
    if not file.is_file():
        raise UserError(f"{name}: no such file; --configfile names a file in YAML or JSON")
    return file


def _check_content(files: Sequence[str]) -> None:
    """Refuse a file that is not YAML with keys; Snakemake's message does not name it."""
    from splitlaw.experiment.section import load_config

    for file in files:
        # Snakemake reads JSON as JSON, and some JSON, such as that with tabs, is not YAML.
        if not file.endswith(".json"):
            load_config(file)


def _check_targets(arguments: Sequence[str]) -> None:
    """Refuse a configuration file given as a target, which Snakemake would ignore."""
    for before, argument in zip(("", *arguments), arguments, strict=False):
        is_file = argument.endswith((".yaml", ".yml")) and Path(argument).is_file()
        is_value = before.startswith("-") and before not in FLAGS
        if is_file and not is_value and "results" not in Path(argument).parts:
            raise UserError(f"{argument}: is not a target; write --configfile before each file")


def _require_snakemake() -> None:
    if importlib.util.find_spec("snakemake") is None:
        raise ModuleNotFoundError("No module named 'snakemake'", name="snakemake")


def _become_snakemake(arguments: Sequence[str]) -> NoReturn:
    """Replace this process by Snakemake, of the same Python, in the current folder."""
    chosen = any(argument.split("=")[0] in CORES or _is_short(argument) for argument in arguments)
    if not chosen and "SNAKEMAKE_PROFILE" not in os.environ:
        arguments = ["--cores", "all", *arguments]
    # Jobs are shell commands that call `python` and expect this one.
    own = Path(sys.executable).parent
    os.environ["PATH"] = f"{own}{os.pathsep}{os.environ['PATH']}"
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *arguments])


def _is_short(argument: str) -> bool:
    """Whether an argument sets the number of cores like -c4 or -j4."""
    return argument[:2] in ("-c", "-j") and argument[2:].isdecimal()

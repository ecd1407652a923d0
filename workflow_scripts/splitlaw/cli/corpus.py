"""Commands that turn sources into token files."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from splitlaw.cli.outputs import output_folder
from splitlaw.common.errors import UserError

if TYPE_CHECKING:
    from splitlaw.corpus.shards import Shard

SECTION = "section of the configuration: inline JSON, or a JSON or YAML file"


def add_prepare_corpus(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", required=True, help=f"corpus {SECTION}")
    parser.add_argument("--out", type=output_folder, required=True, help="folder of the corpus")
    parser.add_argument(
        "--step",
        choices=("all", "read", "merge", "write", "complete"),
        default="all",
        help="take one step of a preparation in shards (%(default)s)",
    )
    _add_shard(parser)
    _add_workers(parser)


def run_prepare_corpus(args: Namespace) -> None:
    """Read the sources of the configuration; write clean, split documents of every domain."""
    from splitlaw.experiment.corpus_settings import CorpusConfig

    config = CorpusConfig.load(args.config, section="corpus")
    # Imported after the configuration has been accepted: it takes a second.
    from splitlaw.corpus import prepare
    from splitlaw.corpus.shards import named_in_errors

    if args.step == "all":
        prepare.prepare_corpus(config, args.out, workers=args.workers)
        return
    work = _work_folder(args)
    if args.step == "merge":
        prepare.merge(config, work, args.shards, workers=args.workers)
    elif args.step == "complete":
        prepare.complete_corpus(config, work, args.out, args.shards)
    else:
        shard = _shard(args)
        with named_in_errors(shard):
            if args.step == "read":
                prepare.read(config, work, shard, workers=args.workers)
            else:
                prepare.write_shard(config, work, args.out, shard)


def add_train_tokenizer(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--corpus", required=True, type=Path, help="folder of the corpus")
    parser.add_argument("--config", required=True, help=f"tokenizer {SECTION}")
    parser.add_argument("--out", type=output_folder, required=True, help="folder of the tokenizer")


def run_train_tokenizer(args: Namespace) -> None:
    """Train a byte-level BPE tokenizer on the general training text, or copy an existing one."""
    from splitlaw.experiment.settings import TokenizerConfig
    from splitlaw.tokens.tokenizer import make_tokenizer

    config = TokenizerConfig.load(args.config, section="tokenizer")
    make_tokenizer(config, args.corpus, args.out)


def add_tokenize(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--corpus", required=True, type=Path, help="folder of the corpus")
    parser.add_argument("--tokenizer", required=True, type=Path, help="folder of the tokenizer")
    parser.add_argument("--domain", required=True, help="general, or one of the domains")
    parser.add_argument("--config", default="{}", help=f"evaluation {SECTION}")
    parser.add_argument(
        "--out", type=output_folder, required=True, help="folder of the token files"
    )
    _add_workers(parser)
    parser.add_argument(
        "--needed", type=int, default=0, help="refuse fewer training tokens (%(default)s)"
    )
    parser.add_argument(
        "--step",
        choices=("all", "encode", "join"),
        default="all",
        help="take one step of encoding in shards (%(default)s)",
    )
    _add_shard(parser)


def run_tokenize(args: Namespace) -> None:
    """Encode the documents of one domain into flat token files and a sidecar."""
    from splitlaw.corpus.shards import named_in_errors
    from splitlaw.experiment.settings import HeldOutConfig
    from splitlaw.tokens.writing import encode_shard, tokenize_domain

    held_out = HeldOutConfig.load(args.config, section="evaluation")
    inputs = (args.corpus, args.tokenizer, args.domain, held_out)
    if args.step == "encode":
        shard = _shard(args)
        folder = _work_folder(args) / str(shard.number)
        with named_in_errors(shard):
            encode_shard(*inputs, folder, shard, workers=args.workers)
        return
    shards = range(args.shards) if args.step == "join" else ()
    tokenize_domain(
        *inputs,
        args.out,
        workers=args.workers,
        required_tokens=args.needed,
        encoded=[_work_folder(args) / str(number) for number in shards],
    )


def _work_folder(args: Namespace) -> Path:
    """Return the folder that the steps of a work in shards share; it must be given."""
    if args.work is None:
        raise UserError(f"--step {args.step} needs --work, a folder that all steps share; give it")
    return Path(args.work)


def _shard(args: Namespace) -> Shard:
    """Return the shard of this step; it must be given."""
    from splitlaw.corpus.shards import Shard

    if args.shard is None:
        raise UserError(f"--step {args.step} needs --shard, the number of a shard; give it")
    return Shard(number=args.shard, count=args.shards)


def _add_shard(parser: ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, help="folder that the steps share")
    parser.add_argument("--shard", type=int, help="number of the shard of this step, from 0")
    parser.add_argument("--shards", type=int, default=1, help="number of shards (%(default)s)")


def _add_workers(parser: ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")

"""Commands that turn sources into token files."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from splitlaw.cli.outputs import output_folder

SECTION = "section of the configuration: inline JSON, or a JSON or YAML file"


def add_prepare_corpus(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", required=True, help=f"corpus {SECTION}")
    parser.add_argument("--out", type=output_folder, required=True, help="folder of the corpus")
    _add_workers(parser)


def run_prepare_corpus(args: Namespace) -> None:
    """Read the sources of the configuration; write clean, split documents of every domain."""
    from splitlaw.experiment.corpus_settings import CorpusConfig

    config = CorpusConfig.load(args.config, section="corpus")
    # Imported after the configuration has been accepted: it takes a second.
    from splitlaw.corpus.prepare import prepare_corpus

    prepare_corpus(config, args.out, workers=args.workers)


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


def run_tokenize(args: Namespace) -> None:
    """Encode the documents of one domain into flat token files and a sidecar."""
    from splitlaw.experiment.settings import HeldOutConfig
    from splitlaw.tokens.writing import tokenize_domain

    held_out = HeldOutConfig.load(args.config, section="evaluation")
    tokenize_domain(
        args.corpus,
        args.tokenizer,
        args.domain,
        held_out,
        args.out,
        workers=args.workers,
        required_tokens=args.needed,
    )


def _add_workers(parser: ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")

"""Encode one domain's documents into flat token files with a sidecar."""

import sys
from collections.abc import Sequence
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.experiment.settings import HeldOutConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see --help."""
    parser = CommandParser(prog="tokenize_corpus.py", description=__doc__)
    parser.add_argument("--corpus", required=True, type=Path, help="folder of the corpus")
    parser.add_argument("--tokenizer", required=True, type=Path, help="folder of the tokenizer")
    parser.add_argument("--domain", required=True, help="general, or one of the domains")
    parser.add_argument(
        "--config", default="{}", help="the evaluation section: JSON, or a JSON or YAML file"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder of the token files")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument(
        "--needed", type=int, default=0, help="training tokens that there must be at least"
    )
    options = parser.parse_args(argv)

    def run() -> None:
        from splitlaw.tokens.writing import tokenize_domain

        held_out = HeldOutConfig.load(options.config, section="evaluation")
        tokenize_domain(
            options.corpus,
            options.tokenizer,
            options.domain,
            held_out,
            options.out,
            workers=options.workers,
            required_tokens=options.needed,
        )

    return exit_status(run)


if __name__ == "__main__":
    sys.exit(main())

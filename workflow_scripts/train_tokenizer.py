"""Train a byte-level BPE tokenizer on the general train text, or take one that exists."""

import sys
from collections.abc import Sequence
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.experiment.settings import TokenizerConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see --help."""
    parser = CommandParser(prog="train_tokenizer.py", description=__doc__)
    parser.add_argument("--corpus", required=True, type=Path, help="folder of the corpus")
    parser.add_argument(
        "--config", required=True, help="the tokenizer section: JSON, or a JSON or YAML file"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder of the tokenizer")
    options = parser.parse_args(argv)

    def run() -> None:
        from splitlaw.tokens.tokenizer import make_tokenizer

        config = TokenizerConfig.load(options.config, section="tokenizer")
        make_tokenizer(config, options.corpus, options.out)

    return exit_status(run)


if __name__ == "__main__":
    sys.exit(main())

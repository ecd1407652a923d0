"""Read the sources of the configuration; write clean, split documents of every domain."""

import sys
from collections.abc import Sequence
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.experiment.corpus_settings import CorpusConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see --help."""
    parser = CommandParser(prog="prepare_corpus.py", description=__doc__)
    parser.add_argument(
        "--config", required=True, help="the corpus section: JSON, or a JSON or YAML file"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder of the corpus")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    options = parser.parse_args(argv)

    def run() -> None:
        config = CorpusConfig.load(options.config, section="corpus")
        from splitlaw.corpus.prepare import prepare_corpus  # after a wrong call has been refused

        prepare_corpus(config, options.out, workers=options.workers)

    return exit_status(run)


if __name__ == "__main__":
    sys.exit(main())

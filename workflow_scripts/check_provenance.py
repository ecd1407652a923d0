"""Check every artifact of an experiment against its recorded hash."""

import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, UserError, exit_status


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and check."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the experiment's folder")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.workflow import manifest

        wrong = manifest.check(arguments.results)
        for line in wrong[1:]:
            print(line, file=sys.stderr)
        if wrong:
            raise UserError(
                f"{wrong[0]}; {len(wrong)} in all: restore them, or delete them and run again"
            )
        states, files = manifest.states(arguments.results), manifest.artifacts(arguments.results)
        print(f"{len(list(files))} files and {len(states)} states are as they were written")

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())

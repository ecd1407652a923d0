"""Write a starting configuration for your own text: a folder of files, or one folder a domain."""

import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, write the configuration, say what was found."""
    parser = CommandParser(prog="new_experiment.py", description=__doc__)
    parser.add_argument("--text", required=True, help="the folder")
    parser.add_argument("--out", type=Path, help="file to write; FOLDER.yaml")
    parser.add_argument("--name", help="of the experiment; the file's")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.common.errors import UserError
        from splitlaw.stages.new_experiment import plain, write_new_experiment

        if not arguments.text:
            raise UserError("no folder is named; snakemake new_experiment --config text=FOLDER")
        text = Path(arguments.text)
        out = arguments.out or Path(f"{plain(text.resolve().name)}.yaml")
        defaults, name = ROOT / "config.yaml", arguments.name
        print(write_new_experiment(text, out, defaults=defaults, name=name))

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())

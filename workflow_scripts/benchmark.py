"""Measure the final models as systems: zero-shot tasks through lm-eval, and held-out losses."""

import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.experiment.config import load_config


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and measure."""
    parser = CommandParser(description=__doc__)
    parser.add_argument(
        "--config", required=True, help="tasks, context, test_tokens, characters: JSON or a file"
    )
    parser.add_argument(
        "--tables", type=Path, nargs="+", required=True, help="losses.csv of each final recipe"
    )
    parser.add_argument("--results", type=Path, required=True, help="the experiment's folder")
    parser.add_argument("--router", type=Path, help="folder of the router (of the corpus)")
    parser.add_argument("--items", type=Path, required=True, help="folder of the local items")
    parser.add_argument(
        "--tasks", type=Path, default=Path("tasks"), help="folder of task files (%(default)s)"
    )
    parser.add_argument("--execution", default="{}", help="device: JSON, as for training")
    parser.add_argument("--out", type=Path, required=True, help="benchmarks.csv to write")
    arguments = parser.parse_args(argv)

    def action() -> None:
        config = load_config(arguments.config)
        from splitlaw.experiment.settings import ExecutionConfig
        from splitlaw.zero_shot.run import BenchmarkConfig, benchmark

        benchmark(
            BenchmarkConfig(**config),
            arguments.tables,
            results=arguments.results,
            router=arguments.router or arguments.results / "corpus" / "router",
            items=arguments.items,
            tasks=arguments.tasks,
            out=arguments.out,
            execution=ExecutionConfig(**load_config(arguments.execution)),
        )

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())

"""The command `splitlaw benchmark_items`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark_items", *sys.argv[1:]]))

"""The command `splitlaw next_runs`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["next_runs", *sys.argv[1:]]))

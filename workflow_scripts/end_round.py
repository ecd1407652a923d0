"""The command `splitlaw end_round`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["end_round", *sys.argv[1:]]))

"""The command `splitlaw train_frontier`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["train_frontier", *sys.argv[1:]]))

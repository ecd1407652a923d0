"""The command `splitlaw train_final`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["train_final", *sys.argv[1:]]))

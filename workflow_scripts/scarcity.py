"""The command `splitlaw scarcity`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["scarcity", *sys.argv[1:]]))

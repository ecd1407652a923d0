"""The command `splitlaw cost`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["cost", *sys.argv[1:]]))

"""The command `splitlaw delivery`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["delivery", *sys.argv[1:]]))

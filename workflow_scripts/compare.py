"""The command `splitlaw compare`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))

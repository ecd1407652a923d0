"""The command `splitlaw choose_split`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["choose_split", *sys.argv[1:]]))

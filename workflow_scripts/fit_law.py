"""The command `splitlaw fit_law`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["fit_law", *sys.argv[1:]]))

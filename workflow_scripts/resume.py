"""The command `splitlaw resume`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["resume", *sys.argv[1:]]))

"""The command `splitlaw report`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))

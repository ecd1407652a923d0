"""The command `splitlaw gather_final`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["gather_final", *sys.argv[1:]]))

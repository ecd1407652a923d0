"""The command `splitlaw new_experiment`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["new_experiment", *sys.argv[1:]]))

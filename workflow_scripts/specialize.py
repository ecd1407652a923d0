"""The command `splitlaw specialize`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["specialize", *sys.argv[1:]]))

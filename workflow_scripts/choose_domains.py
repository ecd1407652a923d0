"""The command `splitlaw choose_domains`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["choose_domains", *sys.argv[1:]]))

"""The command `splitlaw check_provenance`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["check_provenance", *sys.argv[1:]]))

"""The command `splitlaw prepare_corpus`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["prepare_corpus", *sys.argv[1:]]))

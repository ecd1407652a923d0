"""The command `splitlaw tune_learning_rate`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["tune_learning_rate", *sys.argv[1:]]))

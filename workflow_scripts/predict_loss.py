"""The command `splitlaw predict_loss`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict_loss", *sys.argv[1:]]))

"""`python -m splitlaw COMMAND`: the command line, without an installed script."""

import sys
from pathlib import Path

if not __package__:
    # Started by the path of this file, as torchrun starts a copy of this process: the folder to
    # import from is the one that holds the package, not the package itself.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main())

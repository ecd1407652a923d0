"""The command `splitlaw train_tokenizer`, without an installed script."""

import sys

from splitlaw.cli import main

if __name__ == "__main__":
    sys.exit(main(["train_tokenizer", *sys.argv[1:]]))

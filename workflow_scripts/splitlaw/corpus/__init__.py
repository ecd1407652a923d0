"""Anyone's text in, clean domains out: sources, cleaning, duplicates, splits, mixture, card."""

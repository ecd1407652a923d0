"""The tables of `reference/`: copied from results, and turned into docs/results.md."""

"""Largest values that the configuration and the commands accept."""

MOST_DRAWS = 10_000
"""Draws of the posterior. With a table of 700 different points and six domains they take about half
a gigabyte, and the ends of 90% intervals are known to 1% of their width."""

"""The configuration, and what is computed from it without training: runs, schedules, shapes."""

"""The configuration, and what follows from it without training: runs, schedules, shapes."""

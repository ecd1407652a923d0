"""What a job needs, how long it takes, and what a Slurm site allows."""

"""Work, time, memory and devices of jobs, and the limits of a Slurm cluster."""

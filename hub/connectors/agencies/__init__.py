"""One file per kind of agency: its words translated into ours, nothing else."""

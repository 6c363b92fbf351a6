"""Fleets: kinds of machines x environments x repetitions, on the nodes of a Ray cluster or of Slurm."""

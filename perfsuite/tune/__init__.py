"""Searches hyperparameters of full trainings by their validation images, and tests what was chosen."""

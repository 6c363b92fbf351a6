"""Loads the suite's pytest plugin, and does nothing else."""

pytest_plugins = ["perfsuite.plugin"]

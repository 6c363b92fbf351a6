"""What a pytest that a test starts as a process does without."""

from __future__ import annotations

PLUGINS_OF_THE_TESTS = ("hypothesispytest", "pytest_cov", "xdist", "xdist.looponfail")
"""Installed for the tests, not for the suite, and loaded by every pytest that is not told otherwise."""

PLAIN_PYTEST = " ".join(f"-p no:{name}" for name in PLUGINS_OF_THE_TESTS)
"""The value of `PYTEST_ADDOPTS` with which a process starts in half the time: hypothesis takes longest to import."""

"""Loaded by pytest before any conftest.py where perfsuite is installed; says how a path must be written.

pytest looks for its configuration and for conftest.py before it knows the suite's options, and takes the second word of
`--perf-recipe /elsewhere/x.toml` for a path of tests. The suite is then not found, or its results go elsewhere.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

PATH_OPTIONS = ("--perf-recipe", "--perf-data", "--perf-run-dir")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """End with one line before pytest looks for tests in the wrong place."""
    require_one_word(args, early_config.invocation_params.dir)


def require_one_word(arguments: Sequence[str], folder: Path) -> None:
    """Check that a path outside the working folder is written in one word with its option.

    Args:
        arguments: Of pytest.
        folder: The working folder.

    Raises:
        pytest.UsageError: One is written in two words.
    """
    for option, value in pairwise(arguments):
        if option not in PATH_OPTIONS:
            continue
        path = folder / Path(value).expanduser()
        if path.exists() and not path.resolve().is_relative_to(folder.resolve()):
            raise pytest.UsageError(
                f"{option} {value}: pytest takes a path that is a word of its own for a path of tests; "
                f"write {option}={value}"
            )

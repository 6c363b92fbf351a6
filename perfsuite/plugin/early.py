"""Loaded by pytest before any conftest.py where perfsuite is installed; says how a path must be written.

pytest looks for its configuration and for conftest.py before it knows the suite's options, and takes the second word of
`--perf-recipe /elsewhere/x.toml` for a path of tests. The suite is then not found, or its results go elsewhere.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from perfsuite.atomic_write import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_ALREADY_IMPORTED = "ignore:Module already imported so cannot be rewritten; perfsuite:pytest.PytestAssertRewriteWarning"

PATH_OPTIONS = ("--perf-recipe", "--perf-data", "--perf-run-dir")


class UnopenedFile:
    """Stands for the file of `--benchmark-json` until there is something to write.

    pytest-benchmark before 5.3 opens the file while options are parsed, which empties it: a wrong option later on the
    command line, or a run that fails, would lose the results that were there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep what is to be written."""
        self._parts.append(data)
        return len(data)

    def close(self) -> None:
        """Write the file in one step, if there is anything to write."""
        if self._parts:
            write_atomically(Path(self.name), b"".join(self._parts))
            self._parts.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _traceback: TracebackType | None) -> None:
        if kind is None:
            self.close()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Keep the parser, and protect the file of `--benchmark-json` if pytest-benchmark is there already."""
    pluginmanager.perfsuite_parser = parser  # type: ignore[attr-defined]
    _protect_json(parser)


def pytest_plugin_registered(plugin_name: str, manager: pytest.PytestPluginManager) -> None:
    """Protect the file as soon as pytest-benchmark is there, whichever plugin comes first."""
    if plugin_name == "benchmark":
        _protect_json(getattr(manager, "perfsuite_parser", None))


def _protect_json(parser: Any) -> None:
    # pytest has no public way to change an option of another plugin; where it has another form, nothing is changed.
    for group in getattr(parser, "_groups", []):
        for option in group.options:
            if "--benchmark-json" in option.names() and isinstance(option.attrs().get("type"), argparse.FileType):
                option.attrs()["type"] = UnopenedFile


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """End with one line before pytest looks for tests in the wrong place."""
    require_one_word(args, early_config.invocation_params.dir)
    # This module has imported the package already where a conftest.py asks for `perfsuite.plugin`.
    early_config.addinivalue_line("filterwarnings", _ALREADY_IMPORTED)


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

"""The suite in several processes at once (`-n` of pytest-xdist) is refused: they would slow each other down.

A worker collects the cells, and takes none; the process that the user started says why.
"""

from __future__ import annotations

from typing import Any

import pytest

_NAME = "perfsuite_refused"
"""Under this name a worker tells the other process that there were cells."""

_REFUSED = pytest.StashKey[bool]()

MESSAGE = (
    "-n of pytest-xdist: benchmarks that run at the same time slow each other down; leave -n out, or write -n 0 or "
    "-p no:xdist where it stands in a configuration"
)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of several that share the tests."""
    return hasattr(config, "workerinput")


def refuse_cells(config: pytest.Config, items: list[pytest.Item], cells: list[pytest.Item]) -> None:
    """Leave the suite's cells out of a worker's tests, and tell the other process."""
    config.workeroutput[_NAME] = True  # type: ignore[attr-defined]
    items[:] = [item for item in items if item not in cells]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Remember that a worker refused cells."""
    if getattr(node, "workeroutput", {}).get(_NAME):
        node.config.stash[_REFUSED] = True


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End as for a mistake in the options."""
    if _is_refused(session.config):
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say why."""
    if _is_refused(config):
        terminalreporter.write_line(f"ERROR: {MESSAGE}", red=True)


def _is_refused(config: pytest.Config) -> bool:
    return config.stash.get(_REFUSED, False)

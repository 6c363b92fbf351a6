"""What became of every cell: those that failed, were skipped or not run are remembered with the reason."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

from perfsuite.errors import DeviceLostError, InconclusiveError, NotSupportedError, OutOfMemoryError, PerfsuiteError
from perfsuite.plugin.session import has_cells, suite
from perfsuite.records.outcome import Outcome, OutcomeKind
from perfsuite.records.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

OUTCOME_KIND = pytest.StashKey[OutcomeKind]()
"""What a failed cell died of, set by whoever knows."""

WORKLOAD = pytest.StashKey[Workload]()
"""What a cell measures, on its item; pytest forgets an item's fixtures when it has ended."""

BENCHMARK = pytest.StashKey[Any]()
"""pytest-benchmark's fixture of a cell, on its item."""

KEPT = pytest.StashKey[bool]()
"""Set on a cell that fails although its numbers are sound: a target or a limit was missed. They stay in the file."""

NUMERICS = "numerics"
"""The marker of studies of mixed precision."""

_OUTCOMES = pytest.StashKey[dict[str, Outcome]]()
_STARTED = pytest.StashKey[set[str]]()
_FINISHED = pytest.StashKey[set[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing."""
    config.stash[_OUTCOMES] = {}
    config.stash[_STARTED] = set()
    config.stash[_FINISHED] = set()


def outcomes(config: pytest.Config) -> list[Outcome]:
    """Return what became of the cells that are no numbers, those still to come included, in the order of the cells."""
    known = config.stash[_OUTCOMES]
    finished = config.stash[_FINISHED]
    found = []
    for item in suite(config).cells if has_cells(config) else []:
        if item.nodeid in known:
            found.append(known[item.nodeid])
        elif item.nodeid in finished:
            continue
        elif item.nodeid in config.stash[_STARTED]:
            reason = "the run was stopped while this cell was measured, or is still running"
            found.append(
                Outcome(
                    nodeid=item.nodeid, outcome="interrupted", reason=reason, workload=item.stash.get(WORKLOAD, None)
                )
            )
        else:
            lost = suite(config).is_device_lost
            reason = "the device was lost" if lost else "the run was stopped before this cell began"
            found.append(Outcome(nodeid=item.nodeid, outcome="not_run", reason=reason))
    return found


def is_cell(item: pytest.Item) -> bool:
    """Whether a test measures something with the suite."""
    return "workload" in getattr(item, "fixturenames", ()) or is_own_test(item) or is_study(item)


def is_own_test(item: pytest.Item) -> bool:
    """Whether a test is a user's own, which measures a callable with the fixture `perf`."""
    return "perf" in getattr(item, "fixturenames", ())


def is_study(item: pytest.Item) -> bool:
    """Whether a test is a study of mixed precision; a fixture of others may have the same name."""
    return "study" in getattr(item, "fixturenames", ()) and item.get_closest_marker(NUMERICS) is not None


def has_begun(config: pytest.Config) -> bool:
    """Whether any test began: what goes wrong before is a mistake in one line, not a run that left nothing."""
    return bool(config.stash[_STARTED])


def is_complete(config: pytest.Config) -> bool:
    """Whether every cell finished, one way or another."""
    return all(item.nodeid in config.stash[_FINISHED] for item in suite(config).cells)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note that a cell begins."""
    note_started(item)


def note_started(item: pytest.Item) -> None:
    """Note that a cell begins; that it ends is noted with its last report, which an interrupt leaves out."""
    item.config.stash[_STARTED].add(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a cell that was skipped or failed, and let go of the memory that its traceback holds."""
    report = yield
    if not is_cell(item):
        return report
    if report.when == "teardown":
        item.config.stash[_FINISHED].add(item.nodeid)
    if call.excinfo is not None:
        traceback.clear_frames(call.excinfo.tb)
    if report.skipped or report.failed:
        kind: OutcomeKind = "skipped" if report.skipped else item.stash.get(OUTCOME_KIND, "failed")
        item.config.stash[_OUTCOMES][item.nodeid] = Outcome(
            nodeid=item.nodeid,
            outcome=kind,
            reason=_reason(report).removeprefix(f"{kind_in_words(kind)}: "),
            workload=item.stash.get(WORKLOAD, None),
        )
        if BENCHMARK in item.stash and not item.stash.get(KEPT, False):
            item.stash[BENCHMARK].has_error = True  # also what was measured and then did not end well is not a result
    return report


def in_one_line(item: pytest.Item, run: Callable[[], T]) -> T:
    """Return what a call returns; skip or fail the cell with one line where it raises one of the suite's errors."""
    try:
        return run()
    except PerfsuiteError as error:
        problem: PerfsuiteError = error.with_traceback(None)  # its frames hold the cell's tensors
    # Outside of the handler: pytest would show the error twice, as one during the handling of the other.
    return fail_in_one_line(item, problem)


def fail_in_one_line(item: pytest.Item, problem: PerfsuiteError) -> NoReturn:
    """Skip or fail a cell with one line, and remember what it died of."""
    if isinstance(problem, NotSupportedError):
        pytest.skip(str(problem))
    kinds: dict[type[PerfsuiteError], OutcomeKind] = {
        OutOfMemoryError: "out_of_memory",
        InconclusiveError: "cannot_tell",
    }
    item.stash[OUTCOME_KIND] = kinds.get(type(problem), "failed")
    if isinstance(problem, DeviceLostError):
        end_run_without_device(item.session, str(problem))
    pytest.fail(str(problem), pytrace=False)


def end_run_without_device(session: pytest.Session, reason: str) -> None:
    """End the run once the current test is over, with the status of a failed one: all later cells would fail too."""
    suite(session.config).is_device_lost = True
    session.shouldfail = reason


def kind_in_words(kind: OutcomeKind) -> str:
    """Return what a user reads: `cannot tell`."""
    return kind.replace("_", " ")


def _reason(report: pytest.TestReport) -> str:
    """Return the end of a report in one line."""
    if isinstance(report.longrepr, tuple):
        text = report.longrepr[2].removeprefix("Skipped: ")
    else:
        crash = getattr(report.longrepr, "reprcrash", None)
        text = crash.message if crash is not None else str(report.longrepr)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].removeprefix("Failed: ")[:500] if lines else "no reason given"

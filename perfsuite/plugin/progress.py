"""While it runs: which cell of how many, what it gave, and the time left."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.formatting import duration_in_words
from perfsuite.metrics import METRICS
from perfsuite.plugin.outcomes import BENCHMARK, WORKLOAD, kind_in_words, outcomes
from perfsuite.plugin.session import has_cells, suite
from perfsuite.plugin.time_left import profile_of, time_left_of
from perfsuite.records.numerics import NumericsRecord
from perfsuite.records.pair import PairedRecord
from perfsuite.records.reading import read_record
from perfsuite.records.scaling import ScalingRecord
from perfsuite.records.schema import KEY
from perfsuite.records.training import TrainingRecord

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from perfsuite.records.cell import Record
    from perfsuite.records.workload import Workload


class Progress:
    """Writes a line per cell: overwritten while it runs on a terminal, written once where the output is a file."""

    def __init__(self, config: pytest.Config, reporter: Any, items: Sequence[pytest.Item], *, num_items: int) -> None:
        self._config = config
        self._reporter = reporter
        self._numbers = {item.nodeid: number for number, item in enumerate(items, start=1)}
        self._left = time_left_of(config, items)
        self._label = ""
        self._labels: dict[str, str] = {item.nodeid: self._label_of(item) for item in items}
        self._devices: dict[str, str] = {}
        self._stages: dict[str, str] = {}
        self._label_width = len(self._label_of(items[-1])) - len(_name(items[-1])) + max(map(len, map(_name, items)))
        self._live = bool(reporter.isatty) and reporter.verbosity == 0
        self._shown = 0
        if reporter.verbosity <= 0 and len(items) == num_items:
            reporter.showfspath = False  # the lines name their cells themselves

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Show the cell before it begins and when it has ended."""
        if item.nodeid not in self._numbers:
            return (yield)
        self._left.begin(item.nodeid)
        self._label = self._label_of(item)
        result = yield
        self._left.end(item.nodeid)
        self._stages.pop(item.nodeid, None)
        self._replace(self._line(self._result(item), item.nodeid), newline=True)
        return result

    @contextlib.contextmanager
    def profile(self, nodeid: str, text: str) -> Iterator[None]:
        """Show that a profile is taken, in place on a terminal, and note how long it takes."""
        self._left.begin(profile_of(nodeid))
        remaining = self._left.seconds()
        left = f"about {duration_in_words(remaining)} left" if remaining > 0 else ""
        self._replace(f"{text}  {left}".rstrip(), newline=not self._live)
        yield
        self._left.end(profile_of(nodeid))

    def begin_profiles(self, nodeids: Sequence[str]) -> None:
        """Take out of the time left the profiles of cells that have none to give."""
        expected = {profile_of(nodeid) for nodeid in self._numbers}
        self._left.drop(expected - {profile_of(nodeid) for nodeid in nodeids})

    def end_profiles(self) -> None:
        """Clear the line of the last profile."""
        if self._live and self._shown:
            self._replace("", newline=False)
            self._reporter.write("\r", flush=True)

    def begin_elsewhere(self, nodeid: str, device: str) -> None:
        """Note that a process has begun to train a cell on a device."""
        self._left.begin(nodeid)
        self._devices[nodeid] = device
        self.stage("starting", nodeid)

    def stage(self, stage: str, nodeid: str | None = None) -> None:
        """Show what is being done now; called while the output is captured.

        Args:
            stage: In a word or two.
            nodeid: Of a cell that is trained elsewhere; that of the running cell if not given.
        """
        if not self._live:
            return
        line = self._line(stage)
        if nodeid in self._devices:
            self._stages[nodeid] = stage
            line = self._line_of_all()
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
            self._replace(line, newline=False)

    def _line_of_all(self) -> str:
        """Return what is being done on every device; the time left first, for a narrow terminal cuts off the end."""
        parts = [
            f"{self._devices[nodeid]} [{self._numbers[nodeid]}/{len(self._numbers)}] {stage}"
            for nodeid, stage in self._stages.items()
        ]
        return " | ".join([*filter(None, [self._left_in_words()]), *parts])

    def epoch(self, nodeid: str, text: str, left_s: float | None) -> None:
        """Show an epoch that has ended: in place on a terminal, as a line of its own elsewhere."""
        if left_s is not None:
            self._left.tell(nodeid, left_s)
        is_in_place = self._live and left_s is not None
        if is_in_place and nodeid in self._devices:
            self.stage(text, nodeid)
            return
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
            self._replace(self._line(text, nodeid), newline=not is_in_place)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
        """Leave out pytest's own letter: the line says more. With -v, pytest writes as ever."""
        if self._reporter.verbosity > 0 or report.nodeid not in self._numbers:
            return None
        if report.failed:
            return ("failed", "", "FAILED") if report.when == "call" else ("error", "", "ERROR")
        if report.skipped:
            return "skipped", "", ""
        return ("passed" if report.when == "call" else ""), "", ""

    def _label_of(self, item: pytest.Item) -> str:
        width = len(str(len(self._numbers)))
        return f"[{self._numbers[item.nodeid]:{width}}/{len(self._numbers)}] {_name(item)}"

    def _line(self, what: str, nodeid: str | None = None) -> str:
        """Return a line of a cell, the running one if not given; with its device where it has one of its own."""
        label = self._label if nodeid is None else self._labels[nodeid]
        device = self._devices.get(nodeid or "")
        text = what if device is None else f"{device}: {what}"
        return f"{label:<{self._label_width}}  {text:<32}  {self._left_in_words()}".rstrip()

    def _left_in_words(self) -> str:
        remaining = self._left.seconds()
        return f"about {duration_in_words(remaining)} left" if remaining > 0 else ""

    def _replace(self, line: str, *, newline: bool) -> None:
        """Write a line over the one that stands there."""
        if not self._shown:
            self._reporter.ensure_newline()
        columns = self._reporter._tw.fullwidth  # noqa: SLF001 - the terminal writer has no public name
        if self._live and not newline:
            line = line[: columns - 1]
        erase = "\r" if self._live and self._shown else ""
        padding = " " * max(self._shown - len(line), 0)
        self._reporter.write(erase + line + padding + ("\n" if newline else ""), flush=True)
        self._shown = 0 if newline else len(line)

    def _result(self, item: pytest.Item) -> str:
        for outcome in outcomes(self._config):
            if outcome.nodeid == item.nodeid:
                return f"{kind_in_words(outcome.outcome)}: {outcome.reason}"
        benchmark = item.stash.get(BENCHMARK, None)
        if benchmark is None or KEY not in benchmark.extra_info:
            return "ran once, not timed"
        record = read_record(benchmark.extra_info[KEY])
        if isinstance(record, NumericsRecord | ScalingRecord):
            return _claims_or_scaling_in_words(record)
        if isinstance(record, PairedRecord):
            return _pair_in_words(record)
        if isinstance(record, TrainingRecord):
            return _training_in_words(record, benchmark.stats["median"])
        return _step_in_words(record, item.stash[WORKLOAD], benchmark.stats)


def _claims_or_scaling_in_words(record: NumericsRecord | ScalingRecord) -> str:
    if isinstance(record, NumericsRecord):
        return f"{len(record.claims)} claims hold"
    from perfsuite.analysis.tables.scaling import scaling_in_words

    return scaling_in_words(record)


def _pair_in_words(record: PairedRecord) -> str:
    from perfsuite.analysis.frames.row_warnings import pooled_warnings
    from perfsuite.analysis.tables.pairs import paired_in_words

    return _with_warnings(paired_in_words(record), pooled_warnings([record]))


def _training_in_words(record: TrainingRecord, median_s: float) -> str:
    from perfsuite.analysis.frames.row_warnings import pooled_warnings

    text = f"test accuracy {record.test_accuracy:.2%} after {duration_in_words(median_s)}"
    if record.replayed:
        text += ", trained before"
    return _with_warnings(text, pooled_warnings([record]))


def _step_in_words(record: Record, workload: Workload, stats: Any) -> str:
    from perfsuite.analysis.frames.row_warnings import warnings_of

    rate = METRICS["images_per_second"].show(workload.batch_size / stats["median"])
    peak = METRICS["peak_allocated_bytes"].show(record.metrics["peak_allocated_bytes"])
    text = f"{rate:>8} {workload.rate_unit}  {peak:>9} MiB"
    return _with_warnings(text, warnings_of(record, iqr_s=stats["iqr"], median_s=stats["median"]))


def _with_warnings(text: str, warnings: str | None) -> str:
    return f"{text}  {warnings}" if warnings else text


def _name(item: pytest.Item) -> str:
    return item.name.removeprefix("test_").replace("[", " ").rstrip("]")


_PROGRESS = pytest.StashKey[Progress]()


def report_epoch(config: pytest.Config, nodeid: str, text: str, left_s: float | None) -> None:
    """Tell the user of an epoch of the running cell, and how long that will take from now on; None for a warning."""
    if _PROGRESS in config.stash:
        config.stash[_PROGRESS].epoch(nodeid, text, left_s)


@contextlib.contextmanager
def profiles_reported(config: pytest.Config, nodeids: Sequence[str]) -> Iterator[None]:
    """Show progress while the profiles of these cells are taken."""
    progress = config.stash.get(_PROGRESS, None)
    if progress is not None:
        progress.begin_profiles(nodeids)
    yield
    if progress is not None:
        progress.end_profiles()


def profile_reported(config: pytest.Config, nodeid: str, text: str) -> contextlib.AbstractContextManager[None]:
    """Tell the user whose profile is taken, and how much time is left."""
    progress = config.stash.get(_PROGRESS, None)
    return contextlib.nullcontext() if progress is None else progress.profile(nodeid, text)


def report_stage(config: pytest.Config, stage: str, nodeid: str | None = None) -> None:
    """Tell the user what is being done in the running cell, or in one that is trained elsewhere."""
    if _PROGRESS in config.stash:
        config.stash[_PROGRESS].stage(stage, nodeid)


def report_begin(config: pytest.Config, nodeid: str, device: str) -> None:
    """Tell the user that a cell is trained on a device of its own from now on."""
    if _PROGRESS in config.stash:
        config.stash[_PROGRESS].begin_elsewhere(nodeid, device)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to show progress, if there is anything to measure."""
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if has_cells(config) and not config.option.collectonly and reporter is not None and reporter.verbosity > -2:  # noqa: PLR2004 - -qq is silence
        progress = config.stash[_PROGRESS] = Progress(
            config, reporter, suite(config).cells, num_items=len(session.items)
        )
        config.pluginmanager.register(progress, "perfsuite-progress")

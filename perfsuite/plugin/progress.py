"""While it runs: which cell of how many, what it gave, and the time left."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.formatting import duration_in_words
from perfsuite.metrics import METRICS
from perfsuite.plugin.expected_time import expected_time
from perfsuite.plugin.matrix import is_scaling, is_step, num_classes_of, phase_of
from perfsuite.plugin.options import OPTIONS
from perfsuite.plugin.outcomes import BENCHMARK, WORKLOAD, is_own_test, is_study, kind_in_words, outcomes
from perfsuite.plugin.session import has_cells, suite
from perfsuite.recipes import recipe_for
from perfsuite.records.numerics import NumericsRecord
from perfsuite.records.pair import PairedRecord
from perfsuite.records.reading import read_record
from perfsuite.records.scaling import ScalingRecord
from perfsuite.records.schema import KEY
from perfsuite.records.training import TrainingRecord
from perfsuite.records.workload import PHASE_COST

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from perfsuite.plugin.options import Options

PROFILE_SHARE = 0.6
"""Of the time of its cell that a profile is expected to take, before one is done."""

MAX_SKIPPED_RATIO = 0.05
"""Of the time that a cell is expected to take: one that ended sooner was skipped."""

PAIR_COST = 12.0
"""Of an interleaved pair, in the same measure: four whole steps in a block."""


SCALING_S = 30.0
"""Of a step on several devices: starting processes that import torch, checks, ten seconds of blocks, memory."""

SCALING_WEIGHT = 8.0
"""The same relative to a forward pass of a small network."""

STUDY_WEIGHTS = {
    "formats": 0.1,
    "accumulation": 0.2,
    "types": 0.4,
    "scaling": 1.0,
    "updates": 2.0,
    "weights": 6.0,
    "scales": 6.0,
    "gradients": 6.0,
}
"""Of studies of mixed precision, by name: their time on two cores of a CPU in ten seconds."""


@dataclass(slots=True, kw_only=True)
class TimeLeft:
    """Estimates the time left from the cells that are done.

    Attributes:
        weights: Expected relative duration of each cell, by name.
        prior_s: What a cell of average weight is expected to take before any is done.
        num_places: How many cells run at the same time, those of most weight first.
        now: Reads seconds.
    """

    weights: dict[str, float]
    prior_s: float
    num_places: int = 1
    now: Callable[[], float] = time.monotonic
    _done: dict[str, float] = field(default_factory=dict)
    _begun: dict[str, float] = field(default_factory=dict)
    _told: dict[str, float] = field(default_factory=dict)

    def begin(self, name: str) -> None:
        """Note that a cell begins."""
        self._begun.setdefault(name, self.now())

    def end(self, name: str) -> None:
        """Note that it has ended; a cell that ended at once (skipped) teaches nothing about the others."""
        self._done[name] = self.now() - self._begun.get(name, self.now())

    def tell(self, name: str, left_s: float) -> None:
        """Take the running cell's own word for how long it will take from now on."""
        self._told[name] = self.now() - self._begun.get(name, self.now()) + left_s

    def drop(self, names: Iterable[str]) -> None:
        """Expect no time any more for what will not be done."""
        for name in names:
            self.weights.pop(name, None)

    def seconds(self) -> float:
        """Return the expected time left, the running cell's included."""
        average = sum(self.weights.values()) / max(len(self.weights), 1)
        measured = {
            name: taken
            for name, taken in self._done.items()
            if name in self._told or not self._was_skipped(name, taken, average)
        }
        measured.update({name: taken for name, taken in self._told.items() if name not in self._done})
        # The prior counts as one cell of average weight, until a cell has told for itself.
        prior_s, average = (0.0, 0.0) if self._told else (self.prior_s, average)
        known_weight = average + sum(self.weights.get(name, 0.0) for name in measured)
        if not known_weight:  # everything was dropped
            return 0.0
        rate = (prior_s + sum(measured.values())) / known_weight
        if self.num_places > 1:
            return self._seconds_side_by_side(rate)
        left = sum(weight for name, weight in self.weights.items() if name not in self._done) * rate
        running = [begun for name, begun in self._begun.items() if name not in self._done]
        return max(left - sum(self.now() - begun for begun in running), 0.0)

    def _seconds_side_by_side(self, rate: float) -> float:
        """Return the time left where each cell is begun as soon as a place is free."""
        free_s = [0.0] * self.num_places
        open_weights = {name: weight for name, weight in self.weights.items() if name not in self._done}
        running = {name: begun for name, begun in self._begun.items() if name in open_weights}
        for place, (name, begun) in enumerate(running.items()):
            expected_s = self._told.get(name, open_weights[name] * rate)
            free_s[place % self.num_places] += max(expected_s - (self.now() - begun), 0.0)
        waiting = sorted((weight for name, weight in open_weights.items() if name not in running), reverse=True)
        for weight in waiting:
            free_s[free_s.index(min(free_s))] += weight * rate
        return max(free_s)

    def _was_skipped(self, name: str, taken_s: float, average: float) -> bool:
        """Whether a cell ended so much sooner than expected that it was not measured."""
        weight = self.weights.get(name, average)
        return taken_s * average <= MAX_SKIPPED_RATIO * self.prior_s * weight


class Progress:
    """Writes a line per cell: overwritten while it runs on a terminal, written once where the output is a file."""

    def __init__(self, config: pytest.Config, reporter: Any, items: Sequence[pytest.Item], *, num_items: int) -> None:
        self._config = config
        self._reporter = reporter
        self._numbers = {item.nodeid: number for number, item in enumerate(items, start=1)}
        self._left = _time_left(config, items)
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
        self._left.begin(_profile_of(nodeid))
        remaining = self._left.seconds()
        left = f"about {duration_in_words(remaining)} left" if remaining > 0 else ""
        self._replace(f"{text}  {left}".rstrip(), newline=not self._live)
        yield
        self._left.end(_profile_of(nodeid))

    def begin_profiles(self, nodeids: Sequence[str]) -> None:
        """Take out of the time left the profiles of cells that have none to give."""
        expected = {_profile_of(nodeid) for nodeid in self._numbers}
        self._left.drop(expected - {_profile_of(nodeid) for nodeid in nodeids})

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
        from perfsuite.analysis.frames.row_warnings import pooled_warnings, warnings_of

        record = read_record(benchmark.extra_info[KEY])
        if isinstance(record, NumericsRecord | ScalingRecord):
            return _in_words(record)
        if isinstance(record, PairedRecord):
            from perfsuite.analysis.tables.pairs import paired_in_words

            mark = pooled_warnings([record])
            return paired_in_words(record) + (f"  {mark}" if mark else "")
        if isinstance(record, TrainingRecord):
            text = f"test accuracy {record.test_accuracy:.2%} after {duration_in_words(benchmark.stats['median'])}"
            mark = pooled_warnings([record])
            return text + (", trained before" if record.replayed else "") + (f"  {mark}" if mark else "")
        workload = item.stash[WORKLOAD]
        rate = METRICS["images_per_second"].show(workload.batch_size / benchmark.stats["median"])
        peak = record.metrics["peak_allocated_bytes"]
        words = warnings_of(record, iqr_s=benchmark.stats["iqr"], median_s=benchmark.stats["median"])
        mark = f"  {words}" if words else ""
        return f"{rate:>8} {workload.rate_unit}  {METRICS['peak_allocated_bytes'].show(peak):>9} MiB{mark}"


def _in_words(record: NumericsRecord | ScalingRecord) -> str:
    if isinstance(record, NumericsRecord):
        return f"{len(record.claims)} claims hold"
    from perfsuite.analysis.tables.scaling import scaling_in_words

    return scaling_in_words(record)


def _profile_of(nodeid: str) -> str:
    return f"profile of {nodeid}"


def _time_left(config: pytest.Config, items: Sequence[pytest.Item]) -> TimeLeft:
    """Return what estimates the time left: by the plan that the head of the run shows, where there is one.

    Cells that the plan does not cover (pairs, trainings, tests of others) stand in it by their weight relative to its.
    """
    options, budget = config.stash[OPTIONS], suite(config).budget
    if suite(config).devices:
        weights = {item.nodeid: training_weight(item, options) for item in items}
        num_places = len(suite(config).devices) // options.world_size
        average_s = budget.max_time_s + budget.min_warm_up_s + 1.0
        return TimeLeft(weights=weights, prior_s=average_s, num_places=num_places)
    weights = {item.nodeid: _weight(item, options) for item in items}
    expected = expected_time(config)
    if expected is None or expected.plan is None:
        if options.profiled:
            steps = [item.nodeid for item in items if is_step(item)]
            weights.update({_profile_of(nodeid): PROFILE_SHARE * weights[nodeid] for nodeid in steps})
        usual_s = budget.max_time_s + budget.min_warm_up_s + 1.0
        return TimeLeft(weights=weights, prior_s=SCALING_S if all(map(is_scaling, items)) else usual_s)
    planned = dict(zip(expected.cells, expected.plan.cells, strict=True))
    scale_s = sum(planned.values()) / sum(weights[nodeid] for nodeid in planned)
    seconds = {nodeid: planned.get(nodeid, scale_s * weight) for nodeid, weight in weights.items()}
    profiles = zip(expected.cells, expected.plan.profiles, strict=True)
    seconds.update({_profile_of(nodeid): profile_s for nodeid, profile_s in profiles if profile_s > 0})
    return TimeLeft(weights=seconds, prior_s=sum(seconds.values()) / len(seconds))


def training_weight(item: pytest.Item, options: Options) -> float:
    """Return about how long a full training takes, relative to others: its network's work, in all its epochs."""
    parameters = item.callspec.params  # type: ignore[attr-defined]
    recipe = recipe_for(options.recipe, str(parameters["model"]), str(parameters["precision"]))
    return (1.0 + _forward_gmacs(item, options) * PAIR_COST / 2) * recipe.epochs


def _weight(item: pytest.Item, options: Options) -> float:
    """Return about how long a cell takes, relative to others."""
    if is_study(item):
        return STUDY_WEIGHTS.get(item.name.partition("[")[0].removeprefix("test_"), 1.0)
    if is_scaling(item):
        return SCALING_WEIGHT
    if is_own_test(item):
        return 1.0  # what it calls is not known before it runs
    return 1.0 + _forward_gmacs(item, options) * _phase_cost(item) / 2


def _forward_gmacs(item: pytest.Item, options: Options) -> float:
    from perfsuite.measure.sample_cost import sample_cost

    parameters = item.callspec.params  # type: ignore[attr-defined]
    model = str(parameters["model"])
    num_classes = num_classes_of(item, options, model)
    return sample_cost(model, image_size=parameters["image_size"], num_classes=num_classes).forward_gmacs


def _phase_cost(item: pytest.Item) -> float:
    return PHASE_COST.get(str(phase_of(item)), 1.0) if is_step(item) else PAIR_COST


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

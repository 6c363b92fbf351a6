"""What all formats are made from: result files, reduced to named values with their units."""

from __future__ import annotations

import hashlib
import statistics
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfsuite.analysis.history.run_values import TIME, Value, values_of
from perfsuite.analysis.history.store import content_of
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.errors import ResultFileError
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from perfsuite.analysis.history.run_values import RunValues

THROUGHPUT = "images_per_second"

UNITS = {
    TIME: "s",
    "peak_allocated_bytes": "B",
    "energy_per_image_joules": "J/image",
    "test_accuracy": "ratio",
    "training_time_s": "s",
}
"""Units of the values that are exported, by the keys of their metrics: base units, so that no reader has to scale."""


MAX_STARTED_S = 253_402_300_800.0
"""The year 10000, in seconds since 1970: the end of the years that ISO 8601 and Python's calendar have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedRun:
    """A result file, reduced to what other tools take.

    Attributes:
        name: Of the file.
        digest: SHA-256 of its content, uncompressed: what identifies it.
        run: When, where and in which versions it was measured.
        values: What was measured, and the throughput that follows from it.
    """

    name: str
    digest: str
    run: RunValues
    values: tuple[Value, ...]

    @property
    def is_dated(self) -> bool:
        """Whether the file says when it was measured, in a year that calendars have."""
        return 0 <= self.run.started_s < MAX_STARTED_S


def read_run(path: Path) -> ExportedRun:
    """Read a result file.

    Raises:
        ResultFileError: It cannot be used.
    """
    run = values_of(read_result_file(path))
    return ExportedRun(
        name=path.name.encode("utf-8", "replace").decode("utf-8"),
        digest=hashlib.sha256(content_of(path)).hexdigest(),
        run=run,
        values=tuple(_with_throughput(run.values)),
    )


def _with_throughput(values: Sequence[Value]) -> Iterator[Value]:
    for value in values:
        yield value
        if value.metric == TIME and value.workload is not None:
            num = value.workload.batch_size
            yield replace(
                value,
                metric=THROUGHPUT,
                value=num / value.value,
                low=None if value.high is None else num / value.high,
                high=None if value.low is None else num / value.low,
            )


def unit_of(value: Value) -> str:
    """Return the unit of a value; what a throughput counts is the workload's."""
    if value.metric == THROUGHPUT and value.workload is not None:
        return value.workload.rate_unit
    return UNITS[value.metric]


def is_higher_better(value: Value) -> bool:
    """Whether a larger value is the better one."""
    return METRICS[value.metric].is_higher_better


def one_result(runs: Sequence[ExportedRun]) -> tuple[Value, ...]:
    """Return several runs as one: of each machine, the median with the lowest and the highest run.

    One run alone has the quartiles of its rounds. Where there are several machines, their names follow those of the
    benchmarks.
    """
    machines = {one.run.machine for one in runs}
    found: dict[tuple[str, str, str], list[Value]] = defaultdict(list)
    for one in runs:
        for value in one.values:
            found[one.run.machine, value.benchmark, value.metric].append(value)
    return tuple(
        replace(_together(values), benchmark=benchmark if len(machines) == 1 else f"{benchmark} on {machine}")
        for (machine, benchmark, _), values in found.items()
    )


def _together(values: Sequence[Value]) -> Value:
    if len(values) == 1:
        return values[0]
    numbers = [value.value for value in values]
    return replace(values[0], value=statistics.median(numbers), low=min(numbers), high=max(numbers))


def newest_first(runs: Sequence[ExportedRun]) -> list[ExportedRun]:
    """Return runs in the order of time, the newest first; those that do not say when they were measured are last."""
    dated = [one for one in runs if one.is_dated]
    undated = [one for one in runs if not one.is_dated]
    return [*sorted(dated, key=lambda one: one.run.started_s, reverse=True), *undated]


def limited(name: str, num_characters: int) -> str:
    """Return a name of at most so many characters; two names that are cut stay two."""
    return name if len(name) <= num_characters else distinct(name[: num_characters - DIGEST_DIGITS - 1], name)


def distinct(shown: str, name: str) -> str:
    """Return a name as it may be written: followed by a part of its hash where it is not the name itself."""
    if shown == name:
        return name
    return f"{shown}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:DIGEST_DIGITS]}"


DIGEST_DIGITS = 8
"""Of a hash in a name: of thousands of names, two are the same once in a million times."""


def require(found: object, what: str) -> None:
    """Check that there is something to write.

    Raises:
        ResultFileError: There is not.
    """
    if not found:
        raise ResultFileError(f"the files contain no {what}; nothing was written")

"""One entry of a result file: its statistics, its rounds and its record, each checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perfsuite.errors import RecordError
from perfsuite.records.cell import Record
from perfsuite.records.numerics import NumericsRecord
from perfsuite.records.pair import PairedRecord
from perfsuite.records.reading import AnyRecord, read_record
from perfsuite.records.scaling import ScalingRecord
from perfsuite.records.schema import KEY
from perfsuite.records.strict_json import check_length, is_number
from perfsuite.records.training import TrainingRecord

STATS_FIELDS = {
    "min": "time_min_s",
    "max": "time_max_s",
    "mean": "time_mean_s",
    "median": "time_median_s",
    "stddev": "time_stddev_s",
    "q1": "time_q1_s",
    "q3": "time_q3_s",
}
"""pytest-benchmark's statistics by our names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One entry of a result file.

    Attributes:
        fullname: pytest's node id.
        name: The last part of it.
        group: pytest-benchmark's group, or None.
        stats: Values in seconds by our metric names; those that the file does not have are missing.
        num_rounds: How many rounds.
        num_iterations: Iterations in a round.
        times_s: Every round's time per iteration in seconds [num_rounds] float64, or None where the file has no raw
            data.
        record: What perfsuite wrote of it, of whichever kind; None in a file that perfsuite did not write.
        extra_info: What else the suite wrote of it, as it stands there.
    """

    fullname: str
    name: str
    group: str | None
    stats: dict[str, float]
    num_rounds: int | None
    num_iterations: int | None
    times_s: np.ndarray[Any, np.dtype[np.float64]] | None
    record: AnyRecord | None
    extra_info: dict[str, Any] = field(default_factory=dict)

    @property
    def cell(self) -> Record | None:
        """The record, where it is one of a cell."""
        return self.record if isinstance(self.record, Record) else None

    @property
    def pair(self) -> PairedRecord | None:
        """The record, where it is one of two things interleaved."""
        return self.record if isinstance(self.record, PairedRecord) else None

    @property
    def training(self) -> TrainingRecord | None:
        """The record, where it is one of a full training."""
        return self.record if isinstance(self.record, TrainingRecord) else None

    @property
    def numerics(self) -> NumericsRecord | None:
        """The record, where it is one of a study of mixed precision."""
        return self.record if isinstance(self.record, NumericsRecord) else None

    @property
    def scaling(self) -> ScalingRecord | None:
        """The record, where it is one of a step on several devices."""
        return self.record if isinstance(self.record, ScalingRecord) else None

    @property
    def run_id(self) -> str | None:
        """Which process measured, or None in a file that perfsuite did not write."""
        return None if self.record is None else self.record.process.run_id

    @property
    def replayed(self) -> bool:
        """Whether it was measured by another run, and only copied into this file."""
        return self.training is not None and self.training.replayed


MAX_TIME_S = 1e9
"""Thirty years: longer than any run, and far from where arithmetic overflows."""


MIN_TIME_S = 1e-9
"""Of an iteration of a network, which takes more than a nanosecond on any machine to come."""


def read_benchmark(entry: object, where: str) -> Benchmark:
    """Read one entry of the list `benchmarks`.

    Raises:
        RecordError: A field is missing, of the wrong type or out of its range.
    """
    if not isinstance(entry, dict):
        raise RecordError(f"{where} is not an object")
    stats = entry.get("stats")
    if not isinstance(stats, dict):
        raise RecordError(f"{where}.stats is not an object")
    fullname = entry.get("fullname") or entry.get("name")
    if not isinstance(fullname, str):
        raise RecordError(f"{where} has no fullname")
    check_length(fullname, f"{where}.fullname")
    name = text_or_none(entry.get("name"), f"{where}.name")
    record = _record(entry, stats, where)
    least_s = 0.0 if record is None else MIN_TIME_S
    return Benchmark(
        fullname=fullname,
        name=fullname if name is None else name,
        group=text_or_none(entry.get("group"), f"{where}.group"),
        stats=_stats(stats, f"{where}.stats"),
        num_rounds=_count(stats.get("rounds"), f"{where}.stats.rounds"),
        num_iterations=_count(stats.get("iterations"), f"{where}.stats.iterations"),
        times_s=_times(stats.get("data"), f"{where}.stats.data", least=least_s),
        record=record,
        extra_info=_extra_info(entry),
    )


def _extra_info(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what is in it besides our record."""
    extra = entry.get("extra_info")
    if not isinstance(extra, dict):
        return {}
    return {key: value for key, value in extra.items() if key != KEY} if KEY in extra else extra


def _record(entry: dict[str, Any], stats: dict[str, Any], where: str) -> AnyRecord | None:
    """Return our record of an entry, or None where it is not ours."""
    extra = entry.get("extra_info")
    content = extra.get(KEY) if isinstance(extra, dict) else None
    if content is None:
        return None
    median = stats.get("median")
    if not _is_time_of_ours(median):
        raise RecordError(f"{where}.stats.median is {shown_value(median)}, a time in seconds above 0 is needed")
    return read_record(content, f"{where}.extra_info.{KEY}")


def _stats(stats: dict[str, Any], where: str) -> dict[str, float]:
    found = {}
    for theirs, ours in STATS_FIELDS.items():
        value = stats.get(theirs)
        if type(value) is float and 0 <= value <= MAX_TIME_S:  # nearly always, and there may be a million of them
            found[ours] = value
        elif theirs in stats:
            found[ours] = _seconds(value, f"{where}.{theirs}")
    return found


def shown_value(value: object) -> str:
    """Return the value in few characters; a whole number of thousands of digits cannot even be printed."""
    try:
        return repr(str(value)[:40])
    except ValueError:
        return "a very large number"


def _is_time_of_ours(value: object) -> bool:
    return isinstance(value, int | float) and _is_time(value) and value >= MIN_TIME_S


def _seconds(value: object, where: str) -> float:
    if not isinstance(value, int | float) or not _is_time(value):
        raise RecordError(f"{where} is {shown_value(value)}, a time in seconds is needed")
    return float(value)


def _is_time(value: float) -> bool:
    return is_number(value) and 0 <= value <= MAX_TIME_S


MAX_PLAIN_COUNT = 2**53
"""Whole numbers up to here are the same as a float."""


def _count(value: object, where: str) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= MAX_PLAIN_COUNT):  # nearly always
        return value
    if not isinstance(value, int | float) or not is_number(value) or value < 0 or value != int(value):
        raise RecordError(f"{where} is {shown_value(value)}, a whole number is needed")
    return int(value)


def _times(value: object, where: str, *, least: float) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    if value is None or value == []:
        return None
    if not isinstance(value, list):
        raise RecordError(f"{where} is not a list")
    if not set(map(type, value)) <= {float, int}:
        raise RecordError(f"{where} has an entry that is not a number")
    try:
        times = np.asarray(value, dtype=np.float64)
    except OverflowError:
        raise RecordError(f"{where} has a number that is not a time in seconds") from None
    if not ((times >= least) & (times <= MAX_TIME_S)).all():
        raise RecordError(f"{where} has a number that is not a time in seconds")
    return times


def text_or_none(value: object, where: str) -> str | None:
    """Return a text of limited length, or None where there is none.

    Raises:
        RecordError: It is too long.
    """
    return check_length(value, where) if isinstance(value, str) else None

"""What spoils a result, in a word or two for its own row; the notes below the table say it in full."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from perfsuite.records.scaling import ScalingRecord
from perfsuite.records.telemetry import BACKGROUND_LIMIT_RATIO, NOTABLE_RATIO, SPREAD_LIMIT_RATIO, STEAL_LIMIT_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from perfsuite.records.cell import Record
    from perfsuite.records.pair import PairedRecord
    from perfsuite.records.telemetry import Telemetry
    from perfsuite.records.training import TrainingRecord

OTHER = "see notes"
"""Of a result with a finding that has no word of its own: a warm-up that did not become stable, for instance."""


def warnings_of(record: Record, *, iqr_s: float | None, median_s: float | None) -> str | None:
    """Return the words of a cell, or None.

    Args:
        record: Of the cell.
        iqr_s: Interquartile range of its rounds.
        median_s: Their median.
    """
    is_noisy = iqr_s is not None and median_s is not None and iqr_s > SPREAD_LIMIT_RATIO * median_s
    return ", ".join(_words_of(record, is_noisy=is_noisy)) or None


UNEQUAL = "checks FAILED"
"""Of a step on several devices whose gradients are not what they should be."""


def pooled_warnings(records: Iterable[PairedRecord | TrainingRecord | ScalingRecord]) -> str | None:
    """Return the words of a row that is computed from several records: each word once, or None."""
    words = [word for record in records for word in _words_of(record)]
    return ", ".join(dict.fromkeys(words)) or None


def _words_of(record: Record | PairedRecord | TrainingRecord | ScalingRecord, *, is_noisy: bool = False) -> list[str]:
    counts = Counter({"noisy": int(is_noisy)})
    for telemetry in readings_of(record):
        counts.update(_counts_of(telemetry))
    words = [UNEQUAL] if isinstance(record, ScalingRecord) and record.failed else []
    words += [word for word, count in counts.items() if count]
    if len(record.findings) > counts.total():
        words.append(OTHER)
    return words


def readings_of(record: Record | PairedRecord | TrainingRecord | ScalingRecord) -> tuple[Telemetry, ...]:
    """Return hardware telemetry of a record: of a step on several devices that of each rank."""
    if isinstance(record, ScalingRecord):
        return record.telemetry
    return () if record.telemetry is None else (record.telemetry,)


def _counts_of(telemetry: Telemetry) -> dict[str, int]:
    """Return how many findings of the hardware's readings each word is about."""
    shares = (telemetry.throttle_ratio or {}).values()
    return {
        "throttled": sum(share >= NOTABLE_RATIO for share in shares),
        "other GPU processes": int(bool(telemetry.num_other_processes)),
        "background load": int((telemetry.background_cpu_ratio or 0.0) > BACKGROUND_LIMIT_RATIO),
        "steal time": int((telemetry.steal_ratio or 0.0) > STEAL_LIMIT_RATIO),
    }


def has_warnings(frame: pd.DataFrame, column: str = "warnings") -> bool:
    """Whether any row has one."""
    return column in frame and bool(frame[column].notna().any())


def joined_warnings(sides: dict[str, pd.DataFrame]) -> str | None:
    """Return the words of a row that is computed from several: each side's, by its name."""
    return joined_words({name: ", ".join(_words(frame)) for name, frame in sides.items()})


def joined_words(sides: Mapping[str, str | None]) -> str | None:
    """Return the words of several sides, each after the name of its side; None where there are none."""
    return "; ".join(f"{name} {words}" for name, words in sides.items() if words) or None


def _words(frame: pd.DataFrame) -> list[str]:
    if not has_warnings(frame):
        return []
    return list(dict.fromkeys(word for text in frame["warnings"].dropna() for word in text.split(", ")))

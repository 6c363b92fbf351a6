"""What was measured in alternation: the paired speed-up beside the quotient of separate cells, and the fidelity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.collect import ENVIRONMENT_COLUMNS, PAIRING_COLUMNS, WORKLOAD_COLUMNS
from perfsuite.analysis.statistics.intervals import RatioEstimate, paired_ratio, ratio_of_medians_one_process
from perfsuite.analysis.table_parts import SHORT_HEADINGS, notes_of, shared_in_words, telling_apart, varying
from perfsuite.analysis.tables import Column, Table, metric_column, ratio_column, text_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.collect import Pair, Results
    from perfsuite.records import Comparison, PairedRecord

_ALWAYS_SHOWN = ("model", "precision")
_OVER_BLOCKS = (
    "[low, high]: 95% interval over blocks ({}) of one process: a steady drift cancels; what differs from process to "
    "process is not in it"
)
_SEPARATE = (
    "separate cells: the quotient of two cells of the same run; its interval holds nothing of what drifted between them"
)


def pairs_frame(results: Results, comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return a row per alternation of those comparisons.

    Returns:
        Columns: file, environment, the candidate's workload, `baseline_precision`, `time_ratio` (candidate over
        baseline) with `time_ratio_low` and `time_ratio_high`, `baseline_time_median_s`, `time_median_s`, `num_blocks`,
        `num_passes`, `limit_ratio`, and for what one process has measured in separate cells as well
        `separate_time_ratio` with its interval.
    """
    rows = []
    for pair in results.pairs:
        record = pair.record
        if record.comparison not in comparisons:
            continue
        blocks = np.array(record.blocks)
        rows.append(
            {
                "file": pair.file,
                "series": pair.series,
                "name": pair.name,
                "comparison": record.comparison,
                **pair.environment,
                **{column: getattr(record.candidate, column) for column in WORKLOAD_COLUMNS},
                "baseline_precision": record.baseline.precision,
                **paired_interval(record),
                "baseline_time_median_s": float(np.median(blocks[:, [0, 3]])),
                "time_median_s": float(np.median(blocks[:, [1, 2]])),
                "num_blocks": len(blocks),
                "num_passes": record.num_passes,
                "limit_ratio": record.limit_ratio,
                **_interval("separate_time_ratio", _separate_cells(pair, results)),
            }
        )
    columns = ["file", "series", "name", *ENVIRONMENT_COLUMNS, *WORKLOAD_COLUMNS]
    return pd.DataFrame(rows, columns=None if rows else columns)


def paired_interval(record: PairedRecord) -> dict[str, float | None]:
    """Return candidate over baseline: `time_ratio`, `time_ratio_low`, `time_ratio_high`."""
    return _interval("time_ratio", paired_ratio(np.array(record.blocks)))


def _interval(name: str, estimate: RatioEstimate | None) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: estimate.ratio, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _separate_cells(pair: Pair, results: Results) -> RatioEstimate | None:
    """Return candidate over baseline from the two cells that the same process measured one after the other."""
    if pair.record.comparison != "speedup":
        return None
    times = []
    for workload in (pair.record.candidate, pair.record.baseline):
        cells = results.benchmarks
        cells = cells[cells["run_id"] == pair.record.process.run_id] if "run_id" in cells else cells.iloc[:0]
        for column in WORKLOAD_COLUMNS:
            cells = cells[cells[column] == getattr(workload, column)]
        rounds = None if cells.empty else results.times_s[int(cells.index[0])]
        if rounds is None:
            return None
        times.append(rounds)
    return ratio_of_medians_one_process(*times)


COMPARISONS: dict[str, tuple[Comparison, ...]] = {
    "paired": ("speedup",),
    "fidelity": ("fidelity",),
    "pipeline": ("pipeline_step", "pipeline_study"),
}
"""Which comparisons a table is about, by the table's name."""


def has_pairs(results: Results, table: str) -> bool:
    """Whether there is anything to show in a table of this module."""
    return any(pair.record.comparison in COMPARISONS[table] for pair in results.pairs)


def paired_table(results: Results) -> Table:
    """Return what AMP gives by alternation, and beside it by two separate cells of the same process."""
    frame = pairs_frame(results, COMPARISONS["paired"])
    title = f"FP32 and AMP in alternation{shared_in_words(frame)}"
    if frame.empty:
        note = "nothing was measured in alternation: pytest benchmarks -m speedup does that"
        return Table(title=title, frame=frame, columns=(), notes=(note, *notes_of(results)))
    for name in ("time_ratio", "separate_time_ratio"):
        speedup = "speedup_ratio" if name == "time_ratio" else "separate_speedup_ratio"
        # Times fall as speed rises, so the ends of the interval change places.
        for target, source in (("", ""), ("_low", "_high"), ("_high", "_low")):
            frame[speedup + target] = 1 / pd.to_numeric(frame[name + source])
    separate = bool(frame["separate_speedup_ratio"].notna().any())
    return Table(
        title=title,
        frame=frame,
        columns=(
            *telling_apart(frame),
            *_workload_columns(frame),
            *([text_column("baseline_precision", "against")] if frame["baseline_precision"].nunique() > 1 else []),
            ratio_column("speedup_ratio", "speedup_ratio_low", "speedup_ratio_high", "speed-up", decimals=3),
            *([_separate_column()] if separate else []),
            metric_column("num_blocks"),
        ),
        notes=(
            _OVER_BLOCKS.format("FP32, AMP, AMP, FP32"),
            *([_SEPARATE] if separate else []),
            *notes_of(results),
        ),
    )


def _separate_column() -> Column:
    name = "separate_speedup_ratio"
    return ratio_column(name, f"{name}_low", f"{name}_high", "separate cells", decimals=3)


def fidelity_table(results: Results) -> Table:
    """Return how far a reported training step is from a bare loop of the same step."""
    frame = pairs_frame(results, COMPARISONS["fidelity"])
    title = f"A training step as reported, against a bare loop{shared_in_words(frame)}"
    if frame.empty:
        note = "no fidelity was measured: pytest benchmarks -m fidelity does that"
        return Table(title=title, frame=frame, columns=(), notes=(note, *notes_of(results)))
    frame = frame.drop(columns=[column for column in frame if str(column).startswith("separate_")])
    frame["faithful"] = [is_faithful(row) for row in frame.to_dict("records")]
    return Table(
        title=title,
        frame=frame,
        columns=(
            *telling_apart(frame),
            *_workload_columns(frame),
            metric_column("time_median_s", source="baseline_time_median_s", heading="bare ms"),
            metric_column("time_median_s", heading="reported ms"),
            Column(heading="difference %", show=_difference, numeric=True),
            metric_column("num_blocks"),
            Column(heading="faithful", show=lambda row: f"{row['faithful']} ({row['limit_ratio']:.0%})"),
        ),
        notes=(
            _OVER_BLOCKS.format("bare, reported, reported, bare"),
            "faithful: the whole interval lies within the limit",
            *notes_of(results),
        ),
    )


_AGAINST = {"pipeline_step": "a step on one batch", "pipeline_study": "the study's way"}


def pipeline_table(results: Results) -> Table:
    """Return how fast a full training is fed: against a step on one batch, and against the study's way of loading."""
    frame = pairs_frame(results, COMPARISONS["pipeline"])
    title = f"Feeding a full training{shared_in_words(frame)}"
    if frame.empty:
        note = "no input pipeline was measured: pytest benchmarks -m input_pipeline does that"
        return Table(title=title, frame=frame, columns=(), notes=(note, *notes_of(results)))
    frame = frame.drop(columns=[column for column in frame if str(column).startswith("separate_")])
    # Times fall as throughput rises, so the ends of the interval change places.
    for target, source in (("", ""), ("_low", "_high"), ("_high", "_low")):
        frame[f"throughput_ratio{target}"] = 1 / pd.to_numeric(frame[f"time_ratio{source}"])
    frame["training_images_per_second"] = frame["batch_size"] / frame["time_median_s"]
    frame["against"] = [_AGAINST[name] for name in frame["comparison"]]
    ratio = ("throughput_ratio", "throughput_ratio_low", "throughput_ratio_high")
    return Table(
        title=title,
        frame=frame,
        columns=(
            *telling_apart(frame),
            *_workload_columns(frame),
            metric_column("training_images_per_second"),
            text_column("against"),
            ratio_column(*ratio, "throughput", decimals=3),
            metric_column("num_blocks"),
        ),
        notes=(
            _OVER_BLOCKS.format("the other, ours, ours, the other"),
            "ours: images lie on the device as bytes, and are shuffled, cast and normalised there",
            "the study's way: DataLoader with two workers, transforms image by image, the loss read at every step",
            *notes_of(results),
        ),
    )


def paired_in_words(record: PairedRecord) -> str:
    """Return the ratio in a few words: `speed-up 1.53x [1.52, 1.54]`."""
    row: dict[str, Any] = {**paired_interval(record)}
    if record.comparison == "fidelity":
        return f"off by {_difference(row)} %"
    if record.comparison == "pipeline_step":
        return f"{_difference(row)} % of a step's time"
    times = [row[key] for key in ("time_ratio", "time_ratio_high", "time_ratio_low")]
    texts = ["none" if value is None else f"{1 / value:.2f}" for value in times]
    return f"speed-up {texts[0]}x [{texts[1]}, {texts[2]}]"


def is_faithful(row: Mapping[Any, Any]) -> str:
    """Return `yes` if the whole interval lies within the limit, `no` if it lies wholly outside, else `cannot tell`."""
    low, high, limit = row["time_ratio_low"], row["time_ratio_high"], row["limit_ratio"]
    if low is None or high is None or np.isnan(low) or np.isnan(high):
        return "cannot tell"
    if high - 1 <= limit and 1 - low <= limit:
        return "yes"
    return "no" if low - 1 > limit or 1 - high > limit else "cannot tell"


def _difference(row: dict[str, Any]) -> str:
    shown = [row[key] for key in ("time_ratio", "time_ratio_low", "time_ratio_high")]
    texts = ["none" if value is None else f"{100 * (value - 1):+.2f}" for value in shown]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def _workload_columns(frame: pd.DataFrame) -> list[Column]:
    shown = varying(frame, ("model", "precision", *(c for c in PAIRING_COLUMNS if c != "model")), _ALWAYS_SHOWN)
    return [text_column(column, SHORT_HEADINGS.get(column)) for column in shown]

"""What was measured interleaved: the paired speed-up and the ratio of separate cells, and the harness overhead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.collect import ENVIRONMENT_COLUMNS, PAIRING_COLUMNS, WORKLOAD_COLUMNS
from perfsuite.analysis.overhead import decide, in_percent, paired_estimate
from perfsuite.analysis.statistics import RatioEstimate, ratio_of_medians_one_process
from perfsuite.analysis.table_parts import SHORT_HEADINGS, notes_of, shared_in_words, telling_apart, varying
from perfsuite.analysis.tables import Column, Table, metric_column, ratio_column, text_column

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Return a row per interleaved pair of those comparisons.

    Returns:
        Columns: file, environment, the candidate's workload, `baseline_precision`, `time_ratio` (candidate over
        baseline) with `time_ratio_low` and `time_ratio_high`, `baseline_time_s` (the median over blocks of the
        geometric mean of a block's baseline times), `time_s` (`baseline_time_s` times `time_ratio`, so that the times
        never contradict the ratio), `num_blocks`, `num_passes`, `limit_ratio`, and for what one process has measured in
        separate cells as well `separate_time_ratio` with its interval.
    """
    rows = []
    for pair in results.pairs:
        record = pair.record
        if record.comparison not in comparisons:
            continue
        ratio = paired_estimate(record)
        baseline_time_s = _baseline_time_s(record)
        rows.append(
            {
                "file": pair.file,
                "comparison": record.comparison,
                **pair.environment,
                **{column: getattr(record.candidate, column) for column in WORKLOAD_COLUMNS},
                "baseline_precision": record.baseline.precision,
                **_interval("time_ratio", ratio),
                "baseline_time_s": baseline_time_s,
                "time_s": baseline_time_s * ratio.ratio,
                "num_blocks": len(record.blocks),
                "num_passes": record.num_passes,
                "limit_ratio": record.limit_ratio,
                **_interval("separate_time_ratio", _separate_cells(pair, results)),
            }
        )
    columns = ["file", *ENVIRONMENT_COLUMNS, *WORKLOAD_COLUMNS]
    return pd.DataFrame(rows, columns=None if rows else columns)


def _baseline_time_s(record: PairedRecord) -> float:
    blocks = np.array(record.blocks)
    return float(np.median(np.sqrt(blocks[:, 0] * blocks[:, 3])))


def _block_order(results: Results, table: str, a: str, b: str) -> str:
    """Return the order of the turns of a block in words, a the baseline."""
    records = [pair.record for pair in results.pairs if pair.record.comparison in COMPARISONS[table]]
    either = any(record.turn_order != "abba" for record in records)
    return f"{a}, {b}, {b}, {a}" + (f", or {b}, {a}, {a}, {b}" if either else "")


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
    """Return AMP vs FP32 interleaved, and from two separate cells of the same process."""
    frame = pairs_frame(results, COMPARISONS["paired"])
    title = f"FP32 and AMP interleaved{shared_in_words(frame)}"
    if frame.empty:
        note = "nothing was measured interleaved: pytest benchmarks -m speedup does that"
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
            _OVER_BLOCKS.format(_block_order(results, "paired", "FP32", "AMP")),
            *([_SEPARATE] if separate else []),
            *notes_of(results),
        ),
    )


def _separate_column() -> Column:
    name = "separate_speedup_ratio"
    return ratio_column(name, f"{name}_low", f"{name}_high", "separate cells", decimals=3)


def fidelity_table(results: Results) -> Table:
    """Return the harness overhead: how far a reported training step is from a bare loop of the same step."""
    frame = pairs_frame(results, COMPARISONS["fidelity"])
    title = f"Harness overhead: a training step as reported, and a bare loop{shared_in_words(frame)}"
    if frame.empty:
        note = "no harness overhead was measured: pytest benchmarks -m fidelity does that"
        return Table(title=title, frame=frame, columns=(), notes=(note, *notes_of(results)))
    frame = frame.drop(columns=[column for column in frame if str(column).startswith("separate_")])
    bounds = ("time_ratio_low", "time_ratio_high", "limit_ratio")
    frame["outcome"] = [decide(*(row[key] for key in bounds)) for row in frame.to_dict("records")]
    num_looks = max(pair.record.num_looks for pair in results.pairs if pair.record.comparison == "fidelity")
    interval = _OVER_BLOCKS.format(_block_order(results, "fidelity", "bare", "reported"))
    return Table(
        title=title,
        frame=frame,
        columns=(
            *telling_apart(frame),
            *_workload_columns(frame),
            metric_column("time_median_s", source="baseline_time_s", heading="bare ms"),
            metric_column("time_median_s", source="time_s", heading="reported ms"),
            Column(heading="difference %", show=_difference, numeric=True),
            metric_column("num_blocks"),
            text_column("outcome"),
            *([_limit_column()] if frame["limit_ratio"].nunique(dropna=False) > 1 else []),
        ),
        notes=(
            interval + (f"; it holds at each of up to {num_looks} looks" if num_looks > 1 else ""),
            f"pass: the whole interval lies within the limit{_shared_limit(frame)}; fail: beyond; else: cannot tell",
            "bare ms: median over blocks; reported ms: bare ms with the difference added",
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
    frame["training_images_per_second"] = frame["batch_size"] / frame["time_s"]
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
            _OVER_BLOCKS.format(_block_order(results, "pipeline", "reference", "perfsuite")),
            "perfsuite: images lie on the device as bytes, and are shuffled, cast and normalised there",
            "the study's way: DataLoader with two workers, transforms image by image, the loss read at every step",
            *notes_of(results),
        ),
    )


def paired_in_words(record: PairedRecord) -> str:
    """Return the ratio in a few words: `speed-up 1.53x [1.52, 1.54]`."""
    estimate = paired_estimate(record)
    times = (estimate.ratio, estimate.low, estimate.high)
    if record.comparison == "fidelity":
        return f"harness overhead {in_percent(*times)}%"
    if record.comparison == "pipeline_step":
        return f"{in_percent(*times)}% of a step's time"
    speed, high, low = ("n/a" if value is None else f"{1 / value:.2f}" for value in times)
    return f"speed-up {speed}x [{low}, {high}]"


def _difference(row: dict[str, Any]) -> str:
    return in_percent(row["time_ratio"], row["time_ratio_low"], row["time_ratio_high"])


def _limit_column() -> Column:
    return Column(heading="limit", show=lambda row: "-" if row["limit_ratio"] is None else f"{row['limit_ratio']:.0%}")


def _shared_limit(frame: pd.DataFrame) -> str:
    """Return the limit of all rows for a note; nothing where there is none or they differ."""
    limits = frame["limit_ratio"].unique()
    return f" ({limits[0]:.0%})" if len(limits) == 1 and pd.notna(limits[0]) else ""


def _workload_columns(frame: pd.DataFrame) -> list[Column]:
    shown = varying(frame, ("model", "precision", *(c for c in PAIRING_COLUMNS if c != "model")), _ALWAYS_SHOWN)
    return [text_column(column, SHORT_HEADINGS.get(column)) for column in shown]

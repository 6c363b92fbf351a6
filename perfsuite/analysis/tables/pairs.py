"""What was measured interleaved: the speed-up and the ratio of separate cells, harness overhead, the input pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.columns import PAIRING_COLUMNS
from perfsuite.analysis.frames.consistency import consistency_findings
from perfsuite.analysis.frames.labels import compared_name, differs, shared_in_words, varying
from perfsuite.analysis.frames.overhead import decide, in_percent, paired_estimate
from perfsuite.analysis.frames.pairs import COMPARISONS, pairs_frame
from perfsuite.analysis.frames.ratio_text import (
    MORE_PAIRS,
    MORE_PIPELINES,
    bracket_notes,
    ratio_columns,
    ratio_of_row,
    ratio_text,
)
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.tables.shared_columns import (
    SHORT_HEADINGS,
    distinguishing_columns,
    notes_of,
    place_table_columns,
    warnings_column,
)
from perfsuite.analysis.tables.table import Column, Priority, Table, metric_column, ratio_column, shown, text_column

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio
    from perfsuite.records.pair import PairedRecord

_ALWAYS_SHOWN = ("model", "precision")
_OVER_BLOCKS = (
    "[low, high]: 95% interval over blocks ({}) of one process: a linear drift cancels; differences between "
    "processes are not included"
)
_ORDER = "blocks of {}; a drift that is linear within a block cancels"
_BLOCKS_OR_ROUNDS = "blocks, or of the rounds of separate cells"
_SEPARATE = "separate cells: the ratio of two cells of the same runs, including any drift between the cells"


def _block_order(results: Results, table: str, a: str, b: str) -> str:
    """Return the order of the turns of a block in words, a the baseline."""
    records = [pair.record for pair in results.pairs if pair.record.comparison in COMPARISONS[table]]
    either = any(record.turn_order != "abba" for record in records)
    return f"{a}, {b}, {b}, {a}" + (f", or {b}, {a}, {a}, {b}" if either else "")


def interleaved_table(results: Results) -> Table:
    """Return the speed-up of AMP measured interleaved, and by two separate cells of the same processes."""
    frame = pairs_frame(results, COMPARISONS["interleaved"])
    compared = compared_name([] if frame.empty else frame["precision"])
    title = f"{compared} vs FP32, interleaved{shared_in_words(frame)}"
    if frame.empty:
        note = "nothing was measured interleaved: pytest benchmarks -m interleaved does that"
        return Table(title=title, frame=frame, columns=(), notes=(note, *notes_of(results)))
    speedups = _add_inverse(frame, "time_ratio", "speedup_ratio")
    separate = [ratio for ratio in _add_inverse(frame, "separate_time_ratio", "separate_speedup_ratio") if ratio]
    columns = shown(
        *place_table_columns(frame),
        *_workload_columns(frame),
        text_column("baseline_precision", "against", shown_when=differs(frame, "baseline_precision")),
        ratio_column("speedup_ratio", "speed-up", decimals=3),
        ratio_column("separate_speedup_ratio", "separate cells", decimals=3, shown_when=bool(separate)),
        text_column(
            "num_processes",
            "processes",
            shown_when=bool((frame["num_processes"] > 1).any()),
            priority=Priority.DETAIL,
        ),
        metric_column("num_blocks", priority=Priority.DETAIL),
        warnings_column(frame),
    )
    spread_of = _BLOCKS_OR_ROUNDS if separate else "blocks"
    other = "AMP" if compared == "AMP" else "the other"
    legend = [f"interleaved: {_ORDER.format(_block_order(results, 'interleaved', 'FP32', other))}"]
    legend += bracket_notes([*speedups, *separate], spread_of=spread_of, more=MORE_PAIRS)
    if separate:
        legend.append(_SEPARATE)
    legend += _turn_notes(results)
    notes = (*consistency_findings(results), *notes_of(results))
    return Table(title=title, frame=frame, columns=columns, legend=tuple(legend), notes=notes)


def _turn_notes(results: Results) -> list[str]:
    """Return whose clock the turns of the speed-ups ran at: one that both sides share, or each side's own."""
    records = [pair.record for pair in results.pairs if pair.record.comparison == "speedup"]
    settled = [record.settle_s for record in records if record.settle_s > 0]
    notes = []
    if settled:
        notes.append(
            f"turns timed after {min(settled):.0f} s of the same side (--perf-turn-time): each side at its own "
            "sustained clock"
        )
    if any(record.settle_s == 0 and record.candidate.device_type == "cuda" for record in records):
        notes.append(
            "turns of a fraction of a second: both sides run at one clock, that of their mixture; where a power limit "
            "sets the clock, --perf-turn-time 10 gives the ratio at each side's own sustained clock"
        )
    return notes


def _add_inverse(frame: pd.DataFrame, name: str, inverse: str) -> list[Ratio | None]:
    """Add the inverse of a ratio of times to every row, and return it: speed rises as times fall."""
    ratios = [ratio_of_row(row, name) for row in rows_of(frame)]
    inverses = [None if ratio is None else ratio.inverse() for ratio in ratios]
    columns = pd.DataFrame([ratio_columns(inverse, ratio) for ratio in inverses], index=frame.index)
    frame[columns.columns] = columns
    return inverses


def overhead_table(results: Results) -> Table:
    """Return the harness overhead: how far a reported training step is from a bare loop of the same step."""
    frame = pairs_frame(results, COMPARISONS["overhead"])
    title = f"Harness overhead: a training step as reported, and a bare loop{shared_in_words(frame)}"
    if frame.empty:
        note = "no harness overhead was measured: pytest benchmarks -m overhead does that"
        return Table(title=title, frame=frame, columns=(), notes=(note, *notes_of(results)))
    frame = frame.drop(columns=[column for column in frame if str(column).startswith("separate_")])
    bounds = ("time_ratio_low", "time_ratio_high", "limit_ratio")
    frame["outcome"] = [decide(*(row[key] for key in bounds)) for row in rows_of(frame)]
    num_looks = max(pair.record.num_looks for pair in results.pairs if pair.record.comparison == "overhead")
    limits_differ = bool(frame["limit_ratio"].nunique(dropna=False) > 1)
    columns = shown(
        *distinguishing_columns(frame),
        *_workload_columns(frame),
        metric_column("time_median_s", source="baseline_time_s", heading="bare ms", priority=Priority.NORMAL),
        metric_column("time_median_s", source="time_s", heading="reported ms"),
        Column(heading="difference %", show=_difference, numeric=True, priority=Priority.MAIN),
        metric_column("num_blocks", priority=Priority.DETAIL),
        warnings_column(frame),
        text_column("outcome", priority=Priority.MAIN),
        _limit_column(shown_when=limits_differ),
    )
    interval = _OVER_BLOCKS.format(_block_order(results, "overhead", "bare", "reported"))
    if num_looks > 1:
        interval += f"; it holds at each of up to {num_looks} looks"
    return Table(
        title=title,
        frame=frame,
        columns=tuple(columns),
        legend=(
            interval,
            f"pass: the whole interval lies within the limit{_shared_limit(frame)}; fail: beyond; else: cannot tell",
            "bare ms: median over blocks; reported ms: bare ms with the difference added",
        ),
        notes=notes_of(results),
    )


_AGAINST = {"pipeline_step": "a step on one batch", "pipeline_thesis": "the thesis's way"}


def input_pipeline_table(results: Results) -> Table:
    """Return how fast a full training is fed: against a step on one batch, and against the thesis's way of loading."""
    frame = pairs_frame(results, COMPARISONS["input_pipeline"])
    title = f"Feeding a full training{shared_in_words(frame)}"
    if frame.empty:
        note = "no input pipeline was measured: pytest benchmarks -m input_pipeline does that"
        return Table(title=title, frame=frame, columns=(), notes=(note, *notes_of(results)))
    frame = frame.drop(columns=[column for column in frame if str(column).startswith("separate_")])
    throughputs = _add_inverse(frame, "time_ratio", "throughput_ratio")
    frame["training_images_per_second"] = frame["batch_size"] / frame["time_s"]
    frame["against"] = [_AGAINST[name] for name in frame["comparison"]]
    return Table(
        title=title,
        frame=frame,
        columns=shown(
            *place_table_columns(frame),
            *_workload_columns(frame),
            metric_column("training_images_per_second", priority=Priority.NORMAL),
            text_column("against", priority=Priority.KEY),
            ratio_column("throughput_ratio", "throughput", decimals=3, priority=Priority.MAIN),
            metric_column("num_blocks", priority=Priority.DETAIL),
            warnings_column(frame),
        ),
        legend=(
            f"interleaved: {_ORDER.format(_block_order(results, 'input_pipeline', 'reference', 'perfsuite'))}",
            *bracket_notes(throughputs, spread_of="blocks", more=MORE_PIPELINES),
            "perfsuite: images lie on the device as bytes, and are shuffled, cast and normalised there",
            "the thesis's way: DataLoader with two workers, transforms image by image, the loss read at every step",
        ),
        notes=notes_of(results),
    )


def paired_in_words(record: PairedRecord) -> str:
    """Return the ratio in a few words: `speed-up 1.53x (1.52 to 1.54 in this run)`."""
    ratio = paired_estimate(record)
    percent = in_percent(ratio.ratio, ratio.low, ratio.high)
    if record.comparison == "overhead":
        return f"harness overhead {percent}%"
    if record.comparison == "switch":
        return f"{ratio_text(ratio.inverse())} the speed of the eager FP32 step"
    if record.comparison == "pipeline_step":
        return f"{percent}% of a step's time"
    return f"speed-up {ratio_text(ratio.inverse())}"


def _difference(row: dict[str, Any]) -> str:
    return in_percent(row["time_ratio"], row["time_ratio_low"], row["time_ratio_high"])


def _limit_column(*, shown_when: bool) -> Column:
    def show(row: dict[str, Any]) -> str:
        return "-" if row["limit_ratio"] is None else f"{row['limit_ratio']:.0%}"

    return Column(heading="limit", show=show, shown_when=shown_when)


def _shared_limit(frame: pd.DataFrame) -> str:
    """Return the limit of all rows for a note; nothing where there is none or they differ."""
    limits = frame["limit_ratio"].unique()
    return f" ({limits[0]:.0%})" if len(limits) == 1 and pd.notna(limits[0]) else ""


def _workload_columns(frame: pd.DataFrame) -> list[Column]:
    shown = varying(frame, ("model", "precision", *(c for c in PAIRING_COLUMNS if c != "model")), _ALWAYS_SHOWN)
    return [text_column(column, SHORT_HEADINGS.get(column)) for column in shown]

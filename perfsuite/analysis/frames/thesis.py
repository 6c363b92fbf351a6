"""Step results compared with the thesis's tables 5.1 and 5.2: training time, projected, and peak memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite import thesis
from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS, place_columns
from perfsuite.analysis.frames.ratio_text import ratio_columns
from perfsuite.analysis.frames.speedup import time_ratio
from perfsuite.analysis.statistics.intervals import geometric_mean
from perfsuite.precisions import BASELINE, POLICIES
from perfsuite.records.workload import IMAGE_SIZE, NUM_CLASSES

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results


THESIS_PRECISIONS = {
    name: policy.thesis for name, policy in POLICIES.items() if policy.thesis is not None and not policy.allow_tf32
}
"""Which precision of the thesis each measured one is compared with; a T4 has no TF32, and no weights were in BF16."""


def thesis_frame(results: Results) -> pd.DataFrame:
    """Return a row per place and train_step of a network that the thesis trained, in FP32 or with AMP.

    Several files of one place (see `place_columns`) are several processes of it.

    Returns:
        Columns: the place columns, `model`, `precision`, `batch_size`, `gradients`,
        `images_per_second`, `projected_training_time_s` (epochs x 45,000 / images per second),
        `peak_allocated_bytes`, the thesis's `thesis_training_time_s` and `thesis_peak_bytes` (None unless the batch and
        the gradients are the thesis's), `num_processes`, and for AMP the ratios to FP32, ours and the thesis's:
        `projected_time_ratio` with what `ratio_columns` adds; `thesis_memory_ratio` only at the thesis's batch.
    """
    frame = results.benchmarks
    if frame.empty or not results.has_records:
        return pd.DataFrame()
    places = place_columns(frame)
    frame = frame.assign(row=range(len(frame)))
    frame = frame[(frame["phase"] == "train_step") & frame["model"].isin(thesis.EPOCHS)]
    frame = frame[(frame["image_size"] == IMAGE_SIZE) & (frame["num_classes"] == NUM_CLASSES)]
    frame = frame[frame["precision"].isin(THESIS_PRECISIONS)]
    keys = [*places, *WORKLOAD_COLUMNS]
    groups = dict(iter(frame.groupby(keys, dropna=False, sort=False)))
    precision = keys.index("precision")
    rows = []
    for key, cells in groups.items():
        baseline = groups.get((*key[:precision], BASELINE, *key[precision + 1 :]))
        found = dict(zip(keys, key, strict=True))
        rows.append({**{column: found[column] for column in places}, **_row(found, cells, baseline, results)})
    return pd.DataFrame(rows)


def _row(
    workload: dict[str, Any], cells: pd.DataFrame, baseline: pd.DataFrame | None, results: Results
) -> dict[str, Any]:
    model, batch_size = workload["model"], int(workload["batch_size"])
    is_amp = workload["precision"] != BASELINE
    theirs = thesis.thesis_result(model, THESIS_PRECISIONS[workload["precision"]])
    their_baseline = thesis.thesis_result(model, BASELINE)
    same = batch_size == thesis.BATCH_SIZE and workload["gradients"] == thesis.GRADIENTS
    ratio, memory_ratio, thesis_time_ratio, thesis_memory_ratio = None, None, None, None
    if is_amp and baseline is not None and theirs and their_baseline:
        cells, base_cells, ratio = time_ratio(cells, baseline, results)
        peaks = _peak_bytes(cells), _peak_bytes(base_cells)
        memory_ratio = peaks[0] / peaks[1] if peaks[0] and peaks[1] else None
        thesis_time_ratio = theirs.training_time_s / their_baseline.training_time_s
        if batch_size == thesis.BATCH_SIZE:  # activations, which AMP halves, grow with the batch; weights do not
            thesis_memory_ratio = theirs.peak_allocated_bytes / their_baseline.peak_allocated_bytes
    images_per_second = batch_size / geometric_mean(cells["time_median_s"])
    return {
        **{column: workload[column] for column in ("model", "precision", "batch_size", "gradients")},
        "images_per_second": images_per_second,
        "projected_training_time_s": thesis.EPOCHS[model] * thesis.TRAIN_IMAGES / images_per_second,
        "thesis_training_time_s": theirs.training_time_s if theirs else None,
        **ratio_columns("projected_time_ratio", ratio),
        "thesis_time_ratio": thesis_time_ratio,
        "num_processes": cells["run_id"].nunique() if ratio is None else ratio.num_processes,
        "peak_allocated_bytes": _peak_bytes(cells),
        "thesis_peak_bytes": theirs.peak_allocated_bytes if theirs and same else None,
        "memory_ratio": memory_ratio,
        "thesis_memory_ratio": thesis_memory_ratio,
    }


def _peak_bytes(cells: pd.DataFrame) -> float | None:
    """Return the largest peak of these cells, or None where it is not known."""
    if "peak_allocated_bytes" not in cells:
        return None
    peak = pd.to_numeric(cells["peak_allocated_bytes"]).max()
    return None if pd.isna(peak) or peak <= 0 else float(peak)

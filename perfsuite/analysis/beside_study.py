"""Our step results beside the study's tables 5.1 and 5.2: training time, projected, and peak memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite import study
from perfsuite.analysis.collect import PAIRING_COLUMNS, differing_columns, place_columns

if TYPE_CHECKING:
    from perfsuite.analysis.collect import Results


def thesis_frame(results: Results) -> pd.DataFrame:
    """Return a row per train_step of a network that the study trained, in FP32 or with AMP of either type.

    Returns:
        Columns: the environment columns that differ, `model`, `precision`, `batch_size`, `gradients`,
        `images_per_second`, `projected_training_time_s` (epochs x 45,000 / images per second),
        `peak_allocated_bytes`, the study's `thesis_training_time_s` and `thesis_peak_bytes` (None unless the batch and
        the gradients are the study's), and for AMP the ratios to FP32, ours and the study's.
    """
    frame = results.benchmarks
    if frame.empty or not results.ours:
        return pd.DataFrame()
    frame = frame[(frame["phase"] == "train_step") & frame["model"].isin(study.EPOCHS)]
    frame = frame[(frame["precision"] == "fp32") | frame["precision"].str.startswith("amp-")]
    apart = list(dict.fromkeys((*differing_columns(results.benchmarks), *place_columns(results.benchmarks))))
    baselines = {_key(row, apart): row for row in frame.to_dict("records") if row["precision"] == "fp32"}
    return pd.DataFrame([_row(row, baselines.get(_key(row, apart)), apart) for row in frame.to_dict("records")])


def _key(row: dict[Any, Any], apart: list[str]) -> tuple[Any, ...]:
    return tuple(row[column] for column in (*apart, *PAIRING_COLUMNS))


def _row(row: dict[Any, Any], baseline: dict[Any, Any] | None, apart: list[str]) -> dict[str, Any]:
    is_amp = row["precision"] != "fp32"
    theirs = study.study_result(row["model"], "amp-fp16" if is_amp else "fp32")
    their_baseline = study.study_result(row["model"], "fp32")
    same = row["batch_size"] == study.BATCH_SIZE and row["gradients"] == study.GRADIENTS
    found: dict[str, Any] = {
        **{column: row[column] for column in apart},
        **{column: row[column] for column in ("model", "precision", "batch_size", "gradients")},
        "images_per_second": row["images_per_second"],
        "projected_training_time_s": study.EPOCHS[row["model"]] * study.TRAIN_IMAGES / row["images_per_second"],
        "thesis_training_time_s": theirs.training_time_s if theirs else None,
        "projected_time_ratio": None,
        "thesis_time_ratio": None,
        "peak_allocated_bytes": row.get("peak_allocated_bytes"),
        "thesis_peak_bytes": theirs.peak_allocated_bytes if theirs and same else None,
        "memory_ratio": None,
        "thesis_memory_ratio": None,
    }
    if is_amp and baseline is not None and theirs and their_baseline:
        found["projected_time_ratio"] = baseline["images_per_second"] / row["images_per_second"]
        found["thesis_time_ratio"] = theirs.training_time_s / their_baseline.training_time_s
        if baseline.get("peak_allocated_bytes") and found["peak_allocated_bytes"]:
            found["memory_ratio"] = found["peak_allocated_bytes"] / baseline["peak_allocated_bytes"]
        found["thesis_memory_ratio"] = theirs.peak_allocated_bytes / their_baseline.peak_allocated_bytes
    return found

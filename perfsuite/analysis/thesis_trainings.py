"""Full trainings compared with those of the thesis: only trainings with its recipe, all others named in a note."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite import study
from perfsuite.analysis.frames import rows_of
from perfsuite.analysis.ratio_text import bracket_notes, ratio_columns, ratio_of_row
from perfsuite.analysis.speedup import BASELINE
from perfsuite.analysis.table_parts import notes_of, place_table_columns, value_columns
from perfsuite.analysis.tables import Column, Table, metric_column, ratio_column, text_column
from perfsuite.analysis.training_frame import accuracy_frame
from perfsuite.analysis.training_groups import distinguishing_values, heading_of, training_groups, training_origins
from perfsuite.analysis.training_tables import accuracy_in_words, data_notes
from perfsuite.recipes import STUDY, recipe_for

if TYPE_CHECKING:
    from perfsuite.analysis.collect import Results
    from perfsuite.training_record import TrainingRecord

THESIS_PRECISIONS = {BASELINE: BASELINE, "amp-fp16": "amp-fp16", "amp-bf16": "amp-fp16"}
"""Which precision of the thesis each of ours is compared with."""

BFLOAT16_NOTE = "amp-bf16 is compared with the thesis's AMP, which computed in float16"

_RECIPE_VALUES = (
    "epochs",
    "batch_size",
    "learning_rate",
    "decay_factor",
    "decay_every_epochs",
    "warmup_epochs",
    "warmup_factor",
    "momentum",
    "weight_decay",
)

TITLE = "Full trainings compared with the thesis (Tesla T4, torch 1.6.0)"


def comparable_trainings(results: Results) -> Results:
    """Return the results with those trainings alone that the thesis has done."""
    kept = tuple(one for one in results.trainings if difference_from_thesis(one.record) is None)
    return dataclasses.replace(results, trainings=kept)


def difference_from_thesis(record: TrainingRecord) -> str | None:
    """Return in words what differs from the trainings of the thesis, or None if it can be compared with one.

    Its accuracy, time and memory are those of its recipe on all images. Other pixels, another memory format or
    gradients that are freed are no other recipe; the table and its notes tell them.
    """
    model, precision = record.workload.model, record.workload.precision
    if precision not in THESIS_PRECISIONS or study.study_result(model, THESIS_PRECISIONS[precision]) is None:
        return f"{model} in {precision} was not trained"
    thesis = recipe_for(STUDY, model, precision)
    pairs = {name: (getattr(record.recipe, name), getattr(thesis, name)) for name in _RECIPE_VALUES}
    pairs["num_train"] = (record.data.num_train, study.TRAIN_IMAGES)
    pairs["num_test"] = (record.data.num_test, study.TEST_IMAGES)
    differing = [
        f"{heading_of(name)} {found:g}, not {wanted:g}" for name, (found, wanted) in pairs.items() if found != wanted
    ]
    return ", ".join(differing) or None


def left_out_in_words(results: Results) -> list[str]:
    """Return the note on trainings that are not compared with the thesis, if there are any."""
    named: dict[str, dict[str, None]] = {}
    for training in results.trainings:
        record = training.record
        difference = difference_from_thesis(record)
        if difference is not None:
            words = f"{record.workload.model} {record.workload.precision} {record.recipe.name}"
            named.setdefault(difference, {})[words] = None
    if not named:
        return []
    listed = "; ".join(f"{', '.join(trainings)} ({difference})" for difference, trainings in named.items())
    return [f"not compared with the thesis: {listed}"]


def thesis_trainings_table(results: Results) -> Table:
    """Return the thesis's tables 5.1 and 5.2 and the trainings that were done by its recipe."""
    left_out = left_out_in_words(results)
    results = comparable_trainings(results)
    rows = [_row(row) for row in rows_of(accuracy_frame(results))]
    if not rows:
        return Table(title=TITLE, frame=pd.DataFrame(), columns=(), notes=(*left_out, *notes_of(results)))
    frame = pd.DataFrame(rows)
    if "time_ratio" not in frame:
        frame = frame.assign(**ratio_columns("time_ratio", None))
    return Table(
        title=TITLE,
        frame=frame,
        columns=(
            *place_table_columns(training_origins(results)),
            *([text_column("recipe")] if set(frame["recipe"]) != {STUDY.name} else []),
            *value_columns(distinguishing_values(training_groups(results))),
            text_column("model"),
            text_column("precision"),
            Column(heading="accuracy %", show=accuracy_in_words, numeric=True),
            Column(heading="thesis's %", show=lambda row: f"{100 * row['thesis_accuracy']:.2f}", numeric=True),
            metric_column("training_time_s", heading="time"),
            metric_column("thesis_training_time_s"),
            ratio_column("time_ratio", "AMP/FP32 time"),
            metric_column("thesis_time_ratio"),
            metric_column("peak_allocated_bytes"),
            metric_column("thesis_peak_bytes"),
        ),
        notes=(
            *left_out,
            *([BFLOAT16_NOTE] if (frame["precision"] == "amp-bf16").any() else []),
            "peak memory is comparable with gradients kept (--perf-gradients kept), as PyTorch 1.6 did",
            *bracket_notes([ratio_of_row(row, "time_ratio") for row in rows], samples="trainings"),
            *data_notes(results),
            *notes_of(results),
        ),
    )


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    model, precision = str(row["model"]), THESIS_PRECISIONS[str(row["precision"])]
    thesis, base = study.study_result(model, precision), study.study_result(model, BASELINE)
    if thesis is None or base is None:
        raise AssertionError("comparable_trainings keeps what the thesis has trained")
    return {
        **{str(key): value for key, value in row.items()},
        "thesis_accuracy": thesis.test_accuracy,
        "thesis_training_time_s": thesis.training_time_s,
        "thesis_peak_bytes": thesis.peak_allocated_bytes,
        "thesis_time_ratio": None if thesis is base else thesis.training_time_s / base.training_time_s,
    }

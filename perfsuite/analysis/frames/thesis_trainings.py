"""Which full trainings can be compared with the thesis's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite import thesis
from perfsuite.analysis.frames.ratio_text import ratio_columns
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.thesis import THESIS_PRECISIONS
from perfsuite.analysis.frames.training_groups import (
    heading_of,
)
from perfsuite.analysis.frames.trainings import accuracy_frame
from perfsuite.precisions import BASELINE
from perfsuite.recipes import THESIS, recipe_for

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results
    from perfsuite.records.training import TrainingRecord


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
    if precision not in THESIS_PRECISIONS or thesis.thesis_result(model, THESIS_PRECISIONS[precision]) is None:
        return f"{model} in {precision} was not trained"
    if not record.is_of_cifar10:
        return f"{record.workload.image_size} pixels and {record.workload.num_classes} classes, not those of CIFAR-10"
    if record.world_size > 1:
        return f"trained on {record.world_size} devices, not on one"
    recipe = recipe_for(THESIS, model, precision)
    pairs = {name: (getattr(record.recipe, name), getattr(recipe, name)) for name in _RECIPE_VALUES}
    pairs["num_train"] = (record.data.num_train, thesis.TRAIN_IMAGES)
    pairs["num_test"] = (record.data.num_test, thesis.TEST_IMAGES)
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


def thesis_trainings_frame(results: Results) -> pd.DataFrame:
    """Return a row per group of trainings that can be compared, with the thesis's figures; see `accuracy_frame`."""
    rows = [_row(row) for row in rows_of(accuracy_frame(comparable_trainings(results)))]
    frame = pd.DataFrame(rows)
    if rows and "time_ratio" not in frame:
        return frame.assign(**ratio_columns("time_ratio", None))
    return frame


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    model, precision = str(row["model"]), THESIS_PRECISIONS[str(row["precision"])]
    result, base = thesis.thesis_result(model, precision), thesis.thesis_result(model, BASELINE)
    if result is None or base is None:
        raise AssertionError("comparable_trainings keeps what the thesis has trained")
    return {
        **{str(key): value for key, value in row.items()},
        "thesis_accuracy": result.test_accuracy,
        "thesis_training_time_s": result.training_time_s,
        "thesis_peak_bytes": result.peak_allocated_bytes,
        "thesis_time_ratio": None if result is base else result.training_time_s / base.training_time_s,
    }

"""What a training step and a training take on GPUs by data sheet: bound, eager roofline, prediction, and its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.labels import differs, enumerate_words, has_any, images_in_words
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.tables.roofline import WINOGRAD
from perfsuite.analysis.tables.shared_columns import SHORT_HEADINGS, batch_column
from perfsuite.analysis.tables.table import Column, Priority, Table, metric_column, shown, text_column
from perfsuite.formatting import significant
from perfsuite.gpu_sheet import is_amd

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from perfsuite.gpu_sheet import Gpu

CELL = ["model", "precision", "batch_size", "image_size"]

PREDICTION = (
    "predicted: the roofline, calibrated by 70 published throughputs of ResNets at 224 pixels on NVIDIA's GPUs; in "
    "brackets, the range of 4 of 5 of them with their own source left out"
)
NOT_NVIDIA = "none of the published throughputs is of an AMD GPU: predicted like NVIDIA GPUs with the same figures"
SMALL_IMAGES = "images of other sizes than 224 pixels: the prediction extrapolates from those"

OTHER_NETWORKS = "networks other than ResNets: the prediction extrapolates from those"

MAX_RIVALS = 5

MAX_SOURCES = 3
"""Of data sheets that are named below a table; CSV and JSON have the figures of all."""


def gpu_limits_table(frame: pd.DataFrame, *, gpus: Sequence[Gpu]) -> Table:
    """Return the rows of `limit_cells` as a table: of several GPUs, the fastest of each cell first.

    Args:
        frame: A row per GPU and cell.
        gpus: Whose data sheets.
    """
    is_one = len(gpus) == 1
    if not is_one:
        order = [*CELL, "predicted_images_per_second"]
        frame = frame.sort_values(order, ascending=[True] * len(CELL) + [False], kind="stable", ignore_index=True)
    has_thesis = has_any(frame, "thesis_training_time_s")
    where = f"on a {gpus[0].name.upper()}" if is_one else "by GPU"
    batch = ", ".join(map(str, frame["batch_size"].unique()))
    layout = ", channels_last" if (frame["memory_format"] == "channels_last").all() else ""
    legend = [
        "bound: operations of direct convolution / dense peak, or minimum bytes / bandwidth if that takes longer",
        "roofline: the same for each operator, added up: eager torch runs one kernel after the other",
        PREDICTION,
        _training_words(frame),
    ]
    if (frame["precision"] == "fp32").any():
        legend.append(WINOGRAD)
    if len(gpus) <= MAX_SOURCES:
        legend += [f"{gpu.name}: {gpu.source}" for gpu in gpus]
    return Table(
        title=f"Predicted training {where}, batch {batch}{images_in_words(frame)}{layout}",
        frame=frame,
        columns=shown(
            text_column("gpu", "GPU", shown_when=not is_one, priority=Priority.KEY),
            text_column("model", shown_when=is_one or differs(frame, "model"), priority=Priority.KEY),
            text_column("precision", shown_when=is_one or differs(frame, "precision"), priority=Priority.KEY),
            batch_column(frame),
            text_column("image_size", SHORT_HEADINGS["image_size"], shown_when=differs(frame, "image_size")),
            metric_column("bound_images_per_second", priority=Priority.NORMAL),
            metric_column("roofline_images_per_second", priority=Priority.NORMAL),
            metric_column("memory_bound_ratio", priority=Priority.DETAIL),
            _predicted_column(),
            metric_column("largest_batch_size", priority=Priority.NORMAL),
            metric_column("training_s", priority=Priority.MAIN),
            metric_column("training_joules", priority=Priority.NORMAL),
            _price_column(shown_when=has_any(frame, "training_price")),
            metric_column("thesis_training_time_s", heading="thesis took", shown_when=has_thesis),
            metric_column("thesis_ratio", shown_when=has_thesis),
        ),
        legend=tuple(legend),
        notes=(*_answers(frame, gpus), *_doubts(frame, gpus)),
    )


def _predicted_column() -> Column:
    def show(row: dict[str, Any]) -> str:
        value, low, high = (
            significant(row[key], 3) for key in ("predicted_images_per_second", "predicted_low", "predicted_high")
        )
        return f"{value} ({low} to {high})"

    return Column(heading="predicted images/s", show=show, numeric=True, priority=Priority.MAIN)


def _price_column(*, shown_when: bool) -> Column:
    def show(row: dict[str, Any]) -> str:
        price = row["training_price"]
        return "-" if price is None else significant(price, 3)

    return Column(heading="price", show=show, numeric=True, shown_when=shown_when, priority=Priority.MAIN)


def _training_words(frame: pd.DataFrame) -> str:
    epochs = enumerate_words([str(count) for count in dict.fromkeys(frame["num_epochs"])])
    images = f"{frame['num_images'].iloc[0]:,}"
    return (
        f"training: {epochs} epochs of {images} images, as predicted, without evaluation and loading; energy: of the "
        "board at its full power"
    )


def _answers(frame: pd.DataFrame, gpus: Sequence[Gpu]) -> list[str]:
    """Return a line for each cell: which GPU is the fastest, which others may be, and which is the cheapest."""
    if len(gpus) == 1:
        return []
    lines = []
    several = len(frame[CELL].drop_duplicates()) > 1
    for _, group in frame.groupby(CELL, sort=False):
        rows = rows_of(group)
        text = f"fastest: {_first_of(rows, 'training_s')}"
        priced = [row for row in rows if row["training_price"] is not None]
        if priced:
            text += f"; cheapest of those with a price: {_first_of(priced, 'training_price')}"
        name = f"{rows[0]['model']} {rows[0]['precision']}"
        lines.append(f"{name}: {text}" if several else text)
    return lines


def _first_of(rows: Sequence[dict[str, Any]], key: str) -> str:
    """Return the GPU with the lowest value, and those whose intervals reach as low.

    Predictions are off together (the same network, the same kind of kernels): this errs on the careful side.
    """
    ranked = sorted(rows, key=lambda row: float(row[key]))
    first = ranked[0]
    high = first[key] * first["training_high_s"] / first["training_s"]
    rivals = [row["gpu"] for row in ranked[1:] if row[key] * row["training_low_s"] / row["training_s"] < high]
    if not rivals:
        return str(first["gpu"])
    named = rivals[:MAX_RIVALS]
    num_more = len(rivals) - len(named)
    words = f"{', '.join(named)} and {num_more} others" if num_more else enumerate_words(named)
    return f"{first['gpu']} (intervals overlap with {words})"


def _doubts(frame: pd.DataFrame, gpus: Sequence[Gpu]) -> list[str]:
    notes = []
    if len(gpus) <= MAX_SOURCES:
        notes += [f"{gpu.name}: {gpu.note}" for gpu in gpus if gpu.note]
    if any(is_amd(gpu) for gpu in gpus):
        notes.append(NOT_NVIDIA)
    if (frame["image_size"] != 224).any():  # noqa: PLR2004 - what the published figures are of
        notes.append(SMALL_IMAGES)
    if not frame["model"].str.startswith("resnet").all():
        notes.append(OTHER_NETWORKS)
    shown_gpus = set(frame["gpu"])
    lacking = [gpu.name for gpu in gpus if gpu.name not in shown_gpus]
    if lacking:
        notes.append(f"without a peak in the precisions asked for: {enumerate_words(lacking)}")
    return notes

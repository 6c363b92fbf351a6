"""Fits the prediction of `perfsuite limits` to published throughputs again, and scores it: `python` this file.

Of each row: the bound of its arithmetic, the eager roofline, and the prediction of a fit from which the row's whole
source was left out. A source is a repository, or one framework of it.

`public_throughputs.csv` are published figures: geometric means of the rows of a source that agree in all else. A
precision that is not what was published as `fp32` is TF32: the default of NVIDIA's containers, and torch's for
convolutions since 1.7. `no optimizer`: forward and backward alone. `lower bound`: an epoch with loading and its test.
"""

from __future__ import annotations

import csv
import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from perfsuite.gpus import GPUS
from perfsuite.measure.operators import count_operators
from perfsuite.offline import prediction
from perfsuite.records.workload import Workload
from perfsuite.roofline import num_calls, roofline_s
from perfsuite.workloads.model_sources import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.records.operators import Operator

ROWS = Path(__file__).with_name("public_throughputs.csv")
CONFIDENCE = 0.8
COUNTED_BATCH = 128
"""Larger batches are counted as this one: the optimizer's share of the bytes is below 2% there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A published throughput and what it is compared with; seconds are of an iteration of its batch."""

    source: str
    gpu: str
    model: str
    batch_size: int
    published: str
    precision: str
    kind: str
    is_fitted: bool
    measured_s: float
    bound_s: float
    roofline_s: float
    num_calls: int

    @property
    def share(self) -> float:
        """Of the eager roofline that was reached."""
        return self.roofline_s / self.measured_s


def read_rows() -> list[Row]:
    """Return all rows with their bounds."""
    with ROWS.open(encoding="utf-8", newline="") as file:
        return [_row(line) for line in csv.DictReader(file)]


def _row(line: dict[str, str]) -> Row:
    gpu, batch_size = GPUS[line["gpu"]], int(line["batch"])
    counted = min(batch_size, COUNTED_BATCH)
    is_imagenet_stem = line["stem"] == "imagenet" if "stem" in line else line["step"] == "lower bound"
    model = load_model(f"torchvision:{line['model']}").name if is_imagenet_stem else line["model"]
    workload = Workload(
        model=model,
        precision=line["precision"],
        phase="train_step",
        batch_size=counted,
        image_size=int(line["image_size"]),
        num_classes=100 if is_imagenet_stem else 1000,
        device_type="cuda",
        memory_format=line["layout"],
    )
    phases = ("forward", "backward") if line["step"] == "no optimizer" else ("train_step",)
    operators: list[Operator] = []
    for phase in phases:
        # TF32 is another arithmetic of the same operators.
        precision = workload.precision.replace("tf32", "fp32")
        operators += count_operators(dataclasses.replace(workload, phase=phase, precision=precision))
    is_half = workload.precision.startswith("amp")
    has_tensor_cores = gpu.architecture not in prediction.WITHOUT_TENSOR_CORES
    peak = gpu.peak_for(workload.precision) if not is_half or has_tensor_cores else gpu.peak_flops["fp32"]
    assert peak is not None, line
    bound = sum(one.num_calls * one.flops for one in operators) / peak
    roofline = roofline_s(operators, flops_per_second=peak, bytes_per_second=gpu.bytes_per_second)
    scale = batch_size / counted
    return Row(
        source=line["source"],
        gpu=gpu.name,
        model=line["model"],
        batch_size=batch_size,
        published=line["published"],
        precision=line["precision"],
        kind=prediction.class_of(workload, gpu),
        is_fitted=line["step"] != "lower bound" and not (is_half and not has_tensor_cores),
        measured_s=batch_size / float(line["images_per_second"]),
        bound_s=scale * bound,
        roofline_s=scale * roofline,
        num_calls=num_calls(operators),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Constants of the prediction."""

    overhead: dict[str, float]
    speed_loss: float
    host_s: float

    def log_seconds(self, row: Row) -> float:
        """Return the logarithm of the predicted seconds of an iteration."""
        image_ms = 1e3 * row.roofline_s / row.batch_size
        device_s = row.roofline_s * self.overhead[row.kind] * image_ms**-self.speed_loss
        return math.log(device_s + self.host_s * row.num_calls)


PRIOR = np.array([0.4, 0.4, 0.4, 0.4, 0.2, math.log(4e-5)])
PRIOR_DEVIATION = np.array([0.5, 0.5, 0.5, 0.5, 0.2, 0.7])
"""Of the logarithms of the four overheads, of the exponent, of the logarithm of a launch: wide, and what a class
falls back on whose only source is left out. A launch takes 10 to 100 us, of which Python is the most."""

SCATTER = 1 / 3
"""Of a GPU in a source, in logarithms, about: how much the rows weigh against the prior."""


def _constants(values: np.ndarray) -> Fit:
    overheads = dict(zip(prediction.CLASSES, map(math.exp, values[:4]), strict=True))
    return Fit(overhead=overheads, speed_loss=float(values[4]), host_s=math.exp(values[5]))


def fit(rows: Sequence[Row]) -> Fit:
    """Fit the constants to rows; those of one GPU, source and class weigh as one, and outliers less."""
    groups = [(row.source, row.gpu, row.kind) for row in rows]
    weights = np.array([1 / math.sqrt(groups.count(group)) for group in groups]) / SCATTER
    measured = np.array([math.log(row.measured_s) for row in rows])

    def residuals(values: np.ndarray) -> np.ndarray:
        constants = _constants(values)
        predicted = np.array([constants.log_seconds(row) for row in rows])
        return np.concatenate([(predicted - measured) * weights, (values - PRIOR) / PRIOR_DEVIATION])

    return _constants(least_squares(residuals, PRIOR, loss="soft_l1").x)


def left_out(rows: Sequence[Row]) -> np.ndarray:
    """Return the logarithm of measured over predicted seconds, each row's source left out of the fit."""
    errors = np.empty(len(rows))
    for source in {row.source for row in rows}:
        constants = fit([row for row in rows if row.source != source])
        for index, row in enumerate(rows):
            if row.source == source:
                errors[index] = math.log(row.measured_s) - constants.log_seconds(row)
    return errors


def margin(rows: Sequence[Row], errors: np.ndarray) -> float:
    """Return within which distance 80% of the rows lie, each GPU of a source and class counted as one."""
    groups = [(row.source, row.gpu, row.kind) for row in rows]
    weights = np.array([1 / groups.count(group) for group in groups])
    order = np.argsort(np.abs(errors))
    covered = np.cumsum(weights[order]) / weights.sum()
    return float(np.abs(errors)[order][np.searchsorted(covered, CONFIDENCE)])


def table(rows: Sequence[Row]) -> list[str]:
    """Return the constants, every row, and the scores, as lines of text."""
    fitted = [row for row in rows if row.is_fitted]
    constants, errors = fit(fitted), left_out(fitted)
    by_row = dict(zip(map(id, fitted), errors, strict=True))
    lines = [
        *(f"{kind}: overhead {value:.3f}" for kind, value in constants.overhead.items()),
        f"speed loss {constants.speed_loss:.3f}, host {constants.host_s:.3g} s, margin {margin(fitted, errors):.3f}",
        "",
        f"{'source':<47} {'GPU':<15} {'model':<9} {'batch':>5} {'published':<9} {'is':<9} class",
        f"{'':<10}{'images/s':>10} {'% of bound':>11} {'% of roofline':>14} {'predicted':>10} {'error':>7}",
    ]
    for row in sorted(rows, key=lambda one: (one.kind, one.source, one.gpu, one.model, one.batch_size)):
        lines.append(
            f"{row.source:<47} {row.gpu:<15} {row.model:<9} {row.batch_size:>5} {row.published:<9} "
            f"{row.precision:<9} {row.kind}"
        )
        error = by_row.get(id(row))
        predicted_s = math.exp(constants.log_seconds(row)) if error is None else row.measured_s / math.exp(error)
        text = "not fitted" if error is None else f"{row.measured_s / predicted_s - 1:+.0%}"
        lines.append(
            f"{'':<10}{row.batch_size / row.measured_s:>10.0f} {row.bound_s / row.measured_s:>11.0%} "
            f"{row.share:>14.0%} {row.batch_size / predicted_s:>10.0f} {text:>7}"
        )
    inside = float(np.mean(np.abs(errors) <= margin(fitted, errors)))
    num_sources = len({row.source for row in fitted})
    scores = f"median error {median_error(errors):.0%}, {inside:.0%} within the interval"
    lines += ["", f"{len(fitted)} rows of {num_sources} sources, each left out of its own prediction: {scores}"]
    return lines


def median_error(errors: np.ndarray) -> float:
    """Return the median distance of predicted from published images/s, as a ratio of the latter."""
    return float(np.median(np.abs(np.exp(errors) - 1)))


if __name__ == "__main__":
    print("\n".join(table(read_rows())))  # noqa: T201 - a script

"""What a training step takes on a GPU that one does not have: the eager roofline, calibrated by public measurements.

    seconds = roofline * OVERHEAD[class] * (roofline in ms per image) ** -SPEED_LOSS + operators * HOST_S

The overhead says how far kernels of a class stay behind the roofline where it has an image take 1 ms. The faster the
GPU, the farther behind: the exponent. The host starts every operator, and a small batch waits for it.

The constants are fitted to 70 published throughputs of seven sources; `python tests/offline/prediction_scores.py` fits
them again, scores them with each source left out of its own prediction, and shows every row. All of them are of ResNets
at 224 pixels on NVIDIA's GPUs: for small images, other networks and AMD's GPUs the prediction extrapolates.
None of them is of BF16 weights: kernels of those are taken for those of AMP.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.precisions import POLICIES
from perfsuite.roofline import num_calls, roofline_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.gpu_sheet import Gpu
    from perfsuite.records.operators import Operator
    from perfsuite.records.workload import Workload

CLASSES = ("fp32", "tf32", "half", "half_channels_last")
"""Kinds of kernels of different efficiency: by their arithmetic, and in 16 bits by the memory format."""

OVERHEAD = {"fp32": 1.435, "tf32": 1.612, "half": 1.651, "half_channels_last": 1.012}
SPEED_LOSS = 0.253
HOST_S = 4.13e-5

LOG_MARGIN = 0.314
"""Half the width of the interval of 80%, in natural logarithms of the time."""

WITHOUT_TENSOR_CORES = {"pascal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Seconds of a training step.

    Attributes:
        seconds: Most likely.
        low_s: It is between this ...
        high_s: ... and this with a confidence of 80%.
    """

    seconds: float
    low_s: float
    high_s: float


def class_of(workload: Workload, gpu: Gpu) -> str:
    """Return which of the `CLASSES` the kernels of a workload are on a GPU."""
    policy = POLICIES[workload.precision]
    if not policy.is_half or gpu.architecture in WITHOUT_TENSOR_CORES:
        return "tf32" if policy.allow_tf32 else "fp32"
    return "half_channels_last" if workload.memory_format == "channels_last" else "half"


def predict_step(operators: Sequence[Operator], workload: Workload, gpu: Gpu) -> Prediction:
    """Predict a training step on a GPU.

    Args:
        operators: Of the step.
        workload: Its precision, batch and memory format.
        gpu: Whose data sheet; it has a peak for the precision.
    """
    peak = gpu.peak_flops[POLICIES[workload.precision].arithmetic]
    bound_s = roofline_s(operators, flops_per_second=peak, bytes_per_second=gpu.bytes_per_second)
    kind = class_of(workload, gpu)
    image_ms = 1e3 * bound_s / workload.batch_size
    device_s = bound_s * OVERHEAD[kind] * image_ms**-SPEED_LOSS
    seconds = device_s + HOST_S * num_calls(operators)
    factor = math.exp(LOG_MARGIN)
    return Prediction(seconds=seconds, low_s=seconds / factor, high_s=seconds * factor)

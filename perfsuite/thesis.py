"""The thesis's own figures, to compare results with.

Source: "Učenje konvolucijskih modela u miješanoj točnosti" (Mixed-precision training of convolutional models),
undergraduate thesis no. 18, University of Zagreb, Faculty of Electrical Engineering and Computing, 2021, tables 5.1 and
5.2: one Tesla T4, PyTorch 1.6.0, CIFAR-10, batch 128. Its "MB" are units of 1024**2 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.formatting import MIB_BYTES

BATCH_SIZE = 128
"""Images in a batch, in all six trainings."""

TRAIN_IMAGES = 45_000
"""Images of an epoch; 5,000 of the 50,000 are for validation."""

EPOCHS = {"resnet18": 50, "resnet34": 50, "resnet50": 60}
"""Passes over the training images, by network."""

TEST_IMAGES = 10_000
"""Images that accuracies are counted on."""

GRADIENTS = "kept"
"""PyTorch 1.6 zeroed gradients in place, so they stayed allocated through the forward pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThesisResult:
    """One of the thesis's six trainings.

    Attributes:
        model: Name of the network.
        precision: `fp32` (its "baseline") or `amp-fp16` (its "amp").
        test_accuracy: Correct of 10,000 test images, as a ratio.
        training_time_s: Wall-clock time of the whole training in seconds.
        peak_allocated_bytes: `torch.cuda.max_memory_allocated()` at its end.
    """

    model: str
    precision: str
    test_accuracy: float
    training_time_s: int
    peak_allocated_bytes: int


RESULTS = tuple(
    ThesisResult(
        model=model,
        precision=precision,
        test_accuracy=accuracy,
        training_time_s=seconds,
        peak_allocated_bytes=mebibytes * MIB_BYTES,
    )
    for model, precision, accuracy, seconds, mebibytes in (
        ("resnet18", "fp32", 0.8361, 3593, 707),
        ("resnet18", "amp-fp16", 0.8367, 1793, 445),
        ("resnet34", "fp32", 0.8313, 5596, 1221),
        ("resnet34", "amp-fp16", 0.8330, 2802, 788),
        ("resnet50", "fp32", 0.7824, 12815, 3387),
        ("resnet50", "amp-fp16", 0.7886, 5821, 1883),
    )
)


def thesis_result(model: str, precision: str) -> ThesisResult | None:
    """Return the thesis's figures for a network in a precision, or None if it did not train that."""
    found = [result for result in RESULTS if (result.model, result.precision) == (model, precision)]
    return found[0] if found else None

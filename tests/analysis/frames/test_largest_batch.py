"""The largest batch that fits: never more than fits, by dry runs of all sizes."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from perfsuite.analysis.frames.largest_batch import BatchMemory, LargestBatch, largest_batch
from perfsuite.measure.dry_run import predict_memory
from perfsuite.measure.largest_batch import largest_batch_size
from perfsuite.records.workload import Workload

DRY_RUNS = {
    ("resnet18", "fp32", 44_695_848): {
        8: 165_085_024,
        32: 270_237_728,
        128: 711_820_064,
        512: 2_528_481_056,
        2048: 9_845_456_672,
        8192: 39_113_359_136,
    },
    ("resnet18", "amp-fp16", 44_695_848): {
        8: 150_026_724,
        32: 204_399_268,
        128: 424_797_604,
        512: 1_337_577_892,
        2048: 5_014_946_212,
        8192: 19_724_419_492,
    },
    ("resnet50", "fp32", 94_083_368): {
        8: 446_722_152,
        32: 1_041_559_848,
        128: 3_486_970_920,
        512: 13_381_861_416,
        2048: 52_961_423_400,
        8192: 211_279_671_336,
    },
    ("resnet50", "amp-fp16", 94_083_368): {
        8: 367_773_420,
        32: 663_914_412,
        128: 1_886_184_108,
        512: 6_838_349_484,
        2048: 26_647_010_988,
        8192: 105_881_657_004,
    },
}
"""Peaks in bytes by batch size, and bytes of the weights; the momentum has as many. By `perfsuite memory`."""

CASES = [
    (name, measured, larger)
    for name, peaks in DRY_RUNS.items()
    for measured, larger in itertools.combinations(sorted(peaks), 2)
]


def of_size(size: int, peak: float, resident: float | None = 60.0) -> BatchMemory:
    return BatchMemory(batch_size=size, peak_bytes=peak, resident_bytes=resident)


@pytest.mark.parametrize(("name", "measured", "larger"), CASES)
def test_a_prediction_from_a_smaller_batch_is_never_too_large(
    name: tuple[str, str, int], measured: int, larger: int
) -> None:
    """With exactly the memory that the larger batch takes, no more than that batch is predicted."""
    peaks = DRY_RUNS[name]
    found = largest_batch([of_size(measured, peaks[measured], 2 * name[2])], [], peaks[larger])
    assert found.size is not None
    assert found.size <= larger
    if measured >= 128:  # the peak is that of the activations by then
        assert found.size >= 0.9 * larger


def test_a_prediction_is_near_what_dry_runs_of_every_size_find() -> None:
    capacity = 1_000_000_000
    workload = Workload(model="resnet18", precision="amp-fp16", phase="train_step", batch_size=128, device_type="cuda")

    def predicted(size: int) -> int:
        return predict_memory(dataclasses.replace(workload, batch_size=size)).peak_bytes

    ledger = predict_memory(workload)
    memory = of_size(128, ledger.peak_bytes, ledger.parameters_bytes + ledger.optimizer_bytes)
    found = largest_batch([memory], [], capacity).size
    exact = largest_batch_size(predicted, capacity)
    assert found is not None
    assert exact is not None
    assert 0.9 * exact <= found <= exact


def test_the_largest_batch_that_was_measured_is_predicted_from() -> None:
    sizes = [of_size(64, 400.0), of_size(128, 660.0), of_size(32, 230.0)]
    assert largest_batch(sizes, [], 6060).size == 128 * 6000 // 600


def test_what_ran_out_of_memory_overrules_a_prediction() -> None:
    sizes = [of_size(128, 660.0)]
    assert largest_batch(sizes, [2048, 1500], 6060) == LargestBatch(size=1280, basis="predicted", too_large=1500)
    assert largest_batch(sizes, [1280], 6060) == LargestBatch(size=128, basis="measured", too_large=1280)


def test_what_fitted_is_not_doubted_by_another_process_that_ran_out_of_memory() -> None:
    assert largest_batch([of_size(128, 660.0)], [64, 128], None) == LargestBatch(
        size=128, basis="measured", too_large=None
    )


@pytest.mark.parametrize(
    ("memory", "capacity"),
    [
        (of_size(128, 660.0), None),  # a CPU, or a GPU that nothing is known of
        (of_size(128, 660.0, None), 6060),  # a result of before peaks were itemised
        (BatchMemory(batch_size=128, peak_bytes=None, resident_bytes=60.0), 6060),
        (of_size(128, 60.0), 6060),  # a peak that cannot be
        (of_size(128, 660.0), 300),  # less memory than what was measured took
    ],
)
def test_without_what_it_needs_nothing_is_predicted(memory: BatchMemory, capacity: int | None) -> None:
    assert largest_batch([memory], [], capacity) == LargestBatch(size=128, basis="measured", too_large=None)


def test_where_nothing_fitted_only_what_did_not_is_known() -> None:
    assert largest_batch([], [256, 128], 6060) == LargestBatch(size=None, basis=None, too_large=128)
    assert largest_batch([], [], 6060) == LargestBatch(size=None, basis=None, too_large=None)

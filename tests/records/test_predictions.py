from __future__ import annotations

import base64
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_builders import make_training

from perfsuite.errors import RecordError
from perfsuite.records.predictions import DiscordantCounts, confusion_of, pack_predictions, unpack_predictions
from perfsuite.records.reading import read_record
from perfsuite.records.training import TrainingRecord, discordant_counts

# Seven images: true class, predicted class.
BASELINE = bytes([0, 11, 22, 33, 40, 51, 99])  # wrong: 40, 51
CANDIDATE = bytes([0, 12, 22, 33, 44, 52, 91])  # wrong: 12, 52, 91


def training_with(outcomes: bytes, **changes: Any) -> TrainingRecord:
    record = make_training()
    data = dataclasses.replace(record.data, num_test=len(outcomes))
    values = {"data": data, "confusion": confusion_of(outcomes), "test_predictions": pack_predictions(outcomes)}
    return dataclasses.replace(record, **{**values, **changes})


@given(st.binary(min_size=1, max_size=50).map(lambda content: bytes(byte % 100 for byte in content)))
def test_predictions_survive_the_way_through_text(outcomes: bytes) -> None:
    assert bytes(unpack_predictions(pack_predictions(outcomes), len(outcomes)).tolist()) == outcomes
    assert sum(map(sum, confusion_of(outcomes))) == len(outcomes)


def test_ten_thousand_predictions_take_thirteen_kilobytes() -> None:
    assert len(pack_predictions(bytes(10_000))) == 13_336


def test_a_record_with_predictions_survives_the_way_through_json_and_an_old_one_has_none() -> None:
    record = training_with(BASELINE)
    content = record.to_json()
    assert read_record(content) == record
    del content["test_predictions"]
    old = read_record({**content, "schema_version": 3})
    assert isinstance(old, TrainingRecord)
    assert old.test_predictions is None


def test_the_peak_of_an_old_training_is_absent_for_it_may_be_that_of_evaluation() -> None:
    record = make_training()
    assert record.metrics["peak_allocated_bytes"] is not None
    old = read_record({**record.to_json(), "schema_version": 3})
    assert isinstance(old, TrainingRecord)
    assert old.metrics["peak_allocated_bytes"] is None
    assert old.absent["peak_allocated_bytes"].endswith("the peak of training or evaluation, whichever was higher")


@pytest.mark.parametrize(
    ("text", "num_images", "complaint"),
    [
        ("", 7, "has 0 characters; 7 test images of 10 classes take 12 in base64"),
        ("A" * 10_000_000, 7, "has 10,000,000 characters; 7 test images of 10 classes take 12"),
        (pack_predictions(BASELINE), 8, r"holds 7 bytes; 8 are needed"),
        (pack_predictions(BASELINE[:6]), 7, "has 8 characters; 7 test images of 10 classes take 12"),
        ("AAAA AAAAA==", 7, "is not base64"),
        ("AAAA\nAAAAA==", 7, "is not base64"),
        ("ÄAAAAAAAAA==", 7, "is not base64"),
        (base64.b64encode(bytes([0, 1, 2, 3, 4, 5, 100])).decode(), 7, "holds 100; .* is at most 99"),
        ("AAAA", 2**62, "from 1 to 30,000 are allowed"),
        ("", 0, "0 test images; from 1 to"),
    ],
)
def test_damaged_predictions_are_refused_by_name(text: str, num_images: int, complaint: str) -> None:
    with pytest.raises(RecordError, match=complaint):
        unpack_predictions(text, num_images)


def test_predictions_that_contradict_the_confusion_matrix_are_refused() -> None:
    with pytest.raises(RecordError, match="do not add up to the confusion matrix"):
        training_with(BASELINE, test_predictions=pack_predictions(CANDIDATE))


def test_discordant_images_of_two_trainings_are_counted() -> None:
    counts = discordant_counts(training_with(BASELINE), training_with(CANDIDATE))
    assert counts == DiscordantCounts(num_only_baseline=2, num_only_candidate=1, num_images=7)


def test_trainings_of_different_splits_are_not_compared_image_by_image() -> None:
    first, second = training_with(BASELINE), training_with(CANDIDATE, seed=1)
    second = dataclasses.replace(second, data=dataclasses.replace(second.data, split_fingerprint="1" * 64))
    with pytest.raises(RecordError, match=r"different splits: 0{16} \(seed 0, CIFAR-10\) and 1{16} \(seed 1, CIFAR-10"):
        discordant_counts(first, second)


def test_true_classes_that_differ_within_one_split_are_refused() -> None:
    other = bytes([10, *CANDIDATE[1:]])
    with pytest.raises(RecordError, match="test image 0 has class 0 in one record and 1 in the other"):
        discordant_counts(training_with(BASELINE), training_with(other))


def test_a_training_without_predictions_is_named() -> None:
    with pytest.raises(RecordError, match="resnet18 fp32 full_training b128 seed 0: a record of before schema"):
        discordant_counts(training_with(BASELINE), training_with(CANDIDATE, test_predictions=None))

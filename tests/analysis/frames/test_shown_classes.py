"""Which classes a confusion matrix shows: counted again by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from training_builders import make_training

from perfsuite.analysis.frames.confusion import MAX_SHOWN_CLASSES, shown_classes, with_shown_classes
from perfsuite.analysis.frames.training_groups import Family, TrainingGroup
from perfsuite.analysis.tables.confusion import _column_names
from perfsuite.records.predictions import confusion_of, pack_predictions


@dataclasses.dataclass(frozen=True)
class Training:
    record: Any


def group_of(num_classes: int, seed: int = 0) -> TrainingGroup:
    """Return a group of one training whose predictions are random, better for some classes than for others."""
    generator = np.random.default_rng(seed)
    true = generator.integers(0, num_classes, 2000)
    is_right = generator.random(2000) < (true % 7 + 1) / 8
    predicted = np.where(is_right, true, generator.integers(0, num_classes, 2000))
    outcomes = num_classes * true + predicted
    record = make_training()
    record = dataclasses.replace(
        record,
        workload=dataclasses.replace(record.workload, num_classes=num_classes),
        data=dataclasses.replace(
            record.data, num_test=2000, classes=tuple(f"c{label}" for label in range(num_classes))
        ),
        confusion=confusion_of(outcomes, num_classes),
        test_predictions=pack_predictions(outcomes, num_classes),
    )
    family = Family(place="", model="resnet18", determining=())
    return TrainingGroup(family=family, precision="fp32", members=(Training(record),))  # type: ignore[arg-type]


@pytest.mark.parametrize("num_classes", [2, 10, MAX_SHOWN_CLASSES])
def test_few_classes_are_all_shown(num_classes: int) -> None:
    group = group_of(num_classes)
    shown = shown_classes([group])
    assert shown.names == tuple(f"c{label}" for label in range(num_classes))
    assert np.array_equal(shown.reduced(group.records[0].confusion), group.records[0].confusion)
    assert shown.in_words() == []


@pytest.mark.parametrize("num_classes", [MAX_SHOWN_CLASSES + 1, 100])
def test_of_many_classes_the_least_accurate_are_shown_and_the_others_as_one(num_classes: int) -> None:
    group = group_of(num_classes)
    matrix = group.records[0].confusion
    accuracies = {label: matrix[label][label] / max(sum(matrix[label]), 1) for label in range(num_classes)}
    shown = shown_classes([group])
    assert len(shown.names) == MAX_SHOWN_CLASSES
    assert shown.names[-1] == f"({num_classes - MAX_SHOWN_CLASSES + 1} others)"
    others = [label for label in range(num_classes) if label not in shown.labels]
    assert max(accuracies[label] for label in shown.labels) <= min(accuracies[label] for label in others)
    expected = [[0] * MAX_SHOWN_CLASSES for _ in range(MAX_SHOWN_CLASSES)]
    for true in range(num_classes):
        for predicted in range(num_classes):
            row, column = (shown.labels.index(one) if one in shown.labels else -1 for one in (true, predicted))
            expected[row][column] += matrix[true][predicted]
    assert shown.reduced(matrix).tolist() == expected


def test_two_groups_of_one_data_set_show_the_same_classes_and_another_data_set_its_own() -> None:
    groups = [group_of(30, seed=0), group_of(4), group_of(30, seed=1)]
    first, small, second = (classes for _, classes in with_shown_classes(groups))
    assert first == second
    assert small.names == ("c0", "c1", "c2", "c3")


def test_classes_without_test_images_are_not_the_least_accurate() -> None:
    group = group_of(40)
    (record,) = group.records
    rows = [list(row) for row in record.confusion]
    rows[0], rows[1] = [0] * 40, [0] * 40
    emptied = dataclasses.replace(record, confusion=tuple(map(tuple, rows)), test_predictions=None)
    members: Any = (Training(emptied),)
    shown = shown_classes([dataclasses.replace(group, members=members)])
    assert not {0, 1} & set(shown.labels)


def test_columns_of_classes_never_take_the_place_of_others() -> None:
    names = ("model", "class model", "true", "a", "class class model")
    columns = _column_names(names, {"model", "true", "precision"})
    assert len({*columns, "model", "true", "precision"}) == 8
    assert columns[3] == "a"

"""Full trainings of images of other sizes and other numbers of classes than CIFAR-10's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_train import RECIPE, make_job, proved_elsewhere, run

from perfsuite.analysis.frames.training_groups import determining_values
from perfsuite.errors import RecordError
from perfsuite.recipes import SMOKE, THESIS, is_target_checked, recipe_for
from perfsuite.records.predictions import confusion_of, unpack_predictions
from perfsuite.records.reading import read_record
from perfsuite.records.training import discordant_counts
from perfsuite.workloads.images import ImageSet, make_image_set

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.measure.training_job import Job

pytestmark = pytest.mark.usefixtures("tiny_networks", proved_elsewhere.__name__)


def random_set(num_classes: int, image_size: int) -> ImageSet:
    generator = np.random.default_rng(0)
    num = max(40, num_classes)
    labels = np.arange(num) % num_classes
    parts = {
        split: (generator.integers(0, 256, (num, 3, image_size, image_size), np.uint8), labels)
        for split in ("train", "test")
    }
    return make_image_set(parts, classes=tuple(f"class {label}" for label in range(num_classes)))


def job_on(images: ImageSet, folder: Path, seed: int = 0) -> Job:
    job = make_job(folder)
    workload = dataclasses.replace(job.workload, image_size=images.image_size, num_classes=images.num_classes)
    recipe = dataclasses.replace(RECIPE, epochs=1, num_test=None)
    return dataclasses.replace(job, workload=workload, images=images, recipe=recipe, seed=seed)


@pytest.mark.parametrize(("num_classes", "image_size"), [(4, 48), (100, 64), (300, 16)])
def test_a_full_training_has_the_size_and_the_classes_of_its_images(
    tmp_path: Path, num_classes: int, image_size: int
) -> None:
    images = random_set(num_classes, image_size)
    record, _ = run(job_on(images, tmp_path))
    assert read_record(record.to_json()) == record
    assert record.test_predictions is not None
    outcomes = unpack_predictions(record.test_predictions, len(images.test_labels), num_classes)
    np.testing.assert_array_equal(outcomes // num_classes, images.test_labels)
    assert record.test_accuracy == np.mean(outcomes // num_classes == outcomes % num_classes)
    if num_classes <= 256:
        assert record.data.classes == record.class_names == images.classes
        assert np.array_equal(record.confusion, confusion_of(outcomes, num_classes))
    else:
        assert not record.confusion
        assert not record.data.classes
    is_cifar_form = image_size < 64
    assert str(record.settings["initialisation"]).startswith("stem: " if is_cifar_form else "the network's own")


def test_two_such_trainings_are_compared_image_by_image(tmp_path: Path) -> None:
    images = random_set(20, 16)
    first, _ = run(job_on(images, tmp_path / "a"))
    second, _ = run(job_on(images, tmp_path / "b"))
    counts = discordant_counts(first, second)
    assert (counts.num_only_baseline, counts.num_only_candidate, counts.num_images) == (0, 0, 40)


def test_targets_are_those_of_the_images() -> None:
    mine = dataclasses.replace(SMOKE, name="mine", target_accuracy=0.9)
    for recipe in (THESIS, SMOKE):
        assert recipe_for(recipe, "resnet18", "fp32", is_of_cifar10=False).target_accuracy is None
    assert recipe_for(THESIS, "resnet50", "fp32", is_of_cifar10=False).epochs == 60
    assert recipe_for(mine, "resnet18", "fp32", is_of_cifar10=False) == mine
    assert is_target_checked(mine, is_of_data=True)
    assert not is_target_checked(mine, is_of_data=False)


def test_two_networks_of_one_name_are_not_averaged_as_seeds(tmp_path: Path) -> None:
    record, _ = run(job_on(random_set(4, 16), tmp_path))
    other = dataclasses.replace(record, workload=dataclasses.replace(record.workload, model_digest="0123456789abcdef"))
    assert determining_values(record) != determining_values(other)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"classes": ("a", "a", "c", "d")}, "names 4 classes; 4 are needed, each by another name"),
        ({"classes": ("a", "", "c", "d")}, "each by another name of at most 100 printable characters"),
        ({"classes": ("a", "\x1b[31m", "c", "d")}, "printable"),
        ({"classes": ("a", "\ud800", "c", "d")}, "printable"),
        ({"classes": ("a",)}, "names 1 classes; 4 are needed"),
        ({"confusion": ((2**63, 0, 0, 0),) + 3 * ((0, 0, 0, 0),)}, "counts 0 to 9223372036854775808 images in a cell"),
        ({"confusion": ((-5, 0, 0, 0),) + 3 * ((0, 0, 0, 0),)}, "counts -5 to 0 images in a cell"),
    ],
)
def test_names_and_counts_of_a_file_are_checked(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    record, _ = run(job_on(random_set(4, 16), tmp_path))
    changes: dict[str, Any] = {"test_predictions": None, **change}
    if "classes" in change:
        changes = {"data": dataclasses.replace(record.data, **change)}
    with pytest.raises(RecordError, match=complaint):
        dataclasses.replace(record, **changes)


def test_renamed_classes_are_another_training(tmp_path: Path) -> None:
    images = random_set(4, 16)
    first, _ = run(job_on(images, tmp_path))
    again, _ = run(job_on(images, tmp_path))
    renamed = dataclasses.replace(images, classes=("apple", "bear", "cow", "dog"))
    other, _ = run(job_on(renamed, tmp_path))
    assert [record.replayed for record in (first, again, other)] == [False, True, False]
    assert other.class_names == ("apple", "bear", "cow", "dog")
    assert determining_values(first) != determining_values(other)


def test_ten_classes_of_32_pixels_with_other_names_have_the_target_of_a_users_recipe(tmp_path: Path) -> None:
    record, _ = run(job_on(random_set(10, 32), tmp_path))
    assert record.workload.is_of_cifar10
    assert not record.is_of_cifar10
    assert record.is_target_of_its_data

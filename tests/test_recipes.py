from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from perfsuite.recipes import SMOKE, THESIS, missed_target, recipe_for

if TYPE_CHECKING:
    from perfsuite.records.workload import Recipe

THESIS = recipe_for(THESIS, "resnet18", "fp32")


@pytest.mark.parametrize(("accuracy", "is_missed"), [(0.1, True), (0.169, True), (0.171, False), (0.33, False)])
def test_smoke_at_chance_misses_its_target_on_any_images(accuracy: float, is_missed: bool) -> None:
    assert (missed_target(SMOKE, test_accuracy=accuracy, is_of_data=False) is not None) is is_missed


@pytest.mark.parametrize("recipe", [THESIS, dataclasses.replace(SMOKE, name="mine")])
def test_other_targets_are_asserted_on_the_original_images_only(recipe: Recipe) -> None:
    assert missed_target(recipe, test_accuracy=0.1, is_of_data=False) is None
    found = missed_target(recipe, test_accuracy=0.1, is_of_data=True)
    assert found is not None
    assert found.startswith("test accuracy 10.00%; the target is ")

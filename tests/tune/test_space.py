from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the search needs the extra: pip install 'perfsuite[tune]'")

from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.recipes import SMOKE, THESIS
from perfsuite.records.study import NAMES
from perfsuite.tune.search import Clock
from perfsuite.tune.space import Dimension, make_space, optuna_params, own_setting, setting_of

NOTHING = dict.fromkeys(NAMES)


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["learning_rate", "momentum", "weight_decay"]),
    ends=st.tuples(st.floats(1e-6, 0.9), st.floats(1e-6, 0.9)),
    share=st.floats(0, 1),
)
def test_a_proposed_value_is_in_the_range_and_optuna_keeps_it(
    name: str, ends: tuple[float, float], share: float
) -> None:
    low, high = sorted(ends)
    if high <= low * 1.0001:
        return
    dimension = Dimension(name=name, values=(low, high), is_range=True)
    distribution: Any = dimension.distribution
    proposed = distribution.low + share * (distribution.high - distribution.low)
    value = dimension.value(proposed)
    assert low <= value <= high
    space = make_space({**NOTHING, name: f"{low!r}:{high!r}"}, SMOKE)
    setting = own_setting(space, SMOKE)
    params = optuna_params(space, setting)
    for part in space:
        key = "one_minus_momentum" if part.name == "momentum" else part.name
        assert part.distribution._contains(part.distribution.to_internal_repr(params[key]))


@pytest.mark.parametrize("recipe", [SMOKE, THESIS])
def test_the_default_ranges_hold_the_recipe(recipe: Any) -> None:
    space = make_space(NOTHING, recipe)
    own = own_setting(space, recipe)
    assert (own.learning_rate, own.momentum, own.batch_size) == (
        recipe.learning_rate,
        recipe.momentum,
        recipe.batch_size,
    )
    rates = space[0].values
    assert (rates[0], rates[1]) == pytest.approx((recipe.learning_rate / 10, recipe.learning_rate * 10))


def test_momentum_is_searched_by_its_distance_from_one() -> None:
    space = make_space({**NOTHING, "momentum": "0.9:0.99"}, SMOKE)
    distribution: Any = space[1].distribution
    assert (distribution.low, distribution.high, distribution.log) == (pytest.approx(0.01), pytest.approx(0.1), True)
    middle = {**optuna_params(space, own_setting(space, SMOKE)), "one_minus_momentum": math.sqrt(0.001)}
    assert setting_of(space, middle).momentum == 0.9684


def test_the_time_left_counts_trials_retrainings_and_workers() -> None:
    now = iter([0.0, 60.0, 60.0, 180.0])
    clock = Clock(taken_s=[], num_left=4, num_workers=2, num_retrainings=1.0, now=lambda: next(now))
    assert clock.left_in_words() == ""
    clock.begun[0] = clock.now()
    assert clock.done(0) == 60.0
    assert clock.left_in_words() == "  about 2 min 0 s left"  # 3 trials and 1 retraining of a minute, two at once
    clock.begun[1] = clock.now()
    assert clock.done(1) == 120.0
    assert clock.left_in_words() == "  about 2 min 10 s left"

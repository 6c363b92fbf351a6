"""Which hyperparameters are searched, between which values, and how Optuna gets them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import optuna

from perfsuite.errors import InvalidChoiceError
from perfsuite.parsing import split_names
from perfsuite.records.study import NAMES, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.distributions import BaseDistribution

    from perfsuite.records.workload import Recipe

Value = float | int

LIMITS: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-9, 100.0),
    "momentum": (0.0, 0.9999),
    "weight_decay": (0.0, 1.0),
    "batch_size": (1, 65_536),
}
"""What is allowed: within the limits of a recipe in a file."""

MAX_VALUES = 100
"""Of a list."""

GRID_POINTS = 3
"""Of a range in a grid: its ends and its middle."""

DIGITS = 4
"""Significant digits of a proposed value: what is chosen is a recipe that people read."""

NUM_BATCH_SIZES = 3

LEARNING_RATE_FACTOR = 10.0
"""How far the range of the learning rate reaches below and above that of the recipe. It is the hyperparameter that
matters most, and is searched by its logarithm. Source: Bengio, Practical Recommendations for Gradient-Based Training of
Deep Architectures (2012), 3.2 and 3.3."""

MOMENTUM_RANGE = (0.8, 0.98)
"""Source: Smith, A disciplined approach to neural network hyper-parameters, part 1 (2018), section 4.3: 0.8 to 0.99 are
the values to try. What counts is 1 - momentum, the inverse of how many steps are averaged: that is searched, by its
logarithm."""

WEIGHT_DECAY_RANGE = (1e-6, 1e-3)
"""From hardly any to more than what ResNets on CIFAR-10 are trained with: 1e-4 in He et al., CVPR 2016, section 4.2;
5e-4 in Zagoruyko and Komodakis, Wide Residual Networks (2016), section 3. By its logarithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """The values of one hyperparameter.

    Attributes:
        name: As `Recipe` names it.
        values: The lowest and the highest, or all.
        is_range: Which of these.
    """

    name: str
    values: tuple[Value, ...]
    is_range: bool

    @property
    def distribution(self) -> BaseDistribution:
        """What Optuna proposes from; a momentum by its distance from 1."""
        if not self.is_range:
            return optuna.distributions.CategoricalDistribution(self.values)
        low, high = sorted(_mirrored(self.name, value) for value in self.values)
        return optuna.distributions.FloatDistribution(low, high, log=True)

    def grid(self) -> tuple[Value, ...]:
        """Return the values of a grid."""
        if not self.is_range:
            return self.values
        low, high = (math.log(_mirrored(self.name, value)) for value in self.values)
        steps = [low + (high - low) * step / (GRID_POINTS - 1) for step in range(GRID_POINTS)]
        return tuple(self.value(math.exp(step)) for step in steps)

    def value(self, proposed: Value) -> Value:
        """Return the value of the hyperparameter for one that Optuna proposed, with few digits, within the range."""
        if not self.is_range:
            return proposed
        rounded = float(f"{_mirrored(self.name, proposed):.{DIGITS}g}")
        return min(max(rounded, self.values[0]), self.values[1])

    def nearest(self, value: Value) -> Value:
        """Return the value that is allowed and nearest to another."""
        if self.is_range:
            return min(max(value, self.values[0]), self.values[1])
        return min(self.values, key=lambda allowed: abs(allowed - value))


def _mirrored(name: str, value: Value) -> float:
    """Return a value as Optuna searches it, and back again: 1 - momentum, by whose logarithm it is searched."""
    return 1 - value if name == "momentum" else float(value)


Space = tuple[Dimension, ...]


def optuna_params(space: Space, setting: Setting) -> dict[str, Value]:
    """Return a setting as Optuna keeps it: see `Dimension.distribution`."""
    params: dict[str, Value] = {}
    for dimension in space:
        value = getattr(setting, dimension.name)
        params[optuna_name(dimension)] = _inside(dimension, value) if dimension.is_range else value
    return params


def optuna_name(dimension: Dimension) -> str:
    """Return what a hyperparameter is called in Optuna's storage."""
    return "one_minus_momentum" if dimension.name == "momentum" and dimension.is_range else dimension.name


def _inside(dimension: Dimension, value: Value) -> float:
    """Return a value as Optuna keeps it; 1 - (1 - x) is not always x, and must not leave the range."""
    distribution = dimension.distribution
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
    return float(min(max(_mirrored(dimension.name, value), low), high))


def setting_of(space: Space, proposed: Mapping[str, Value]) -> Setting:
    """Return the setting that Optuna proposed."""
    values = {dimension.name: dimension.value(proposed[optuna_name(dimension)]) for dimension in space}
    return make_setting(values)


def make_setting(values: Mapping[str, Value]) -> Setting:
    """Return a setting of values by name."""
    return Setting(
        learning_rate=float(values["learning_rate"]),
        momentum=float(values["momentum"]),
        weight_decay=float(values["weight_decay"]),
        batch_size=int(values["batch_size"]),
    )


def make_space(texts: Mapping[str, str | None], recipe: Recipe) -> Space:
    """Return what is searched.

    Args:
        texts: What the user wrote, by name: `LOW:HIGH`, values separated by commas, or None for the default.
        recipe: What the defaults are derived from.

    Raises:
        InvalidChoiceError: A value that is not allowed; the message names the option.
    """
    return tuple(_dimension(name, texts[name], recipe) for name in NAMES)


def option_of(name: str) -> str:
    """Return the option of a hyperparameter."""
    return f"--{name.replace('_', '-')}"


def _dimension(name: str, text: str | None, recipe: Recipe) -> Dimension:
    option = option_of(name)
    if text is None:
        return _default(name, recipe)
    if ":" not in text:
        values = tuple(dict.fromkeys(_number(name, part) for part in split_names(option, text)))
        if len(values) > MAX_VALUES:
            raise InvalidChoiceError(f"{option}: {len(values)} values; at most {MAX_VALUES} are allowed")
        return Dimension(name=name, values=tuple(sorted(values)), is_range=False)
    low, high = (_number(name, part) for part in text.split(":", 1))
    if name == "batch_size":
        raise InvalidChoiceError(f"{option}: {text[:40]!r} is a range; give batch sizes separated by commas")
    if not low < high:
        raise InvalidChoiceError(f"{option}: {text[:40]!r} is no range; write LOW:HIGH, the lower value first")
    if name == "weight_decay" and low == 0:
        raise InvalidChoiceError(f"{option}: a range is searched by its logarithm and cannot begin at 0; try 1e-6")
    return Dimension(name=name, values=(low, high), is_range=True)


def _number(name: str, text: str) -> Value:
    option, (least, most) = option_of(name), LIMITS[name]
    kind = int if name == "batch_size" else float
    try:
        value = kind(text) if len(text) <= 40 and text.isascii() else math.nan  # noqa: PLR2004 - digits of a number
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        what = name.replace("_", " ")
        raise InvalidChoiceError(
            f"{option}: {text[:20]!r} is not a {what}; from {least:g} to {most:g} is allowed, as LOW:HIGH or A,B,C"
        )
    return value


def _default(name: str, recipe: Recipe) -> Dimension:
    if name == "batch_size":
        sizes = tuple(recipe.batch_size * 2**power for power in range(NUM_BATCH_SIZES))
        return Dimension(name=name, values=sizes, is_range=False)
    rate = recipe.learning_rate
    ranges = {
        "learning_rate": tuple(float(f"{value:.{DIGITS}g}") for value in (rate / 10, rate * LEARNING_RATE_FACTOR)),
        "momentum": MOMENTUM_RANGE,
        "weight_decay": WEIGHT_DECAY_RANGE,
    }
    return Dimension(name=name, values=ranges[name], is_range=True)


def own_setting(space: Space, recipe: Recipe) -> Setting:
    """Return the recipe's own setting, as near as the ranges allow."""
    values = {dimension.name: dimension.nearest(getattr(recipe, dimension.name)) for dimension in space}
    return make_setting(values)

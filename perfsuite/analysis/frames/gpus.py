"""Which GPU: a row per network and environment with its speed, and what a full training takes there; pure computing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perfsuite.analysis.frames.gpu_environments import EnvironmentIndex
from perfsuite.analysis.frames.gpu_steps import (
    Network,
    Steps,
    compared_batch_sizes,
    measured_steps,
    missing_steps,
    speed_ratio,
)
from perfsuite.analysis.frames.gpu_trainings import measured_trainings, num_images
from perfsuite.analysis.frames.largest_batch import LargestBatch, largest_batch
from perfsuite.analysis.frames.row_warnings import joined_warnings, joined_words
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.frames.gpu_environments import GpuEnvironment
    from perfsuite.analysis.frames.gpu_steps import Missing
    from perfsuite.analysis.frames.gpu_trainings import MeasuredTraining
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio

SECONDS_PER_HOUR = 3600

CostBasis = Literal["measured", "projected"]
"""Whether full trainings measured it, or training steps project it."""


CostName = Literal["time_s", "energy_joules", "money"]
"""Attributes of `TrainingCost`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A value and what it rests on; both None where it is absent."""

    value: float | None
    basis: CostBasis | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """What a full training by the thesis's recipe takes; absent values are None.

    Attributes:
        time_s: How long it takes.
        energy_joules: What the GPU takes from its supply.
        money: What it costs, at the price of an hour.
    """

    time_s: float | None
    energy_joules: float | None
    money: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRow:
    """A network in an environment. Absent values are None.

    Attributes:
        network: What was measured.
        environment: Where.
        batch_size: N of the steps; None where there are none.
        steps: Of each precision at that batch size, FP32 first.
        left_out: Steps at other batch sizes, which are not shown.
        precision: The fastest of them, or of the full trainings where there are no steps.
        baseline_precision: The fastest in the baseline's environment.
        speed: Images per second over those in the baseline's environment, in the fastest precision of each.
        fp32_speed: The same in FP32 on both sides.
        largest_batch: What is known of the largest batch that fits, in the fastest precision.
        measured: By full trainings in the fastest precision.
        projected: Images of the thesis's recipe over images per second, times the energy of an image.
        num_trainings: Full trainings that were measured.
        price_per_hour: As the user gave it.
        missing: Steps without a result, at any batch size.
        warnings: What spoils the numbers of the row, in a word or two each, by precision.
    """

    network: Network
    environment: GpuEnvironment
    batch_size: int | None
    steps: Mapping[str, Steps]
    left_out: tuple[Steps, ...]
    precision: str | None
    baseline_precision: str | None
    speed: Ratio | None
    fp32_speed: Ratio | None
    largest_batch: LargestBatch
    measured: TrainingCost
    projected: TrainingCost
    num_trainings: int
    price_per_hour: float | None
    missing: tuple[Missing, ...]
    warnings: str | None

    @property
    def fastest(self) -> Steps | None:
        """The steps in the fastest precision."""
        return fastest_of(self.steps)

    @property
    def other(self) -> Steps | None:
        """The steps in the fastest precision but FP32."""
        return fastest_of({name: one for name, one in self.steps.items() if name != BASELINE})

    def cost(self, name: CostName) -> Amount:
        """Return the time, the energy or the money of a full training: measured where it was, else projected."""
        measured, projected = getattr(self.measured, name), getattr(self.projected, name)
        if measured is not None:
            return Amount(value=measured, basis="measured")
        return Amount(value=projected, basis=None if projected is None else "projected")

    @property
    def images_per_joule(self) -> float | None:
        """Images per second and watt of the GPU, by the energy that was measured while it computed them."""
        energy = None if self.fastest is None else self.fastest.energy_per_image_joules
        return None if energy is None else 1 / energy


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuDecision:
    """All rows.

    Attributes:
        baseline: The environment that speeds are compared with; None where there are no results.
        environments: All of them, that of the first file first.
        rows: A row for each network in each environment, by network.
        results: What they are computed from.
    """

    baseline: GpuEnvironment | None
    environments: tuple[GpuEnvironment, ...]
    rows: tuple[GpuRow, ...]
    results: Results

    def by_network(self) -> list[list[GpuRow]]:
        """Return the rows of each network."""
        found: dict[Network, list[GpuRow]] = {}
        for row in self.rows:
            found.setdefault(row.network, []).append(row)
        return list(found.values())


def decide_gpus(
    results: Results, *, against: str | None = None, prices: Mapping[str, float] | None = None
) -> GpuDecision:
    """Return what each GPU gives for each network.

    Args:
        results: All of them perfsuite's own.
        against: Label of the environment that speeds are compared with; None for that of the first file.
        prices: Price per hour by the short name of a device.
    """
    index = EnvironmentIndex(results)
    steps, missing = measured_steps(results, index), missing_steps(results, index)
    trainings = measured_trainings(results, index)
    environments = index.environments
    baseline = next((one for one in environments if against in {None, one.label}), None)
    rows: list[GpuRow] = []
    for network in _networks(steps, missing, trainings):
        own = _Measured(
            steps=[one for one in steps if one.network == network],
            missing=[one for one in missing if one.network == network],
            trainings=[one for one in trainings if one.is_of(network)],
        )
        sizes = compared_batch_sizes(own.steps, [one.label for one in environments])
        places = [own.in_place(one, sizes.get(one.label), prices or {}) for one in environments]
        base = next((place for place in places if place.environment is baseline), None)
        rows += [_row(network, place, base, results) for place in places]
    return GpuDecision(baseline=baseline, environments=environments, rows=tuple(rows), results=results)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What there is of a network in all environments."""

    steps: Sequence[Steps]
    missing: Sequence[Missing]
    trainings: Sequence[MeasuredTraining]

    def in_place(self, environment: GpuEnvironment, batch_size: int | None, prices: Mapping[str, float]) -> _Place:
        """Return what of it is of one environment."""
        label = environment.label
        return _Place(
            environment=environment,
            batch_size=batch_size,
            steps=[one for one in self.steps if one.environment == label],
            missing=[one for one in self.missing if one.environment == label],
            trainings=[one for one in self.trainings if one.environment == label],
            price_per_hour=prices.get(environment.short_device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What there is of a network in an environment; `batch_size` is that at which it is compared."""

    environment: GpuEnvironment
    batch_size: int | None
    steps: Sequence[Steps]
    missing: Sequence[Missing]
    trainings: Sequence[MeasuredTraining]
    price_per_hour: float | None

    def compared(self) -> dict[str, Steps]:
        """Return the steps at that batch size by precision, FP32 first."""
        found = [one for one in self.steps if one.batch_size == self.batch_size]
        return {one.precision: one for one in sorted(found, key=lambda one: one.precision != BASELINE)}


def _networks(
    steps: Sequence[Steps], missing: Sequence[Missing], trainings: Sequence[MeasuredTraining]
) -> list[Network]:
    """Return the networks of the steps, and of the trainings that are of none of these."""
    found = list(dict.fromkeys([*(one.network for one in steps), *(one.network for one in missing)]))
    others = [one.network for one in trainings if not any(one.is_of(network) for network in found)]
    return [*found, *dict.fromkeys(others)]


def fastest_of(steps: Mapping[str, Steps]) -> Steps | None:
    """Return the steps of the precision with the most images per second."""
    return max(steps.values(), key=lambda one: one.images_per_second, default=None)


def _row(network: Network, place: _Place, base: _Place | None, results: Results) -> GpuRow:
    steps, base_steps = place.compared(), {} if base is None else base.compared()
    fastest, fastest_base = fastest_of(steps), fastest_of(base_steps)
    precision = _precision(place, fastest)
    training = next((one for one in place.trainings if one.precision == precision), None)
    is_baseline = place is base
    return GpuRow(
        network=network,
        environment=place.environment,
        batch_size=place.batch_size,
        steps=steps,
        left_out=tuple(one for one in place.steps if one.batch_size != place.batch_size),
        precision=precision,
        baseline_precision=None if fastest_base is None else fastest_base.precision,
        speed=None if is_baseline else _speed(fastest, fastest_base, results),
        fp32_speed=None if is_baseline else _speed(steps.get(BASELINE), base_steps.get(BASELINE), results),
        largest_batch=_largest_batch(place, precision),
        measured=_measured_cost(training, place.price_per_hour),
        projected=_projected_cost(fastest, place.price_per_hour),
        num_trainings=0 if training is None else training.num_trainings,
        price_per_hour=place.price_per_hour,
        missing=tuple(place.missing),
        warnings=_warnings(steps, training),
    )


def _warnings(steps: Mapping[str, Steps], training: MeasuredTraining | None) -> str | None:
    """Return what spoils the numbers that are shown: of FP32, of the fastest other precision, of full trainings."""
    other = fastest_of({name: one for name, one in steps.items() if name != BASELINE})
    shown = [one for one in (steps.get(BASELINE), other) if one is not None]
    words = [joined_warnings({one.precision: one.frame for one in shown})]
    words.append(joined_words({"full training": None if training is None else training.warnings}))
    return "; ".join(one for one in words if one) or None


def _precision(place: _Place, fastest: Steps | None) -> str | None:
    """Return the precision of a row: the fastest, by full trainings where there are no steps."""
    if fastest is not None:
        return fastest.precision
    shortest = min(place.trainings, key=lambda one: one.time_s, default=None)
    return None if shortest is None else shortest.precision


def _largest_batch(place: _Place, precision: str | None) -> LargestBatch:
    """Return the largest batch in a precision; in any, where none has a result."""
    measured = [one.memory for one in place.steps if one.precision == precision]
    ran_out = [
        one.batch_size for one in place.missing if one.outcome == "out_of_memory" and precision in {None, one.precision}
    ]
    return largest_batch(measured, ran_out, place.environment.capacity_bytes)


def _speed(steps: Steps | None, base: Steps | None, results: Results) -> Ratio | None:
    if steps is None or base is None or steps.batch_size != base.batch_size:
        return None
    return speed_ratio(steps, base, results)


def _measured_cost(training: MeasuredTraining | None, price_per_hour: float | None) -> TrainingCost:
    time_s = None if training is None else training.time_s
    energy = None if training is None else training.energy_joules
    return TrainingCost(time_s=time_s, energy_joules=energy, money=_money(time_s, price_per_hour))


def _projected_cost(steps: Steps | None, price_per_hour: float | None) -> TrainingCost:
    images = None if steps is None else num_images(steps.network)
    if steps is None or images is None:
        return TrainingCost(time_s=None, energy_joules=None, money=None)
    time_s, energy = images / steps.images_per_second, steps.energy_per_image_joules
    return TrainingCost(
        time_s=time_s,
        energy_joules=None if energy is None else images * energy,
        money=_money(time_s, price_per_hour),
    )


def _money(time_s: float | None, price_per_hour: float | None) -> float | None:
    return None if time_s is None or price_per_hour is None else time_s / SECONDS_PER_HOUR * price_per_hour

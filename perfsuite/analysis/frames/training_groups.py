"""Which full trainings are repetitions of one another: all that determines the result is the same but the seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pandas as pd

from perfsuite.analysis.frames.columns import naming_columns
from perfsuite.analysis.frames.labels import place_in_words, short_devices
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.precisions import BASELINE
from perfsuite.recipes import THESIS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.records.training import TrainingRecord

UNKNOWN_PLACE = "unknown training environment"

RECIPE_VALUES = (
    "epochs",
    "batch_size",
    "initial_learning_rate",
    "decay_factor",
    "decay_every_epochs",
    "warmup_epochs",
    "warmup_factor",
    "momentum",
    "weight_decay",
    "num_train",
    "num_validation",
    "num_test",
)
OTHER_VALUES = ("data", "data_fingerprint", "memory_format", "compile_mode", "gradients", "image_size", "deterministic")
"""`deterministic` sets the mode of cuDNN as well."""

WORKLOAD_VALUES = ("model_digest", "memory_format", "compile_mode", "gradients", "image_size", "num_classes")

DATA_VALUES = ("data_fingerprint", "class_names", "num_classes")
"""What the name of the data tells, mostly."""

PRECISION_SETTINGS = ("loss_scaling",)
"""Settings that follow from the precision, and so differ between FP32 and AMP of one family."""

FREE_SETTINGS = ("evaluation_batch", "optimizer_implementation")
"""Settings that change nothing of the result, or that the precision tells: the batch of an evaluation follows from what
a dry run predicts, which FP32 and AMP, or two versions of torch, may differ in; the optimizer rounds BF16 weights."""

FINGERPRINT_DIGITS = 8
MAX_NAMES_CHARACTERS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What FP32 and AMP must share to be compared; the name of the recipe is not part of it.

    Attributes:
        place: Where it was trained, in words; see `place_columns`.
        model: Name of the network.
        determining: All else that determines the result, by name.
    """

    place: str
    model: str
    determining: tuple[tuple[str, Hashable], ...]

    def value(self, name: str) -> Hashable:
        """Return a value by its name; None where these trainings do not have it."""
        return dict(self.determining).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingGroup:
    """Trainings that differ in their seed alone.

    Attributes:
        family: All that determines the result but the precision.
        precision: Name of the precision.
        members: The trainings.
    """

    family: Family
    precision: str
    members: tuple[FullTraining, ...]

    @property
    def records(self) -> list[TrainingRecord]:
        """The records of the members."""
        return [member.record for member in self.members]

    @property
    def recipe(self) -> str:
        """The name of the recipe; several where the same values have several names."""
        return ", ".join(dict.fromkeys(record.recipe.name for record in self.records))


def training_origins(results: Results) -> pd.DataFrame:
    """Return where each training comes from."""
    return pd.DataFrame([training.origin for training in results.trainings])


def training_groups(results: Results) -> list[TrainingGroup]:
    """Return the groups in the order in which their first training was read."""
    groups: dict[tuple[Hashable, ...], list[FullTraining]] = {}
    family = family_of(results)
    for training in results.trainings:
        record = training.record
        own = tuple(record.settings.get(name) for name in PRECISION_SETTINGS)
        groups.setdefault((family(training), record.workload.precision, own), []).append(training)
    return [
        TrainingGroup(family=key, precision=precision, members=tuple(members))  # type: ignore[arg-type]
        for (key, precision, _), members in groups.items()
    ]


def family_of(results: Results) -> Callable[[FullTraining], Family]:
    """Return what gives the family of a training among these results."""
    origins = training_origins(results)
    columns, devices = naming_columns(origins), short_devices(rows_of(origins))

    def family(training: FullTraining) -> Family:
        is_known = training.environment["device"] is not None
        return Family(
            place=place_in_words(columns, training.origin, devices) if is_known else UNKNOWN_PLACE,
            model=training.record.workload.model,
            determining=determining_values(training.record),
        )

    return family


def unstated_settings(records: Sequence[TrainingRecord]) -> tuple[str, ...]:
    """Return the settings that some of the records do not state, and that are the same in all others.

    An older perfsuite wrote fewer of them. What a record does not state is unknown, and distinguishes nothing.
    """
    names = dict.fromkeys(name for record in records for name in record.settings)
    stated = {name: [record.settings[name] for record in records if name in record.settings] for name in names}
    return tuple(
        name
        for name, values in stated.items()
        if name not in (*PRECISION_SETTINGS, *FREE_SETTINGS) and len(values) < len(records) and len(set(values)) == 1
    )


def unstated_in_words(records: Sequence[TrainingRecord]) -> list[str]:
    """Return the note on settings that are not compared, if there are any."""
    names = unstated_settings(records)
    if not names:
        return []
    listed = ", ".join(heading_of(name) for name in names)
    return [
        f"settings that only some of the full trainings state, those of a newer perfsuite, are not compared: {listed}"
    ]


def determining_values(record: TrainingRecord, unstated: Sequence[str] = ()) -> tuple[tuple[str, Hashable], ...]:
    """Return all that determines the result of a training but network, precision and seed, by name.

    Args:
        record: The training.
        unstated: Settings that are left out; see `unstated_settings`.
    """
    recipe, data, workload = record.recipe, record.data, record.workload
    left_out = (*PRECISION_SETTINGS, *FREE_SETTINGS, *unstated)
    settings = {name: value for name, value in record.settings.items() if name not in left_out}
    values: dict[str, Hashable] = {
        "initial_learning_rate": recipe.learning_rate,
        **{name: getattr(recipe, name) for name in RECIPE_VALUES if hasattr(recipe, name)},
        **{name: getattr(data, name) for name in ("num_train", "num_validation", "num_test")},
        "data": data.name,
        "data_fingerprint": data.fingerprint,
        "class_names": record.class_names,
        **{name: getattr(workload, name) for name in WORKLOAD_VALUES},
        "deterministic": record.deterministic,
        "world_size": record.world_size,
    }
    return (*values.items(), *sorted(settings.items()))


def baseline_of(group: TrainingGroup, groups: Sequence[TrainingGroup]) -> TrainingGroup | None:
    """Return FP32 of the same family; None for FP32 itself and where there is none."""
    if group.precision == BASELINE:
        return None
    found = [other for other in groups if other.family == group.family and other.precision == BASELINE]
    return found[0] if found else None


def distinguishing_values(groups: Sequence[TrainingGroup]) -> list[str]:
    """Return the names of the values that rows must show, for they are not determined by what is shown already.

    Values of a recipe are shown where recipes of one name differ in them. The thesis's recipe has other epochs for
    another network, which the network tells. That several devices shared a training is shown wherever they did: its
    time and memory are not those of one.
    """
    names = dict.fromkeys(name for group in groups for name, _ in group.family.determining)
    are_shared = any(group.family.value("world_size") != 1 for group in groups)
    return [name for name in names if _differs(name, groups) or (name == "world_size" and are_shared)]


def _differs(name: str, groups: Sequence[TrainingGroup]) -> bool:
    found: dict[Hashable, set[Hashable]] = {}
    for group in groups:
        within: Hashable = None
        if name in RECIPE_VALUES:
            within = (group.recipe, group.family.model if group.recipe == THESIS.name else None)
        elif name in DATA_VALUES:
            within = group.family.value("data")
        found.setdefault(within, set()).add(group.family.value(name))
    return any(len(values) > 1 for values in found.values())


def heading_of(name: str) -> str:
    """Return the name of a value for people."""
    return name.replace("_", " ")


def value_in_words(name: str, value: object) -> str:
    """Return a value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in {"data_fingerprint", "model_digest"}:
        return str(value)[:FINGERPRINT_DIGITS]
    if name == "class_names":
        text = "/".join(str(one) for one in cast("tuple[str, ...]", value))
        return text if len(text) <= MAX_NAMES_CHARACTERS else f"{text[:MAX_NAMES_CHARACTERS]}..."
    return f"{value:g}" if isinstance(value, float) else str(value)


def values_of(family: Family, names: Sequence[str]) -> dict[str, Hashable]:
    """Return the values of a row: those that every training has, and those of these names."""
    return {name: family.value(name) for name in dict.fromkeys((*RECIPE_VALUES, *OTHER_VALUES, *names))}


def determining_in_words(family: Family) -> str:
    """Return the recipe, the images and the settings of a family, but for those that are sentences."""
    names = [name for name in (*RECIPE_VALUES, *OTHER_VALUES) if name != "data_fingerprint"]
    return ", ".join(f"{heading_of(name)} {value_in_words(name, family.value(name))}" for name in names)


def family_words(groups: Sequence[TrainingGroup]) -> Callable[..., str]:
    """Return what names a family in a figure: the network, and what distinguishes it from the others."""
    names = distinguishing_values(groups)
    recipes = {group.family: group.recipe for group in groups}
    several_recipes = len(set(recipes.values())) > 1

    def words(family: Family, *, with_place: bool = True) -> str:
        network = f"{family.model} {recipes[family]}" if several_recipes else family.model
        shown = [f"{heading_of(name)} {value_in_words(name, family.value(name))}" for name in names]
        text = ", ".join([network, *shown])
        return f"{text} ({family.place})" if with_place and family.place else text

    return words

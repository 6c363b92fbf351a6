"""What is tried next and what is ended early: pure functions of the trials before, by Optuna's samplers and pruners.

The same study, number and history give the same answer in whatever process, so that a trial that was killed is run
again with the same setting.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState, create_trial

from perfsuite.records.study import guessing_error, mean_errors
from perfsuite.tune.space import make_setting, optuna_name, optuna_params, own_setting, setting_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from perfsuite.records.study import Curve, Setting, Study, StudyTrial
    from perfsuite.tune.space import Space

NUM_STARTUP_TRIALS = 8
"""That TPE draws at random before it models anything: twice as many as there are hyperparameters."""

NUM_MEDIAN_TRIALS = 3
"""Trials that the median is taken of, at least, before one is pruned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """A way of proposing settings.

    Attributes:
        about: What it does, for help texts.
        uses_history: Whether proposals depend on the trials before.
        make: Returns Optuna's sampler, for a seed and a space.
    """

    about: str
    uses_history: bool
    make: Callable[[int, Space], optuna.samplers.BaseSampler]


def _tpe(seed: int, _space: Space) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=NUM_STARTUP_TRIALS, multivariate=True)


def _random(seed: int, _space: Space) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


SAMPLERS: dict[str, Sampler] = {
    "tpe": Sampler(about="what earlier trials make likely to be good", uses_history=True, make=_tpe),
    "random": Sampler(about="anywhere in the ranges", uses_history=False, make=_random),
    "grid": Sampler(about="every combination once, in a random order", uses_history=False, make=_random),
}
"""By name. Source of `tpe`: Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011."""


def _no_pruner(_study: Study) -> optuna.pruners.BasePruner:
    return optuna.pruners.NopPruner()


def _median_pruner(study: Study) -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner(
        n_startup_trials=NUM_MEDIAN_TRIALS, n_warmup_steps=study.recipe.warmup_epochs + 1
    )


PRUNERS: dict[str, Callable[[Study], optuna.pruners.BasePruner]] = {"median": _median_pruner, "none": _no_pruner}
"""By name. `median` ends a trial whose best epoch is worse than the median of the trials before it at that epoch."""


def depends_on_history(sampler: str, pruner: str) -> bool:
    """Whether a study depends on which trials are finished when one begins."""
    return SAMPLERS[sampler].uses_history or pruner != "none"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let Optuna write nothing to standard error."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def propose(study: Study, space: Space, number: int, history: Sequence[StudyTrial]) -> Setting:
    """Return the setting of a trial.

    The first one is the recipe's own setting, as near as the ranges allow: what was tuned is compared with what was
    there. A grid has it where one of its points is.

    Args:
        study: What is searched.
        space: Its hyperparameters.
        number: Of the trial.
        history: Those before it that it may depend on.
    """
    if study.sampler == "grid":
        return _grid(space, study.seed)[number]
    if number == 0:
        return own_setting(space, study.recipe)
    with quiet():
        sampler = SAMPLERS[study.sampler].make(_seed_of(study.seed, number), space)
        model = _with_history(study, space, history, sampler=sampler)
        asked = model.ask({optuna_name(dimension): dimension.distribution for dimension in space})
    return setting_of(space, asked.params)


def num_grid_points(space: Space) -> int:
    """Return how many settings a grid has."""
    num = 1
    for dimension in space:
        num *= len(set(dimension.grid()))
    return num


def _grid(space: Space, seed: int) -> list[Setting]:
    """Return all points, in an order that depends on the seed alone: a grid that is cut short covers it evenly."""
    values = [tuple(dict.fromkeys(dimension.grid())) for dimension in space]
    names = [dimension.name for dimension in space]
    points = [make_setting(dict(zip(names, point, strict=True))) for point in itertools.product(*values)]
    return sorted(points, key=lambda point: _seed_of(seed, point.label))


def _seed_of(seed: int, what: object) -> int:
    digest = hashlib.sha256(f"{seed} {what}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def is_pruned(
    study: Study, space: Space, setting: Setting, history: Sequence[StudyTrial], curves: tuple[Curve, ...]
) -> bool:
    """Whether a trial is to be ended after the epochs that it has."""
    values = dict(enumerate(mean_errors(study, curves), start=1))
    with quiet():
        model = _with_history(study, space, history)
        model.add_trial(_optuna_trial(space, setting, state=TrialState.RUNNING, values=values))
        running = model.get_trials(deepcopy=False)[-1]
        return PRUNERS[study.pruner](study).prune(model, running)


def _with_history(
    study: Study, space: Space, history: Sequence[StudyTrial], *, sampler: optuna.samplers.BaseSampler | None = None
) -> optuna.Study:
    model = optuna.create_study(sampler=sampler)
    model.add_trials([finished_trial(study, space, trial) for trial in history])
    return model


def finished_trial(study: Study, space: Space, trial: StudyTrial) -> optuna.trial.FrozenTrial:
    """Return a finished trial as Optuna has it: its value is the mean error after the last epoch."""
    values = dict(enumerate(mean_errors(study, trial.curves), start=1))
    state = TrialState.PRUNED if trial.state == "pruned" else TrialState.COMPLETE
    return _optuna_trial(space, trial.setting, state=state, values=values, value=value_of(study, trial))


def value_of(study: Study, trial: StudyTrial) -> float:
    """Return what a trial is worth to the sampler, the smaller the better."""
    errors = mean_errors(study, trial.curves)
    return errors[-1] if errors and trial.state != "diverged" else guessing_error(study)


def _optuna_trial(
    space: Space, setting: Setting, *, state: TrialState, values: dict[int, float], value: float | None = None
) -> optuna.trial.FrozenTrial:
    params: dict[str, Any] = optuna_params(space, setting)
    return create_trial(
        state=state,
        value=value,
        params=params,
        distributions={optuna_name(dimension): dimension.distribution for dimension in space},
        intermediate_values=values,
    )

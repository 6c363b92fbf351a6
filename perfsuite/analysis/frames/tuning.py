"""A study of hyperparameters -> rows: its trials, what was retrained, and whether AMP needs other hyperparameters."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.frames.training_cells import accuracy_change_of_seeds
from perfsuite.analysis.frames.training_words import ACCURACY_MARGIN
from perfsuite.analysis.frames.trainings import BOUND_ALPHA, seed_accuracies
from perfsuite.formatting import plural
from perfsuite.precisions import BASELINE
from perfsuite.records.study import NAMES, chosen_recipe, chosen_trial, errors_by_epoch, final_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.records.retraining import Retraining
    from perfsuite.records.study import Study, StudyTrial
    from perfsuite.records.training import TrainingRecord
    from perfsuite.records.workload import Recipe


def chosen_for(study: Study, trial: StudyTrial) -> tuple[str, ...]:
    """Return the precisions that a trial was chosen for."""
    return tuple(name for name in study.precisions if chosen_trial(study, name) == trial)


def trial_rows(study: Study) -> list[dict[str, Any]]:
    """Return a row per trial, the best first: those that came to their end by their mean error, then the others.

    Returns:
        Columns: `number`, `chosen_for` (precisions, in words), the hyperparameters, `state`, `num_epochs`, and for each
        precision `loss_<precision>` and `accuracy_<precision>` on the validation images after the last epoch trained.
    """
    rows = []
    for trial in sorted(study.trials, key=lambda trial: _rank(study, trial)):
        row: dict[str, Any] = {
            "number": trial.number,
            "chosen_for": ", ".join(chosen_for(study, trial)) or None,
            **{name: getattr(trial.setting, name) for name in NAMES},
            "state": trial.state,
            "num_epochs": max(len(curve.loss) for curve in trial.curves),
        }
        for curve in trial.curves:
            is_known = bool(curve.loss) and not curve.is_diverged
            row[f"loss_{curve.precision}"] = curve.loss[-1] if is_known else None
            row[f"accuracy_{curve.precision}"] = curve.accuracy[-1] if is_known else None
        rows.append(row)
    return rows


def _rank(study: Study, trial: StudyTrial) -> tuple[int, float, int]:
    errors = [final_error(study, trial, name) for name in study.precisions]
    known = [error for error in errors if error is not None]
    if len(known) < len(errors):
        return 1, float(-max(len(curve.loss) for curve in trial.curves)), trial.number
    return 0, sum(known) / len(known), trial.number


def last_error(study: Study, trial: StudyTrial, precision: str) -> float | None:
    """Return the error of a trial after the last epoch that it had, pruned or not; None where it diverged."""
    curve = trial.curve(precision)
    errors = errors_by_epoch(study, curve)
    return None if curve.is_diverged or not errors else errors[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainedGroup:
    """A chosen setting, trained in one precision with several seeds.

    Attributes:
        setting_of: The precisions that it was chosen for.
        precision: In which it was trained.
        records: Its trainings.
    """

    setting_of: tuple[str, ...]
    precision: str
    records: tuple[TrainingRecord, ...]

    @property
    def seeds(self) -> dict[int, list[TrainingRecord]]:
        """Its trainings by seed."""
        return {record.seed: [record] for record in self.records}


def retrained_groups(study: Study, retraining: Retraining | None) -> list[RetrainedGroup]:
    """Return what was retrained of what the search chooses now; trainings of other settings are left out."""
    groups = []
    for names, recipe in _settings(study):
        for precision in study.precisions:
            records = tuple(
                record
                for record in (() if retraining is None else retraining.trainings)
                if _is_of(record, study, recipe, precision)
            )
            if records:
                groups.append(RetrainedGroup(setting_of=names, precision=precision, records=records))
    return groups


def _settings(study: Study) -> list[tuple[tuple[str, ...], Recipe]]:
    """Return each chosen setting with the precisions that it was chosen for."""
    found: list[tuple[tuple[str, ...], Recipe]] = []
    for trial in study.trials:
        names = chosen_for(study, trial)
        recipe = chosen_recipe(study, names[0]) if names else None
        if recipe is not None:
            found.append((names, recipe))
    return sorted(found, key=lambda one: study.precisions.index(one[0][0]))


def _is_of(record: TrainingRecord, study: Study, recipe: Recipe, precision: str) -> bool:
    is_same = dataclasses.replace(record.recipe, source="") == dataclasses.replace(recipe, source="")
    return is_same and (record.workload.model, record.workload.precision) == (study.model, precision)


def retrained_rows(groups: Sequence[RetrainedGroup]) -> list[dict[str, Any]]:
    """Return a row per group.

    Returns:
        Columns: `setting_of`, `precision`, the hyperparameters, `num_seeds`, `num_test_images`, and `test_accuracy`
        with `_low` and `_high`, its 95% interval.
    """
    from perfsuite.analysis.statistics.accuracy import accuracy_intervals

    if not groups:
        return []
    accuracies = [seed_accuracies(group.records) for group in groups]
    num_images = [group.records[0].data.num_test for group in groups]
    lows, highs = accuracy_intervals(accuracies, num_images)
    return [
        {
            "setting_of": ", ".join(group.setting_of),
            "precision": group.precision,
            **{name: getattr(group.records[0].recipe, name) for name in NAMES},
            "num_seeds": len(accuracies[index]),
            "num_test_images": num_images[index],
            "test_accuracy": float(accuracies[index].mean()),
            "test_accuracy_low": float(lows[index]),
            "test_accuracy_high": float(highs[index]),
        }
        for index, group in enumerate(groups)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnChoice:
    """What a precision gains by hyperparameters of its own, over those that were chosen for FP32.

    Attributes:
        precision: Its name.
        is_same: Whether the search chose the same setting for both.
        difference: Test accuracy with its own setting minus that with FP32's, both in this precision; where they are
            the same, that in this precision minus that in FP32. A mean over seeds; None where nothing was retrained.
        low: Lower end of its 95% interval; None of one seed.
        high: Upper end.
        num_seeds: Trained with both.
    """

    precision: str
    is_same: bool
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    num_seeds: int = 0

    @property
    def in_words(self) -> str:
        """The question, the answer and its interval."""
        question = f"Does {self.precision} need other hyperparameters than {BASELINE}?"
        if self.is_same:
            return f"{question} No: the search chose the same setting for both.{self._same_in_words}"
        if self.difference is None:
            return f"{question} Not known: nothing was retrained (--seeds 0)."
        what = f"{self.precision} with its own setting minus with {BASELINE}'s: {self._difference_in_words}"
        if self.low is None or self.high is None:
            return f"{question} Cannot tell. {what}"
        low, high = 100 * self.low, 100 * self.high
        answer = f"Not shown: its own gain at most {high:.1f} points"
        if low > 0:
            answer = f"Yes: its own gain at least {low:.1f} points"
        elif high < 0:
            answer = f"No: its own lose at least {-high:.1f} points"
        return f"{question} {answer}. {what}"

    @property
    def _same_in_words(self) -> str:
        if self.difference is None:
            return ""
        return f" With it, {self.precision} minus {BASELINE}: {self._difference_in_words}"

    @property
    def _difference_in_words(self) -> str:
        points = f"{100 * (self.difference or 0.0):+.1f} points of test accuracy"
        if self.low is None or self.high is None:
            return f"{points}; one seed gives no interval, --seeds 3 trains more."
        ends = f"[{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
        return f"{points} {ends}, 95% interval over {plural(self.num_seeds, 'seed')}, paired."


def own_choices(study: Study, groups: Sequence[RetrainedGroup]) -> list[OwnChoice]:
    """Return the answer for each precision but FP32; none where FP32 is not in the search, or nothing was chosen."""
    if BASELINE not in study.precisions or chosen_trial(study, BASELINE) is None:
        return []
    found = []
    for precision in study.precisions:
        chosen = chosen_trial(study, precision)
        if precision != BASELINE and chosen is not None:
            is_same = chosen == chosen_trial(study, BASELINE)
            found.append(_own_choice(precision, groups, is_same=is_same))
    return found


def _own_choice(precision: str, groups: Sequence[RetrainedGroup], *, is_same: bool) -> OwnChoice:
    own = _group(groups, precision, setting_of=precision)
    other = _group(groups, BASELINE if is_same else precision, setting_of=BASELINE)
    if own is None or other is None:
        return OwnChoice(precision=precision, is_same=is_same)
    from perfsuite.analysis.statistics.accuracy import decide_accuracy

    change = accuracy_change_of_seeds(other.seeds, own.seeds)
    num_seeds = min(change.num_baseline, change.num_candidate)
    choice = OwnChoice(precision=precision, is_same=is_same, difference=change.change, num_seeds=num_seeds)
    if num_seeds < 2:  # noqa: PLR2004 - a variance between seeds needs two
        return choice
    decision = decide_accuracy([change], margin=ACCURACY_MARGIN, alpha=BOUND_ALPHA)
    low, high = (float(np.asarray(end)[0]) for end in (decision.low, decision.high))
    return dataclasses.replace(choice, low=low, high=high)


def _group(groups: Sequence[RetrainedGroup], precision: str, *, setting_of: str) -> RetrainedGroup | None:
    found = (group for group in groups if group.precision == precision and setting_of in group.setting_of)
    return next(found, None)

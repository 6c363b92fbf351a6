"""The search: trials one after the other or several at once, each kept as soon as it is finished."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfsuite.formatting import duration_in_words
from perfsuite.records.study import chosen_trial, final_error
from perfsuite.tune.folder import check_beginning, claim, with_trials, write_study
from perfsuite.tune.proposals import depends_on_history, propose
from perfsuite.tune.storage import Store
from perfsuite.tune.trial import TrialTask, run_trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from perfsuite.records.study import Study, StudyTrial
    from perfsuite.tune.plan import StudyPlan
    from perfsuite.tune.workers import Workers


@dataclass(slots=True, kw_only=True)
class Clock:
    """How long is left, from what was done.

    Attributes:
        taken_s: Of each trial that is done, in this process and before.
        num_left: Trials that are not done.
        num_workers: How many run at once.
        num_retrainings: Trainings that come after them, in trials.
        now: Reads seconds.
    """

    taken_s: list[float]
    num_left: int
    num_workers: int
    num_retrainings: float
    now: Callable[[], float] = time.monotonic
    begun: dict[int, float] = field(default_factory=dict)

    def done(self, number: int) -> float:
        """Note that a trial has ended, and return how long it took."""
        self.taken_s.append(self.now() - self.begun[number])
        self.num_left -= 1
        return self.taken_s[-1]

    def left_in_words(self) -> str:
        """Return how long the rest is expected to take; nothing before one trial is done."""
        if not self.taken_s:
            return ""
        mean_s = sum(self.taken_s) / len(self.taken_s)
        left_s = mean_s * (self.num_left + self.num_retrainings) / self.num_workers
        return f"  about {duration_in_words(left_s)} left" if left_s else ""


class StudySearch:
    """A search in a folder, which must be locked."""

    def __init__(self, plan: StudyPlan, folder: Path, say: Callable[[str, bool], None]) -> None:
        """Begin a study, or open what was begun.

        Args:
            plan: What is searched.
            folder: Where it is kept.
            say: Called with a line, and whether it is final or may be overwritten.

        Raises:
            DataError: The folder holds another study, or a damaged one.
        """
        self._plan, self._folder, self._say = plan, folder, say
        before = claim(folder, plan.study)
        self.study = with_trials(before, ())  # with as many threads as it was begun with
        self._store = Store(folder, self.study, plan.space)
        trials = tuple(self._store.finished())
        check_beginning(before, trials, folder)
        self._finished = {trial.number: trial for trial in trials}
        self._running: dict[int, Future[StudyTrial]] = {}
        wanted = [number for number in range(plan.num_trials) if number not in self._finished]
        if trials and wanted:
            say(f"{len(trials)} of {plan.num_trials} trials are finished already", True)
        retrainings = len(plan.study.precisions) * len(plan.seeds)
        self._clock = Clock(
            taken_s=self._store.durations_s(),
            num_left=len(wanted),
            num_workers=plan.num_workers,
            num_retrainings=float(retrainings),
        )

    def run(self, workers: Workers) -> Study:
        """Run what is missing, and return the search with all its trials."""
        self._keep()
        while True:
            for number in self._startable():
                self._begin(number, workers)
            if not self._running:
                return self._as_record()
            done = workers.any_done(list(self._running.values()))
            for number in [number for number, future in self._running.items() if future in done]:
                self._end(self._running.pop(number).result())

    def label(self, number: int) -> str:
        """Return what a line about a trial begins with."""
        width = len(str(self._plan.num_trials))
        return f"[{number + 1:{width}}/{self._plan.num_trials}]"

    def report(self, text: str) -> None:
        """Show what the trial in this process does."""
        number = max(self._clock.begun, default=0)
        self._say(f"{self.label(number)}  {text}{self._clock.left_in_words()}", False)

    def _as_record(self) -> Study:
        wanted = [trial for number, trial in self._finished.items() if number < self._plan.num_trials]
        return with_trials(self.study, tuple(wanted))

    def _keep(self) -> None:
        write_study(self._folder, with_trials(self.study, tuple(self._finished.values())))

    def _history(self, number: int) -> range:
        """Return the trials that one depends on: as many as are finished whatever the others take.

        With W workers those up to W before it. It begins only when they are finished, so that neither chance nor an
        interruption decides what is proposed.
        """
        if not depends_on_history(self.study.sampler, self.study.pruner):
            return range(0)
        return range(max(0, number - self._plan.num_workers + 1))

    def _startable(self) -> list[int]:
        free = self._plan.num_workers - len(self._running)
        found: list[int] = []
        for number in range(self._plan.num_trials):
            if len(found) == free:
                break
            if number in self._finished or number in self._running:
                continue
            if not all(earlier in self._finished for earlier in self._history(number)):
                break
            found.append(number)
        return found

    def _begin(self, number: int, workers: Workers) -> None:
        history = tuple(self._finished[earlier] for earlier in self._history(number))
        plan = self._plan
        setting = propose(self.study, plan.space, number, history)
        self._store.begin(number, setting)
        self._clock.begun[number] = self._clock.now()
        task = TrialTask(
            study=self.study,
            space=plan.space,
            model=plan.model,
            data=plan.data,
            device=plan.device,
            number=number,
            setting=setting,
            history=history,
        )
        self._running[number] = workers.submit(run_trial, task)

    def _end(self, trial: StudyTrial) -> None:
        self._store.end(trial)
        self._finished[trial.number] = trial
        self._keep()
        taken_s = self._clock.done(trial.number)
        text = f"{self.label(trial.number)}  {trial.setting.label}: {self._result_in_words(trial)}"
        self._say(f"{text}, {duration_in_words(taken_s)}{self._clock.left_in_words()}", True)

    def _result_in_words(self, trial: StudyTrial) -> str:
        if trial.state == "pruned":
            return f"pruned after {len(trial.curves[0].loss)} epochs"
        study = with_trials(self.study, tuple(self._finished.values()))
        parts = []
        for curve in trial.curves:
            error = final_error(study, trial, curve.precision)
            if error is None:
                parts.append(f"{curve.precision} diverged")
                continue
            value = f"loss {error:.4f}" if study.score == "loss" else f"accuracy {1 - error:.2%}"
            best = ", the best" if chosen_trial(study, curve.precision) == trial else ""
            parts.append(f"{curve.precision} {value}{best}")
        return "; ".join(parts)

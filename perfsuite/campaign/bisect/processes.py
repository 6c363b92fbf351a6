"""Runs the processes of a block, keeps a file of each, and reads what was measured before an interruption."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.campaign.bisect.folder import FinishedProcess
from perfsuite.campaign.bisect.search import NotMeasurableError
from perfsuite.campaign.bisect.value import value_in_words, value_of
from perfsuite.campaign.process_log import complaint, last_line
from perfsuite.campaign.run import run_to_end
from perfsuite.child_process import ended_in_words
from perfsuite.errors import CampaignError, ResultFileError
from perfsuite.formatting import duration_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from perfsuite.campaign.bisect.folder import RunFolder
    from perfsuite.campaign.bisect.places import Place, Places
    from perfsuite.campaign.bisect.revisions import Revision
    from perfsuite.campaign.bisect.search import Block

MAX_GAP_S = 900.0
"""Between the processes of one block. After a longer one the machine is in another state: the block is run again."""

REQUIRED = {"good", "bad"}
"""Roles that must give a value; the others are skipped, or leave the result unconfirmed."""


@dataclass(slots=True, kw_only=True)
class Processes:
    """Measures blocks.

    Attributes:
        run: The folder.
        places: Where revisions are measured.
        arguments: Of pytest.
        benchmark: Name or pattern.
        metric: `time` or `memory`.
        lock: Of the folder.
        say: Called with a line, and whether it is final or may be overwritten.
        num_run: How many processes were run, and not read.
        stage: Of the last block.
    """

    run: RunFolder
    places: Places
    arguments: tuple[str, ...]
    benchmark: str
    metric: str
    lock: int
    say: Callable[[str, bool], None]
    num_run: int = 0
    stage: str = ""

    def measure(self, block: Block) -> Mapping[str, float]:
        """Return the logarithm of what each process of a block measured, by role; run those that are missing.

        Raises:
            NotMeasurableError: A revision gives no value.
            CampaignError: One that must gives none, or the folder cannot be used.
            Interrupted: Ctrl-C or SIGTERM.
        """
        names = {role: f"{block.stage}-{block.number:03d}-{role}" for role, _ in block.turns}
        self._forget_half_of_an_old_block(names)
        found = {}
        for position, (role, revision) in enumerate(block.turns):
            name = names[role]
            if not self._is_there(name):
                if self.stage != block.stage:
                    self.places.keep_only(revision for _, revision in block.turns)
                    self.stage = block.stage
                self._run(block, name, role, revision, block.num_left - position)
            reason = None if name not in self.run.processes else self.run.processes[name].reason
            if reason is not None:
                raise NotMeasurableError(reason)
            found[role] = math.log(self._value(name, role, revision))
        return found

    def duration_s(self) -> float:
        """Return how long all processes ran."""
        return sum(one.duration_s for one in self.run.processes.values())

    def _is_there(self, name: str) -> bool:
        is_failed = name in self.run.processes and self.run.processes[name].reason is not None
        return is_failed or self.run.result(name).exists()

    def _forget_half_of_an_old_block(self, names: Mapping[str, str]) -> None:
        there = [name for name in names.values() if self.run.result(name).exists()]
        missing = [name for name in names.values() if name not in there]
        if not there or not missing:
            return
        if any(map(self._is_there, missing)):  # it failed: there is no value
            return
        gap_s = time.time() - max(self.run.result(name).stat().st_mtime for name in there)
        if gap_s > MAX_GAP_S:
            self.say(f"measured again, as it was interrupted for {duration_in_words(gap_s)}: {there[0]}", True)
            for name in there:
                self.run.forget(name)

    def _value(self, name: str, role: str, revision: Revision) -> float:
        try:
            return value_of(self.run.result(name), self.benchmark, self.metric)
        except NotMeasurableError as error:
            if role in REQUIRED:
                # Not kept: the question is to be put differently, or the code of the benchmark at hand is.
                raise CampaignError(f"{role} {revision.key}: {error}") from None
            raise

    def _run(self, block: Block, name: str, role: str, revision: Revision, num_left: int) -> None:
        label = f"[{block.heading}, block {block.number}] {role:<6} {revision.key}"
        begin = time.monotonic()

        def tell(text: str) -> None:
            self.say(f"{label}  {text}{self._time_left(block, num_left)}", False)

        try:
            place = self.places.prepare(revision, self.lock, tell)
            begin = time.monotonic()
            tell("starting")
            part = self._run_pytest(place, name, tell)
        except NotMeasurableError as error:
            if role in REQUIRED:
                raise CampaignError(f"{role} {revision.key} cannot be measured: {error}") from None
            self.run.finish(name, FinishedProcess(duration_s=time.monotonic() - begin, reason=str(error)[:1000]))
            return
        # In this order: killed in between, it is run again, and never counts without its duration.
        self.run.finish(name, FinishedProcess(duration_s=time.monotonic() - begin))
        try:
            part.replace(self.run.result(name))
        except OSError as error:
            raise CampaignError(f"{self.run.path}: cannot be used: {error.strerror}") from None
        self.num_run += 1
        try:
            value = value_in_words(self._value(name, role, revision), self.metric)
        except NotMeasurableError:
            value = "no value"
        self.say(f"{label}  {value}{self._time_left(block, num_left - 1)}", True)

    def _run_pytest(self, place: Place, name: str, tell: Callable[[str], None]) -> Path:
        """Run pytest once, and return the file of its result, which is whole.

        Raises:
            NotMeasurableError: It gave no result.
        """
        path = self.run.result(name)
        part, log = path.with_suffix(".part.json"), path.with_suffix(".log")
        command = [place.python, "-m", "pytest", *place.arguments, *self.arguments, f"--benchmark-json={part}"]
        try:
            part.unlink(missing_ok=True)
            with log.open("wb") as output:
                status = run_to_end(
                    command,
                    folder=place.folder,
                    variables=place.variables,
                    output=output,
                    lock=self.lock,
                    tell=lambda: tell(last_line(log)),
                )
        except OSError as error:
            raise CampaignError(f"{place.python}: does not run in {place.folder}: {error.strerror}") from None
        self._check(part, log, status)
        return part

    def _check(self, part: Path, log: Path, status: int) -> None:
        """Check that pytest finished: its other tests may have failed."""
        try:
            found = read_result_file(part)
        except ResultFileError as error:
            said = str(error) if status == 0 else f"pytest {ended_in_words(status)}: {complaint(log)}"
            raise NotMeasurableError(f"{said}; see {log.name}") from None
        if status not in {0, 1} or not found.complete:
            raise NotMeasurableError(f"pytest {ended_in_words(status)}: {complaint(log)}; see {log.name}")
        if not found.benchmarks:
            raise NotMeasurableError(f"no benchmark gave a result: {complaint(log)}; see {log.name}")

    def _time_left(self, block: Block, num_left: int) -> str:
        durations = [one.duration_s for one in self.run.processes.values() if one.reason is None]
        if not durations or num_left <= 0:
            return ""
        mean_s = sum(durations) / len(durations)
        if block.num_most is None:
            return f"  about {duration_in_words(mean_s * num_left)} left"
        most_s = mean_s * (block.num_most - block.num_left + num_left)
        return f"  {duration_in_words(mean_s * num_left)} to {duration_in_words(most_s)} left"

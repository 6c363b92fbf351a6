"""A grade of trust, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Grade = Literal["low", "medium", "high"]

WORST_FIRST: tuple[Grade, ...] = ("low", "medium", "high")

MAX_REASONS = 2
"""That a line names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a grade rests on. Counts are of results unless they say otherwise; what is not recorded counts as 0.

    Attributes:
        is_comparison: Whether two sides were compared.
        num_results: Benchmarks, pairs, full trainings and studies of mixed precision, and those that gave no result.
        num_processes: Of the side that has fewer; of a result the median of its benchmarks. None: full trainings only.
        has_noise_floor: Whether an A/A run of the machine says how much processes differ.
        is_judged: Whether anything could be judged, where something was compared.
        other_machine: In what the machines of the sides differ: `another host: a, b`; None where they are one.
        num_not_judged: Inconclusive, incomparable or missing.
        num_processes_needed: A side, for a verdict on the next that could be settled; None where no number would.
        is_interleaved: Whether the order of the processes separates code from drift; None where that is not asked.
        detectable_ratios: Smallest, median and largest of the smallest detectable slowdowns; None where unknown.
        is_host_noisy: Whether low quantiles had to represent the processes.
        num_loaded: Other processes took CPU time meanwhile.
        num_steal: Other virtual machines did.
        num_shared: Another process was on the GPU.
        num_throttled: Clocks were held down, by another reason than the power cap.
        num_noisy: The rounds spread widely.
        num_contradictory: Findings that contradict a result.
        num_quick: First answers.
        num_smoke: Full trainings with the recipe smoke.
        num_without_result: By outcome, in words: `out of memory`.
        num_files: Of the results.
        num_cut_short: Files whose run ended early.
        is_dirty: Whether uncommitted changes were measured.
        mixed: What differs between the files of one side, in words.
        num_seeds: Fewest of a full training and side; None without full trainings.
        num_claims: About mixed precision.
        num_failed_claims: Of these, those that do not hold.
        num_unequal: Steps on several devices whose gradients are not what they should be.
        changed: The first benchmark that changed, for the command that explains it.
        is_own: Whether perfsuite measured it.
        command: What would measure these benchmarks again.
    """

    is_comparison: bool
    num_results: int
    num_processes: int | None = None
    has_noise_floor: bool = False
    is_judged: bool = True
    other_machine: str | None = None
    num_not_judged: int = 0
    num_processes_needed: int | None = None
    is_interleaved: bool | None = None
    detectable_ratios: tuple[float, float, float] | None = None
    is_host_noisy: bool = False
    num_loaded: int = 0
    num_steal: int = 0
    num_shared: int = 0
    num_throttled: int = 0
    num_noisy: int = 0
    num_contradictory: int = 0
    num_quick: int = 0
    num_smoke: int = 0
    num_without_result: Mapping[str, int] = field(default_factory=dict)
    num_files: int = 1
    num_cut_short: int = 0
    is_dirty: bool = False
    mixed: tuple[str, ...] = ()
    num_seeds: int | None = None
    num_claims: int = 0
    num_failed_claims: int = 0
    num_unequal: int = 0
    changed: str | None = None
    is_own: bool = True
    command: str = "pytest benchmarks -m step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a grade is not better; or, with the grade high, what is good to know.

    Attributes:
        grade: The best grade that it allows.
        text: It in words, without a full stop.
        action: What to do about it, with the command; None where nothing helps.
    """

    grade: Grade
    text: str
    action: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A grade.

    Attributes:
        grade: It.
        reasons: The worst first.
        action: What to do next, with the command.
    """

    grade: Grade
    reasons: tuple[Reason, ...]
    action: str

    @property
    def in_words(self) -> str:
        """The grade and its first reasons: `medium: the sides ran one after the other; ...`."""
        texts = [reason.text for reason in self.reasons[:MAX_REASONS]]
        return f"{self.grade}: {'; '.join(texts)}" if texts else self.grade

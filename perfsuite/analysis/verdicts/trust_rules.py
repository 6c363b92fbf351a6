"""How far a result or a comparison can be trusted: high, medium or low, why, and what to do next.

The grade is the worst that one of these rules allows; without any it is high. A share is of the results.

| what is known | high becomes |
|---|---|
| there are no results; nothing could be judged; the machines are not the same | low |
| a comparison has fewer than 3 processes a side; a result is of one process, its machine without a noise floor | low |
| a comparison has 3 or 4 processes a side; a result is of 2 processes, or of one with a noise floor | medium |
| quick results (`--perf-quick`); the recipe smoke | low |
| the sides ran one after the other | medium |
| a part could not be judged or is missing; more than half | medium; low |
| the median of the smallest detectable slowdowns is above 5%; above 20% | medium; low |
| other processes or virtual machines took time, or clocks were throttled, in any; in more than half | medium; low |
| the rounds of more than a tenth are noisy, or low quantiles must stand for them; more than half | medium; low |
| results contradict each other, or their statistics cannot be right; more than a tenth | medium; low |
| a benchmark failed, ran out of memory or was interrupted, or a run was cut short; more than half | medium; low |
| a full training has one seed | medium |
| claims about mixed precision do not hold; more than half | medium; low |
| gradients of a step on several devices are not what they should be | low |
| uncommitted changes, or several versions taken together as one side | medium |

What was skipped on purpose and the power cap of a GPU at work lower nothing. What a file does not record lowers nothing
either: an absent reading is not a good one, and not a bad one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.statistics.significance import MIN_PROCESSES
from perfsuite.analysis.verdicts.trust_evidence import WORST_FIRST, Reason, Trust
from perfsuite.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.analysis.verdicts.trust_evidence import Evidence, Grade

GOOD_PROCESSES = 5
"""A side of a comparison: with three, false verdicts can be more frequent than alpha."""

LARGE_DETECTABLE_RATIO = 0.05
"""Median of the smallest detectable slowdowns: 2% counts as a change, and five quiet processes a side find 2.9%."""

USELESS_DETECTABLE_RATIO = 0.2

MANY_RATIO = 0.5
"""Share of the results from which on one and the same doubt is about the whole."""

SOME_RATIO = 0.1
"""Share of the results beyond which noise, which every set of files has some of, is mentioned."""


def grade(evidence: Evidence) -> Trust:
    """Return the grade; see above."""
    found = [reason for rule in RULES if (reason := rule(evidence)) is not None]
    reasons = sorted(found, key=lambda reason: WORST_FIRST.index(reason.grade))
    actions = [reason.action for reason in reasons if reason.action is not None]
    return Trust(
        grade=reasons[0].grade if reasons else "high",
        reasons=tuple(reasons),
        action=actions[0] if actions else _when_all_is_well(evidence),
    )


def _when_all_is_well(evidence: Evidence) -> str:
    if not evidence.is_comparison:
        return "keep these files as a baseline: perfsuite compare --baseline THESE --candidate NEW"
    if evidence.changed is None:
        return "none: the verdicts can be trusted"
    return f'inspect the first one: perfsuite compare ... --explain "{evidence.changed}"'


def _more_processes(evidence: Evidence, num: int) -> str:
    if evidence.is_comparison:
        count = "" if num <= GOOD_PROCESSES else f" --processes {num}"
        tests = "" if evidence.is_own else " -- TESTS"
        return f"perfsuite ab --baseline PYTHON --candidate PYTHON{count}{tests}"
    if not evidence.is_own:
        return "run it again, into a file of its own: pytest --benchmark-json=run2.json"
    return f"run it 5 times, a file each: {evidence.command} --benchmark-json=run2.json"


def _nothing(evidence: Evidence) -> Reason | None:
    return None if evidence.num_results else Reason(grade="low", text="no results")


_SIDE_BY_SIDE = "see them side by side: perfsuite compare --across"


def _judged_nothing(evidence: Evidence) -> Reason | None:
    if evidence.other_machine is not None:
        what = evidence.other_machine.partition(":")[0]
        command = {
            "another host": "if it is one machine: perfsuite compare --ignore-host --baseline OLD --candidate NEW",
            "another board of the same GPU": f"{_SIDE_BY_SIDE} board --baseline OLD --candidate NEW",
        }.get(what, f"{_SIDE_BY_SIDE} gpu --baseline OLD --candidate NEW")
        text = f"the machines are not the same: {evidence.other_machine}"
        return Reason(grade="low", text=text, action=command)
    if not evidence.is_judged:
        action = _more_processes(evidence, evidence.num_processes_needed or 0)
        return Reason(grade="low", text="nothing could be judged", action=action)
    return None


def _processes(evidence: Evidence) -> Reason | None:
    if evidence.num_processes is None or evidence.other_machine is not None:
        return None
    allowed, text = _of_sides(evidence.num_processes) if evidence.is_comparison else _of_runs(evidence)
    return None if allowed == "high" else Reason(grade=allowed, text=text, action=_more_processes(evidence, 0))


def _of_sides(num: int) -> tuple[Grade, str]:
    if num < MIN_PROCESSES:
        return "low", f"{plural(num, 'process')} on a side: a verdict on time needs {MIN_PROCESSES}, better 5"
    return "high" if num >= GOOD_PROCESSES else "medium", f"{num} processes a side, where 5 are better"


def _of_runs(evidence: Evidence) -> tuple[Grade, str]:
    if evidence.num_processes == 1:
        if evidence.has_noise_floor:
            return "medium", "one run, with the noise floor of an earlier A/A run"
        return "low", "one run: how much another one would differ is not known"
    return "medium" if evidence.num_processes == 2 else "high", "two runs: their interval is wide"  # noqa: PLR2004


def _order(evidence: Evidence) -> Reason | None:
    if evidence.is_interleaved is not False:
        return None
    return Reason(
        grade="medium",
        text="the sides ran one after the other",
        action=f"repeat it interleaved: {_more_processes(evidence, evidence.num_processes_needed or 0)}",
    )


def _not_judged(evidence: Evidence) -> Reason | None:
    num = evidence.num_not_judged
    if not num or not evidence.is_judged or evidence.other_machine is not None:
        return None
    needed = evidence.num_processes_needed
    return Reason(
        grade=_by_share(num, evidence.num_results),
        text=f"{num:,} of {evidence.num_results:,} could not be judged",
        action=None if needed is None else _more_processes(evidence, needed),
    )


def _detectable(evidence: Evidence) -> Reason | None:
    if evidence.detectable_ratios is None:
        return None
    smallest, median, largest = evidence.detectable_ratios
    ends = " to ".join(dict.fromkeys(f"{100 * ratio:.1f}" for ratio in (smallest, largest)))
    allowed: Grade = "high"
    if median > LARGE_DETECTABLE_RATIO:
        allowed = "low" if median > USELESS_DETECTABLE_RATIO else "medium"
    return Reason(grade=allowed, text=f"smallest detectable slowdown {ends}%")


def _quick(evidence: Evidence) -> Reason | None:
    if not evidence.num_quick:
        return None
    return Reason(
        grade="low",
        text="quick results (--perf-quick): fewer rounds and a shorter warm-up",
        action=f"measure without --perf-quick: {evidence.command} --benchmark-json=run1.json",
    )


def _smoke(evidence: Evidence) -> Reason | None:
    if not evidence.num_smoke:
        return None
    return Reason(
        grade="low",
        text="the recipe smoke shows only that a network learns",
        action="train in full: pytest benchmarks -m full_training --perf-recipe thesis",
    )


def _load(evidence: Evidence) -> Reason | None:
    counts = {
        "another process used the GPU": evidence.num_shared,
        "other processes took CPU time": evidence.num_loaded,
        "other virtual machines took CPU time": evidence.num_steal,
        "clocks were throttled": evidence.num_throttled,
    }
    what, num = max(counts.items(), key=lambda count: count[1])
    if not num:
        return None
    also = [name for name, count in counts.items() if count and name != what]
    text = f"{what} in {num:,} of {plural(evidence.num_results, 'result')}" + "".join(f", {name}" for name in also)
    return Reason(
        grade=_by_share(num, evidence.num_results), text=text, action="see what else is running: perfsuite doctor"
    )


def _noise(evidence: Evidence) -> Reason | None:
    num, share = evidence.num_noisy, evidence.num_noisy / max(evidence.num_results, 1)
    if evidence.is_host_noisy:
        return Reason(grade="medium", text="noisy host: low quantiles are used instead of medians", action=_DOCTOR)
    if share <= SOME_RATIO:
        return None
    text = f"the rounds of {num:,} of {plural(evidence.num_results, 'result')} are noisy"
    return Reason(grade=_by_share(num, evidence.num_results), text=text, action=_DOCTOR)


_DOCTOR = "reduce the load of the machine: perfsuite doctor"


def _contradictions(evidence: Evidence) -> Reason | None:
    num = evidence.num_contradictory
    if not num:
        return None
    is_much = num > SOME_RATIO * evidence.num_results
    about = "contradict others" if evidence.is_own else "have statistics that cannot be right"
    text = f"{num:,} of {plural(evidence.num_results, 'result')} {about}"
    return Reason(grade="low" if is_much else "medium", text=text)


def _without_result(evidence: Evidence) -> Reason | None:
    counts = {name: num for name, num in evidence.num_without_result.items() if name in LOST}
    num = sum(counts.values())
    if not num:
        return None
    kinds = ", ".join(f"{count} {name}" for name, count in counts.items())
    action = "find the largest batch that fits: perfsuite memory --capacity SIZE" if "out of memory" in counts else None
    return Reason(
        grade=_by_share(num, evidence.num_results),
        text=f"{num:,} of {plural(evidence.num_results, 'cell')} gave no result: {kinds}",
        action=action,
    )


LOST = ("failed", "out of memory", "interrupted", "cannot tell")
"""Outcomes of what was begun; what was skipped or not run never was."""


def _cut_short(evidence: Evidence) -> Reason | None:
    num = evidence.num_cut_short
    if not num:
        return None
    return Reason(
        grade=_by_share(num, evidence.num_files), text=f"{num:,} of {plural(evidence.num_files, 'run')} was cut short"
    )


def _seeds(evidence: Evidence) -> Reason | None:
    if evidence.num_seeds is None or evidence.num_seeds > 1:
        return None
    return Reason(
        grade="medium",
        text="one seed of a full training: the difference between seeds is assumed",
        action="train more seeds: pytest benchmarks -m full_training --perf-seeds 3",
    )


def _claims(evidence: Evidence) -> Reason | None:
    num = evidence.num_failed_claims
    if not num:
        return None
    text = f"{num:,} of {plural(evidence.num_claims, 'claim')} about mixed precision do not hold here"
    return Reason(
        grade=_by_share(num, evidence.num_claims), text=text, action="see which: perfsuite collect --table numerics"
    )


def _unequal(evidence: Evidence) -> Reason | None:
    if not evidence.num_unequal:
        return None
    what = plural(evidence.num_unequal, "step")
    text = f"{what} on several devices with gradients that are not what they should be"
    return Reason(grade="low", text=text, action="see which: perfsuite collect --table scaling")


def _code(evidence: Evidence) -> Reason | None:
    if evidence.is_dirty:
        return Reason(grade="medium", text="uncommitted changes were measured", action="commit, and measure that")
    return Reason(grade="medium", text=evidence.mixed[0]) if evidence.mixed else None


def _by_share(num: int, of: int) -> Grade:
    return "low" if num > MANY_RATIO * of else "medium"


RULES: tuple[Callable[[Evidence], Reason | None], ...] = (
    _nothing,
    _judged_nothing,
    _quick,
    _smoke,
    _processes,
    _order,
    _load,
    _noise,
    _contradictions,
    _not_judged,
    _without_result,
    _cut_short,
    _seeds,
    _claims,
    _unequal,
    _code,
    _detectable,
)
"""In the order in which reasons of one grade are named."""

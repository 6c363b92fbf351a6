"""How a bisection ended: for people, and as JSON. What comes from commits is text of others."""

from __future__ import annotations

import json
import math
import shlex
import textwrap
from typing import TYPE_CHECKING, Any

from perfsuite.campaign.bisect.search import change_in_words
from perfsuite.campaign.plan import MAX_PROCESSES
from perfsuite.formatting import duration_in_words, one_line, plural, printable_json

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.sequential import Change
    from perfsuite.campaign.bisect.revisions import Revision
    from perfsuite.campaign.bisect.run import Finished
    from perfsuite.campaign.bisect.search import Step

SCHEMA = "perfsuite-bisect-result-1"

WIDTH = 80

DEFAULT_ALPHA = 0.05
"""Chance of a wrong commit; of `--alpha`."""

MAX_LISTED = 10
"""Revisions in a list for people; JSON has all."""

DIRECTIONS = {"time": ("slower", "faster"), "memory": ("more memory", "less memory")}


def report_text(finished: Finished) -> str:
    """Return the end of a bisection for people."""
    lines = [*map(_wrapped, _answer(finished)), "", *_steps(finished), _cost(finished), _level(finished)]
    following = next_command(finished)
    if following is not None:
        lines += ["", f"{_why_next(finished)}:", f"  {following}"]
    return "\n".join(lines) + "\n"


def report_json(finished: Finished) -> str:
    """Return the same as JSON: ratios are later / earlier, durations are in seconds."""
    outcome = finished.outcome
    content = {
        "schema": SCHEMA,
        "ending": outcome.ending,
        "found": _revision_json(outcome.left[0]) if outcome.ending == "found" else None,
        "parent": None if outcome.parent is None else _revision_json(outcome.parent),
        "change": _change_json(outcome.change),
        "total": _change_json(outcome.total),
        "left": [_revision_json(revision) for revision in outcome.left],
        "good": _revision_json(finished.good),
        "bad": _revision_json(finished.bad),
        "benchmark": finished.question.measuring.benchmark,
        "metric": finished.question.measuring.metric,
        "steps": [_step_json(step) for step in outcome.steps],
        "num_revisions": finished.num_suspects,
        "num_processes": finished.num_processes,
        "duration_s": round(finished.duration_s, 3),
        "alpha": finished.terms.alpha,
        "min_effect": math.expm1(finished.terms.min_effect),
        "max_processes": finished.terms.max_processes,
        "folder": str(finished.folder),
        "next": next_command(finished),
    }
    return printable_json(json.dumps(content, indent=1, ensure_ascii=False)) + "\n"


def next_command(finished: Finished) -> str | None:
    """Return what to run next, ready for a shell; None where nothing is to be done."""
    outcome, terms = finished.outcome, finished.terms
    if outcome.ending == "found":
        return _next_after(finished, outcome.left[0])
    if outcome.between is not None:
        return _bisect_words(finished, finished.good, outcome.between)
    is_undecided = any(step.is_undecided for step in outcome.steps) or outcome.ending == "not_established"
    more = min(2 * terms.max_processes, MAX_PROCESSES)
    if more == terms.max_processes or not (is_undecided or outcome.ending == "not_confirmed"):
        return None
    return _bisect_words(finished, finished.good, finished.bad, max_processes=more)


def _next_after(finished: Finished, found: Revision) -> str | None:
    outcome = finished.outcome
    if outcome.rest == "before" and outcome.parent is not None:
        return _bisect_words(finished, finished.good, outcome.parent)
    if outcome.rest == "after":
        return _bisect_words(finished, found, finished.bad)
    return f"git show {found.key}" if finished.question.is_of_commits else None


def _why_next(finished: Finished) -> str:
    outcome = finished.outcome
    if outcome.ending == "found":
        return "see it" if outcome.rest is None else "find the rest of the change"
    if outcome.between is not None:
        return f"{outcome.between.key} is neither like good nor like bad: there is more than one change; find the first"
    return "with more processes; what is measured is kept"


def _answer(finished: Finished) -> list[str]:
    outcome = finished.outcome
    total = f"good {finished.good.key} to bad {finished.bad.key}: {_change(finished, outcome.total)}"
    total = f"{total} ({plural(outcome.total.num, 'process')} each)"
    if outcome.ending == "no_difference":
        limit = 100 * math.expm1(finished.terms.min_effect)
        return [f"no difference of {limit:.3g}% or more between good and bad: nothing to find", total]
    if outcome.ending == "not_established":
        reach = math.expm1(outcome.total.high - outcome.total.low)
        needed = f"so many processes establish a change of about {reach:.1%} or more here"
        return ["cannot tell: the difference between good and bad is not established", total, needed]
    num_left = plural(len(outcome.left), _noun(finished))
    if outcome.ending == "only_skipped":
        return [f"one of these {num_left}, as some of them cannot be measured:", *_listed(outcome.left), total]
    if outcome.ending == "undecided":
        return [f"cannot tell which of these {num_left} it is:", *_listed(outcome.left), total]
    is_confirmed = outcome.ending == "found"
    lines = [] if is_confirmed else ["cannot tell: the search ended at this one, but it is not confirmed:"]
    return [*lines, _line(outcome.left[0]), *_confirmation(finished), total]


def _confirmation(finished: Finished) -> list[str]:
    """Return how what was found differs from its parent."""
    outcome, change = finished.outcome, finished.outcome.change
    parent = "the one before it" if outcome.parent is None else f"its parent {outcome.parent.key}"
    if change is None:
        return [f"it could not be compared with {parent}: {outcome.reason}"]
    than = "than" if change.excludes_zero else "against"
    lines = [f"{_change(finished, change)} {than} {parent} ({plural(change.num, 'process')} each)"]
    if outcome.rest is not None:
        side = "before its parent" if outcome.rest == "before" else "after it"
        share = change.log_ratio / outcome.total.log_ratio
        lines.append(f"this is {share:.0%} of the whole change; there is another change {side}")
    return lines


def _steps(finished: Finished) -> list[str]:
    if not finished.outcome.steps:
        return []
    lines = ["measured, 0% as good, 100% as bad:"]
    for step in finished.outcome.steps:
        position = "" if step.position is None else f"{step.position:.0%}"
        words = step.revision.subject if step.reason is None else step.reason
        lines.append(_cut(f"  {step.revision.key}  {step.verdict:<4} {position:>5}  {words}"))
    return lines


def _cost(finished: Finished) -> str:
    skipped = sum(step.verdict == "skip" for step in finished.outcome.steps)
    parts = [plural(finished.num_suspects, _noun(finished)), plural(len(finished.outcome.steps), "step")]
    if skipped:
        parts.append(f"{skipped} skipped")
    parts.append(f"{plural(finished.num_processes, 'process')} in {duration_in_words(finished.duration_s)}")
    return ", ".join(parts)


def _level(finished: Finished) -> str:
    return f"[low, high]: {100 * (1 - finished.terms.alpha):.4g}% interval over processes"


def _noun(finished: Finished) -> str:
    return "commit" if finished.question.is_of_commits else "environment"


def _change(finished: Finished, change: Change) -> str:
    higher, lower = DIRECTIONS[finished.question.measuring.metric]
    return change_in_words(change, higher=higher, lower=lower)


def _line(revision: Revision) -> str:
    date = "" if revision.date is None else f"  ({revision.date[:10]})"
    return one_line(f"{revision.key}  {revision.subject[:200]}{date}")


def _listed(revisions: tuple[Revision, ...]) -> list[str]:
    lines = [_cut(f"  {_line(revision)}") for revision in revisions[:MAX_LISTED]]
    more = len(revisions) - MAX_LISTED
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    wrapped = textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapped)


def _cut(line: str) -> str:
    line = line[:2] + one_line(line[2:])
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _bisect_words(
    finished: Finished, first: Revision, last: Revision, *, max_processes: int | None = None
) -> str | None:
    question, measuring = finished.question, finished.question.measuring
    ends = question.words_between(first, last)
    if ends is None:
        return None
    words = ["perfsuite", "bisect", *ends, "--benchmark", measuring.benchmark, *question.words]
    if measuring.metric != "time":
        words += ["--metric", measuring.metric]
    for variable in measuring.variables:
        words += ["--env", variable]
    if finished.terms.alpha != DEFAULT_ALPHA:
        words += ["--alpha", f"{finished.terms.alpha:g}"]
    if max_processes is not None:
        words += ["--max-processes", str(max_processes), "--run-dir", str(finished.folder)]
    return shlex.join([*words, "--", *measuring.arguments])


def _revision_json(revision: Revision) -> dict[str, Any]:
    return {"name": revision.name, "subject": revision.subject, "date": revision.date}


def _change_json(change: Change | None) -> dict[str, Any] | None:
    if change is None:
        return None
    ratios = {"ratio": change.log_ratio, "ratio_low": change.low, "ratio_high": change.high}
    plain = {key: math.exp(value) if math.isfinite(value) else None for key, value in ratios.items()}
    return {**plain, "num_processes": change.num}


def _step_json(step: Step) -> dict[str, Any]:
    return {
        **_revision_json(step.revision),
        "verdict": step.verdict,
        "position": step.position,
        "reason": step.reason,
        "num_blocks": step.num_blocks,
    }

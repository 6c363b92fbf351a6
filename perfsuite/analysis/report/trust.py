"""Whether the results can be trusted, in words: the grade, its reasons and what to do next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfsuite.analysis.report.answers import MAX_NAMED, Answer, first_lines, sentence
from perfsuite.analysis.verdicts.trust import trust_of_comparison, trust_of_results
from perfsuite.formatting import plural

if TYPE_CHECKING:
    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.verdicts.trust_evidence import Trust

TONES = {"high": "good", "medium": "unsure", "low": "bad"}

_COMMAND = re.compile(r"(?:^|: )(?=(?:perfsuite|pytest) )")


def trust_of(figure_data: FigureData) -> Trust:
    """Return the grade of the comparison, or of the results where there is none."""
    if figure_data.comparison is not None:
        return trust_of_comparison(figure_data.comparison)
    return trust_of_results(figure_data.results)


def trust_answer(trust: Trust, num_warnings: int) -> Answer:
    """Return the answer of the first screen.

    Args:
        trust: The grade.
        num_warnings: How many warnings the page lists.
    """
    words, *command = _COMMAND.split(trust.action, maxsplit=1)
    lines = list(first_lines([sentence([reason.text]) for reason in trust.reasons], MAX_NAMED))
    if num_warnings:
        lines.append(f"{plural(num_warnings, 'warning')}, listed below")
    return Answer(
        question="Can I trust it?",
        lead=f"Trust: {trust.grade}",
        lines=tuple(lines),
        action=words,
        command=command[0] if command else "",
        tone=TONES[trust.grade],
        target="warnings",
    )


def trust_sentence(trust: Trust) -> str:
    """Return the grade and its first reasons: `Trust: medium. The sides ran one after the other.`."""
    reasons = [reason.text for reason in trust.reasons[:2]]
    return f"Trust: {trust.grade}. {sentence(reasons)}".strip()

"""Studies of mixed precision -> a row per claim, a row per type and kind of operators, and both in words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.columns import differing_columns, place_columns
from perfsuite.analysis.frames.labels import place_words
from perfsuite.analysis.load.environment_columns import ENVIRONMENT_COLUMNS
from perfsuite.formatting import plural
from perfsuite.records.numerics import STUDIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from perfsuite.analysis.frames.results import NumericsResult, Results
    from perfsuite.records.numerics import Claim, NumericsRecord
    from perfsuite.records.operators import Operator

MAX_LOG2 = 1000.0
"""Beyond, 2 to the power of it is no float64: it is printed as a power."""

ORIGIN_COLUMNS = ("file", "series", "name", *ENVIRONMENT_COLUMNS)


def claims_frame(results: Results) -> pd.DataFrame:
    """Return a row per claim of each study of each file, in the order of the argument.

    Returns:
        Columns: environment, file, series, name, `study`, `subject` (the network and its batch; empty where it is of
        none), `claim`, `measured`, `expected`, `tolerance`, `relation`, `unit` of these three, `holds`, `source`.
    """
    rows = [
        {
            **one.origin,
            "study": one.record.study,
            "subject": one.record.subject,
            "claim": claim.name,
            "measured": float(claim.measured),
            "expected": float(claim.expected),
            "tolerance": float(claim.tolerance),
            "relation": claim.relation,
            "unit": claim.unit,
            "holds": claim.holds,
            "source": claim.source,
        }
        for one in in_order(results.numerics)
        for claim in one.record.claims
    ]
    return pd.DataFrame(rows, columns=None if rows else [*ORIGIN_COLUMNS, "study", "subject", "claim", "holds"])


def types_frame(results: Results) -> pd.DataFrame:
    """Return a row per type and kind of the operators of each training step; of several runs of a step the first.

    Returns:
        Columns: environment, file, series, name, `model`, `precision`, `batch_size`, `dtype`, `kind`, `operators`
        (their names), `num_calls`, `flops` and `num_bytes` of all calls of a step, `flops_ratio` and `bytes_ratio`: the
        shares of the step.
    """
    rows = []
    for one in first_runs([one for one in in_order(results.numerics) if one.record.operators]):
        total = _costs(one.record.operators)
        groups: dict[tuple[str, str], list[Operator]] = defaultdict(list)
        for operator in one.record.operators:
            groups[operator.dtype, operator.kind].append(operator)
        step = {**one.origin, **_workload(one.record)}
        for (dtype, kind), own in sorted(groups.items(), key=lambda item: _costs(item[1]), reverse=True):
            rows.append({**step, "dtype": dtype, "kind": kind, **_type_row(own, total)})
    return pd.DataFrame(rows, columns=None if rows else [*ORIGIN_COLUMNS, "dtype", "kind"])


def _workload(record: NumericsRecord) -> dict[str, Any]:
    workload = record.workload
    return {name: getattr(workload, name, None) for name in ("model", "precision", "batch_size")}


def _costs(operators: Iterable[Operator]) -> tuple[int, int, int]:
    """Return the operations and bytes of all calls of operators, and how many calls there are."""
    own = [(one.num_calls * one.flops, one.num_calls * one.num_bytes, one.num_calls) for one in operators]
    flops, num_bytes, num_calls = (sum(values) for values in zip(*own, strict=True))
    return flops, num_bytes, num_calls


def _type_row(operators: Sequence[Operator], total: tuple[int, int, int]) -> dict[str, Any]:
    flops, num_bytes, num_calls = _costs(operators)
    return {
        "operators": ", ".join(dict.fromkeys(operator.name for operator in operators)),
        "num_calls": float(num_calls),
        "flops": float(flops),
        "num_bytes": float(num_bytes),
        "flops_ratio": flops / total[0] if total[0] else 0.0,
        "bytes_ratio": num_bytes / total[1] if total[1] else 0.0,
    }


def in_order(numerics: Iterable[NumericsResult]) -> list[NumericsResult]:
    """Return studies in the order of the argument, those of one kind in the order of the files."""
    return sorted(numerics, key=lambda one: STUDIES.index(one.record.study))


def first_runs(numerics: Sequence[NumericsResult]) -> list[NumericsResult]:
    """Return the first of several runs of one study in one place."""
    places = place_columns(origins(numerics))
    found: dict[tuple[Any, ...], NumericsResult] = {}
    for one in numerics:
        origin = one.origin
        key = (one.record.study, one.record.workload, *(origin[column] for column in places))
        found.setdefault(key, one)
    return list(found.values())


def origins(numerics: Sequence[NumericsResult]) -> pd.DataFrame:
    """Return where studies come from, a row each."""
    return pd.DataFrame([one.origin for one in numerics], columns=list(ORIGIN_COLUMNS))


def claim_value(value: float, unit: str) -> str:
    """Return a number of a claim as people read it: the one place where its unit is printed."""
    if unit == "log2":
        return f"{2.0**value:.6g}" if abs(value) <= MAX_LOG2 else f"2^{value:.6g}"
    if unit == "exponent":
        return f"2^{value:.4g}"
    if unit == "share":
        return f"{100 * value:.4g}%"
    if unit == "ratio":
        return f"{value:.4g}x"
    return f"{value:.6g}"


def tolerance_text(tolerance: float, unit: str) -> str:
    """Return how far measured and expected may be apart; nothing where they may not."""
    if tolerance == 0:
        return ""
    if unit in {"log2", "exponent"}:  # apart in the exponent: by a factor
        return f"factor {2.0**tolerance:.4g}" if tolerance <= MAX_LOG2 else f"factor 2^{tolerance:.4g}"
    if unit == "share":
        return f"{100 * tolerance:.3g} points"
    return f"{tolerance:.3g}"


def expected_text(expected: float, unit: str, relation: str) -> str:
    """Return what is expected, and on which side of it the measurement may be."""
    text = claim_value(expected, unit)
    return text if relation == "equal" else f"{relation} {text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedClaim:
    """A claim that does not hold.

    Attributes:
        subject: What it is of: the kind of its study, the network, and the place where there are several.
        claim: It.
    """

    subject: str
    claim: Claim

    @property
    def in_words(self) -> str:
        """It, with what was measured and what should have been."""
        claim = self.claim
        measured = claim_value(claim.measured, claim.unit)
        expected = expected_text(claim.expected, claim.unit, claim.relation)
        tolerance = tolerance_text(claim.tolerance, claim.unit)
        within = f" (tolerance {tolerance})" if tolerance else ""
        return f"{self.subject}: {claim.name}: {measured} instead of {expected}{within}"


def failed_claims(results: Results) -> list[FailedClaim]:
    """Return the claims that do not hold, in the order of the argument."""
    subject = subject_words(results.numerics)
    return [
        FailedClaim(subject=subject(one), claim=claim)
        for one in in_order(results.numerics)
        for claim in one.record.failed
    ]


def subject_words(numerics: Sequence[NumericsResult]) -> Callable[[NumericsResult], str]:
    """Return what names a study: its kind, its network, and its place where there are several."""
    frame = origins(numerics)
    place = place_words(frame)
    several_files = "file" in differing_columns(frame)

    def words(one: NumericsResult) -> str:
        where = [place(one.origin), one.file if several_files else ""]
        parts = [f"{one.record.study} {one.record.subject}".strip(), *(part for part in where if part)]
        return ", ".join(parts)

    return words


def claims_summary(results: Results) -> str:
    """Return whether all claims hold, in a line: `34 of 34 claims hold`, or which ones do not."""
    failed = failed_claims(results)
    return f"{claims_count(results)}: {'; '.join(_named(failed))}" if failed else claims_count(results)


def claims_count(results: Results) -> str:
    """Return how many claims hold: `34 of 34 claims hold`, `FAILED: 2 of 34 claims`."""
    num_failed = sum(len(one.record.failed) for one in results.numerics)
    total = sum(len(one.record.claims) for one in results.numerics)
    of_all = f"of {plural(total, 'claim')}"
    if num_failed:
        return f"FAILED: {num_failed:,} {of_all}"
    return f"{total:,} {of_all} hold{'s' if total == 1 else ''}"


MAX_NAMED = 4
"""Failed claims that a line names."""


def _named(failed: Sequence[FailedClaim]) -> list[str]:
    names = [f"{one.subject}: {one.claim.name}" for one in failed[:MAX_NAMED]]
    return names if len(failed) <= MAX_NAMED else [*names, f"and {len(failed) - MAX_NAMED:,} more"]


def notes_in_words(results: Results) -> list[str]:
    """Return what each study shows, in its own words; what several runs say alike once."""
    found = [
        (f"{one.record.study} {one.record.subject}".strip(), note)
        for one in in_order(results.numerics)
        for note in one.record.notes
    ]
    return [f"{subject}: {note}" for subject, note in dict.fromkeys(found)]

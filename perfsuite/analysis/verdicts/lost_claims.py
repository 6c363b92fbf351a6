"""Studies of mixed precision in a comparison: they are not judged, but a claim that holds no more is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.verdicts.process_results import ProcessResult

Claims = dict[tuple[str, str], list[bool]]
"""Whether a claim holds in each process that has it, by what its study is of and its name."""

MAX_NAMED = 3


def studies_in_words(baseline: Sequence[ProcessResult], candidate: Sequence[ProcessResult]) -> list[str]:
    """Return that studies of mixed precision are not compared, and which claims held and do not any more.

    A claim held where it held in every process of the baseline, and it does not any more where it fails in any of the
    candidate's.
    """
    num = sum(len(process.studies) for process in (*baseline, *candidate))
    if not num:
        return []
    old, new = _claims(baseline), _claims(candidate)
    held = {key for key, holds in old.items() if all(holds)}
    lost = [
        f"{subject}: {name}" for (subject, name), holds in new.items() if (subject, name) in held and not all(holds)
    ]
    notes = [f"studies of mixed precision (-m numerics) are not compared, collect --table numerics shows them: {num:,}"]
    if lost:
        more = f" and {len(lost) - MAX_NAMED:,} more" if len(lost) > MAX_NAMED else ""
        what = plural(len(lost), "claim")
        notes.append(f"{what} held in the baseline and failed in the candidate: {'; '.join(lost[:MAX_NAMED])}{more}")
    return notes


def _claims(processes: Sequence[ProcessResult]) -> Claims:
    found: Claims = {}
    for process in processes:
        for record in process.studies:
            subject = f"{record.study} {record.subject}".strip()
            for claim in record.claims:
                found.setdefault((subject, claim.name), []).append(claim.holds)
    return found

"""Studies of mixed precision in a comparison: nothing of them is judged, what holds no more is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import make_content, make_numerics, make_numerics_entry
from numerics_studies import claims_of, studies_file
from report_builders import step_file

from perfsuite.analysis.report.data import gather
from perfsuite.cli import main
from perfsuite.records.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

NOT_COMPARED = "studies of mixed precision (-m numerics) are not compared, collect --table numerics shows them: 2"


def test_files_of_studies_alone_are_not_compared_and_say_so_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [studies_file(tmp_path / f"{side}.json", ["formats"], run_id=side) for side in ("old", "new")]
    assert main(["compare", "--baseline", str(paths[0]), "--candidate", str(paths[1])]) == 1
    output = capsys.readouterr()
    assert NOT_COMPARED in output.out
    assert "contains no results" not in output.out
    assert "held in the baseline" not in output.out
    assert "nothing could be judged: no benchmarks" in output.err


def test_claims_that_held_and_fail_are_named_and_steps_beside_them_are_judged(tmp_path: Path) -> None:
    old = [studies_file(tmp_path / "old-numerics.json", ["formats"], run_id="a", claims=claims_of(9, num_failed=1))]
    new = [studies_file(tmp_path / "new-numerics.json", ["formats"], run_id="b", claims=claims_of(9, num_failed=6))]
    old += [step_file(tmp_path / f"old-{number}.json", run_id=f"o{number}", seed=number) for number in range(3)]
    new += [step_file(tmp_path / f"new-{number}.json", run_id=f"n{number}", seed=9 + number) for number in range(3)]
    comparison = gather(new, old).comparison
    assert comparison is not None
    assert len(comparison.benchmarks) == 18
    assert all(one.num_baseline == one.num_candidate == 3 for one in comparison.benchmarks)
    assert NOT_COMPARED in comparison.notes
    names = "formats: claim 1; formats: claim 2; formats: claim 3 and 2 more"
    assert f"5 claims held in the baseline and failed in the candidate: {names}" in comparison.notes


def test_a_study_whose_test_failed_in_the_candidate_alone_is_failed(write_result: Callable[..., Path]) -> None:
    """Its claim failed, which pytest recorded: the baseline measured it, and did not fail."""
    entry = make_numerics_entry(make_numerics())
    old = write_result(make_content([entry]), "old.json")
    other = make_numerics_entry(make_numerics(run_id="b", claims=claims_of(2, num_failed=1)))
    outcome = Outcome(nodeid=entry["fullname"], outcome="failed", reason="1 of 2 claims", workload=None)
    new = write_result(make_content([other], outcomes=[outcome]), "new.json")
    comparison = gather([new], [old]).comparison
    assert comparison is not None
    assert [(one.fullname, one.verdict) for one in comparison.benchmarks] == [(entry["fullname"], "failed")]
    assert comparison.benchmarks[0].num_baseline == 1

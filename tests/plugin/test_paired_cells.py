from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from suite_run import REPOSITORY

from perfsuite.measure import overhead
from perfsuite.records.pair import PairedRecord
from perfsuite.records.reading import read_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite_run import Run


@pytest.fixture(autouse=True)
def paired_benchmarks(suite_folder: pytest.Pytester) -> None:
    text = (REPOSITORY / "benchmarks" / "test_interleaved.py").read_text()
    (suite_folder.path / "benchmarks" / "test_interleaved.py").write_text(text)


def collected(run: Run) -> list[str]:
    return [line.partition("::")[2] for line in run.text.splitlines() if "::" in line]


def test_a_speedup_has_no_cell_for_the_precision_that_it_is_held_against(run_suite: Callable[..., Run]) -> None:
    run = run_suite("--collect-only", "-q", "-m", "interleaved", "--perf-device=cpu", quick=False)
    assert collected(run) == [
        f"test_interleaved[{model}-amp-bf16-b8]" for model in ("resnet18", "resnet34", "resnet50")
    ]
    run = run_suite("--collect-only", "-q", "-m", "overhead", "--perf-models=resnet18")
    assert collected(run) == ["test_overhead[resnet18-fp32-b2]", "test_overhead[resnet18-amp-bf16-b2]"]


def test_fp32_alone_leaves_nothing_for_a_speedup(run_suite: Callable[..., Run]) -> None:
    run = run_suite("-m", "interleaved", "--perf-precisions=fp32")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--perf-precisions fp32: a speed-up is relative to fp32; name another precision too" in run.text
    run = run_suite("--collect-only", "-q", "--perf-precisions=fp32", "--perf-models=resnet18")
    assert len(collected(run)) == 3  # the phases of a step


def test_alternations_leave_their_blocks_in_the_file_and_show_their_tables(run_suite: Callable[..., Run]) -> None:
    run = run_suite(
        "-m",
        "interleaved or overhead or step",
        "-k",
        "resnet18 and bf16 and not ward",
        "--benchmark-min-rounds=6",
        "--perf-overhead-time=0",
    )
    assert run.result.ret in {
        pytest.ExitCode.OK,
        pytest.ExitCode.TESTS_FAILED,
    }  # the harness overhead of a busy machine
    pairs = [read_record(entry["extra_info"]["perfsuite"]) for entry in run.content["benchmarks"]]
    found = {pair.comparison: pair for pair in pairs if isinstance(pair, PairedRecord)}
    assert len(found["speedup"].blocks) >= 6
    for expected in (
        "1/3] interleaved resnet18-amp-bf16-b2",
        "AMP vs FP32, interleaved, batch 2",
        "collect --table steps",
    ):
        assert expected in run.text


def test_a_step_that_is_not_what_a_bare_loop_takes_is_a_failure(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lets every reported step do its work twice."""
    original: Any = overhead.__dict__["bare_step"]

    def half(step: object) -> Callable[[], None]:
        bare = original(step)
        run = step.train_step  # type: ignore[attr-defined]
        step.train_step = lambda: (run(), run())  # type: ignore[attr-defined]
        return bare  # type: ignore[no-any-return]

    monkeypatch.setattr(overhead, "bare_step", half)
    run = run_suite("-m", "overhead", "-k", "resnet18-fp32", "--benchmark-min-rounds=12")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert "% (limit 3%): times of this suite contain its own overhead here; do not use them" in run.text
    assert run.outcomes == [("test_overhead[resnet18-fp32-b2]", "failed")]
    assert run.names == ["test_overhead[resnet18-fp32-b2]"]  # its readings are kept
    assert any(line.split()[-1:] == ["fail"] for line in run.text.splitlines() if line.startswith("resnet18"))


def test_a_check_that_cannot_tell_fails_as_such_and_says_how_much_longer_it_needs(
    run_suite: Callable[..., Run],
) -> None:
    """Three blocks have no interval whatever the machine does."""
    run = run_suite("-m", "overhead", "-k", "resnet18-fp32", "--benchmark-min-rounds=3", "--perf-overhead-time=0")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert run.outcomes == [("test_overhead[resnet18-fp32-b2]", "cannot_tell")]
    (outcome,) = run.content["perfsuite"]["outcomes"]
    assert outcome["reason"].startswith("harness overhead of resnet18 fp32 train_step b2: ")
    assert "; too few blocks for an interval: --perf-overhead-time 60" in outcome["reason"]
    assert "a check that cannot tell continues for 0 s (--perf-overhead-time)" in run.text
    for shown in (f"overhead resnet18-fp32-b2  cannot tell: {outcome['reason']}", "cannot tell: harness overhead"):
        assert shown in run.text
    assert "cannot tell: cannot tell" not in run.text
    assert run.names == ["test_overhead[resnet18-fp32-b2]"]
    assert any(line.split()[-2:] == ["cannot", "tell"] for line in run.text.splitlines() if line.startswith("resnet18"))

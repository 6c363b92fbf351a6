from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite_run import Run

FORWARD_FP32 = "test_forward[resnet18-fp32-b2]"
FORWARD_AMP = "test_forward[resnet18-amp-bf16-b2]"

FAIL_IN_AMP = """
import pytest
from perfsuite.workloads.step import TrainingStep

@pytest.fixture(autouse=True)
def broken(monkeypatch, request):
    original = TrainingStep.forward
    def forward(self):
        if self.workload.precision == "amp-bf16" and self.num_iterations > {after}:
            raise {error}
        return original(self)
    monkeypatch.setattr(TrainingStep, "forward", forward)
    yield
"""


def test_what_the_hardware_lacks_is_skipped_with_the_reason(run_suite: Callable[..., Run]) -> None:
    run = run_suite("-k", "resnet18 and forward", "--perf-precisions=fp32,tf32")
    assert run.result.ret == pytest.ExitCode.OK
    assert run.names == [FORWARD_FP32]
    assert run.outcomes == [("test_forward[resnet18-tf32-b2]", "skipped")]
    outcome = run.content["perfsuite"]["outcomes"][0]
    assert outcome["reason"].startswith("tf32 is a format of NVIDIA GPUs")
    assert outcome["workload"]["precision"] == "tf32"
    assert "skipped: benchmarks/test_step.py::test_forward[resnet18-tf32-b2]: tf32 is a format" in run.text


def test_out_of_memory_is_told_in_one_line_and_the_other_cells_go_on(
    run_suite: Callable[..., Run], add_conftest: Callable[[str], None]
) -> None:
    add_conftest(
        "import torch\n" + FAIL_IN_AMP.format(after=5, error="torch.OutOfMemoryError('CUDA out of memory. Tried')")
    )
    run = run_suite("-k", "resnet18 and (forward or train_step)")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert run.outcomes[0] == (FORWARD_AMP, "out_of_memory")
    assert run.names == [FORWARD_FP32, "test_train_step[resnet18-fp32-b2]", "test_train_step[resnet18-amp-bf16-b2]"]
    assert "out of memory: resnet18 amp-bf16 forward b2 does not fit: CUDA out of memory. Tried" in run.text
    assert "Traceback" not in run.text
    assert "During handling" not in run.text
    assert "FAILED benchmarks/test_step.py::test_forward[resnet18-amp-bf16-b2] - " in run.text
    assert run.content["perfsuite"]["outcomes"][0]["reason"].startswith("resnet18 amp-bf16 forward b2 does not fit")


def test_a_broken_precision_policy_is_a_failed_cell_and_never_a_number(
    run_suite: Callable[..., Run], add_conftest: Callable[[str], None]
) -> None:
    add_conftest(
        "import contextlib, pytest\n"
        "from perfsuite.workloads import precision_proof\n"
        "@pytest.fixture(autouse=True)\n"
        "def broken(monkeypatch):\n"
        "    monkeypatch.setattr(precision_proof, 'autocast', lambda policy, device: contextlib.nullcontext())\n"
    )
    run = run_suite("-k", "resnet18 and forward")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert run.names == [FORWARD_FP32]
    assert run.outcomes == [(FORWARD_AMP, "failed")]
    assert "amp-bf16 is not active: conv2d forward gave float32, not bfloat16" in run.text


def test_an_unexpected_error_after_some_rounds_leaves_no_number(
    run_suite: Callable[..., Run], add_conftest: Callable[[str], None]
) -> None:
    add_conftest(FAIL_IN_AMP.format(after=5, error="ZeroDivisionError('as planned')"))
    run = run_suite("-k", "resnet18 and forward")
    assert run.names == [FORWARD_FP32]
    assert run.outcomes == [(FORWARD_AMP, "failed")]
    assert run.content["perfsuite"]["outcomes"][0]["reason"] == "ZeroDivisionError: as planned"


def test_a_test_that_fails_after_it_was_measured_leaves_no_number(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    (suite_folder.path / "benchmarks" / "test_step.py").write_text(
        "import pytest\n"
        "@pytest.mark.step(phase='forward')\n"
        "def test_forward(measure, workload):\n"
        "    measure(workload)\n"
        "    assert workload.precision == 'fp32', 'too bad'\n"
    )
    run = run_suite("-k", "resnet18")
    assert run.names == [FORWARD_FP32]
    assert run.outcomes == [(FORWARD_AMP, "failed")]


def test_a_run_in_which_no_cell_succeeded_leaves_its_file_all_the_same(run_suite: Callable[..., Run]) -> None:
    run = run_suite("-k", "resnet18 and forward", "--perf-precisions=tf32")
    assert run.names == []
    assert run.outcomes == [("test_forward[resnet18-tf32-b2]", "skipped")]
    assert run.content["machine_info"]["perfsuite"]["device_type"] == "cpu"
    assert "No benchmark produced a result." in run.text


def test_cells_after_the_first_failure_are_told_as_not_run(
    run_suite: Callable[..., Run], add_conftest: Callable[[str], None]
) -> None:
    add_conftest(FAIL_IN_AMP.format(after=-1, error="ZeroDivisionError"))
    run = run_suite("-x", "-k", "resnet18 and (forward or backward)")
    assert run.names == [FORWARD_FP32]
    assert run.outcomes == [
        (FORWARD_AMP, "failed"),
        ("test_backward[resnet18-fp32-b2]", "not_run"),
        ("test_backward[resnet18-amp-bf16-b2]", "not_run"),
    ]
    assert run.content["perfsuite"]["complete"] is False


@pytest.mark.parametrize(
    ("moment", "after"), [("warm-up", 0), ("first round", 4), ("middle", 8)], ids=["warm-up", "first-round", "middle"]
)
def test_ctrl_c_keeps_what_was_finished_and_shows_no_half_measured_cell(
    run_suite: Callable[..., Run], add_conftest: Callable[[str], None], moment: str, after: int
) -> None:
    """Passes of a forward cell: 2 of warm-up, 1 of calibration, then 20 rounds of one."""
    interrupt = f"KeyboardInterrupt({moment!r})"
    add_conftest(FAIL_IN_AMP.format(after=after, error=interrupt))
    run = run_suite("-k", "resnet18 and (forward or train_step)", "--benchmark-min-rounds=20")
    assert run.result.ret == pytest.ExitCode.INTERRUPTED
    assert run.names == [FORWARD_FP32]
    assert run.outcomes == [
        (FORWARD_AMP, "interrupted"),
        ("test_train_step[resnet18-fp32-b2]", "not_run"),
        ("test_train_step[resnet18-amp-bf16-b2]", "not_run"),
    ]
    assert run.content["perfsuite"]["complete"] is False
    assert "INTERNALERROR" not in run.text
    assert "Benchmark fixture was not used" not in run.text
    for expected in ("Training steps", "the run was cut short", "interrupted: benchmarks/test_step.py"):
        assert expected in run.text


def test_ctrl_c_in_the_very_first_cell_leaves_a_file_without_numbers(
    run_suite: Callable[..., Run], add_conftest: Callable[[str], None]
) -> None:
    add_conftest(FAIL_IN_AMP.format(after=4, error="KeyboardInterrupt"))
    run = run_suite("-k", "resnet18 and forward", "--perf-precisions=amp", "--benchmark-min-rounds=20")
    assert run.names == []
    assert run.outcomes == [(FORWARD_AMP, "interrupted")]
    assert "No benchmark produced a result." in run.text


def test_a_cell_that_kills_the_process_is_recorded_as_the_one_that_was_measured(
    run_suite_in_a_process: Callable[..., Run], add_conftest: Callable[[str], None]
) -> None:
    add_conftest("import os\n" + FAIL_IN_AMP.format(after=5, error="os._exit(3)"))
    run = run_suite_in_a_process("-k", "resnet18 and (forward or train_step)")
    assert run.result.ret == 3
    assert run.names == [FORWARD_FP32]
    assert run.outcomes[0] == (FORWARD_AMP, "interrupted")
    assert {outcome for _, outcome in run.outcomes[1:]} == {"not_run"}
    assert run.content["perfsuite"]["complete"] is False


def test_compare_names_what_a_run_recorded_as_failed(
    run_suite: Callable[..., Run], add_conftest: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    selected = ("-k", "resnet18 and forward")
    folder = run_suite(*selected, "--benchmark-json=old.json").folder
    add_conftest("import torch\n" + FAIL_IN_AMP.format(after=5, error="torch.OutOfMemoryError('CUDA out of memory.')"))
    run_suite(*selected, "--benchmark-json=new.json")
    capsys.readouterr()
    files = ["--baseline", str(folder / "old.json"), "--candidate", str(folder / "new.json")]
    assert main(["compare", *files, "--fail-on", "failed"]) == 1
    captured = capsys.readouterr()
    assert "out of memory in the candidate: resnet18 amp-bf16 forward b2 does not fit" in captured.out
    assert captured.err == "perfsuite: failed (--fail-on failed): 1 failed\n"

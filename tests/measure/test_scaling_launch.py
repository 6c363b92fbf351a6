"""Ranks that die, hang or raise: which of them is named, what is said, and that none is left; with real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builders import make_workload
from forked import Forked, run_pytest

from perfsuite.errors import MeasurementError, NotSupportedError, OutOfMemoryError, PerfsuiteError
from perfsuite.measure.scaling.job import (
    STAGES,
    AgentReport,
    Position,
    RankBudget,
    RankError,
    RankFolder,
    ScalingJob,
)
from perfsuite.measure.scaling.launch import is_running, problem_of, rank_environment, run_ranks
from perfsuite.measure.scaling.rank import error_of

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 240.0
BUDGET = RankBudget(
    min_warm_up_s=0.0,
    max_warm_up_s=0.0,
    stable_ratio=0.05,
    min_turn_s=1e-6,
    min_blocks=2,
    blocks_s=0.0,
    is_fixed=True,
    num_all_reduces=2,
)


def make_job(**changes: object) -> ScalingJob:
    values: dict[str, object] = {
        "workload": make_workload(model="resnet18-narrow", batch_size=2, device_type="cpu"),
        "models": ("resnet18-narrow",),
        "world_size": 2,
        "strategy": "ddp",
        "compression": "none",
        "is_strong": False,
        "gpus": (),
        "num_threads": 1,
        "budget": BUDGET,
        "is_timed": True,
        "timeout_s": 30.0,
    }
    return ScalingJob(**{**values, **changes})  # type: ignore[arg-type]


def job_of(network: str, **changes: object) -> ScalingJob:
    name = f"rank_networks.py:{network}"
    workload = make_workload(model=name, batch_size=2, device_type="cpu")
    return make_job(workload=workload, models=(str(REPOSITORY / "tests" / name),), **changes)


def rank_error(rank: int, *, kind: str = "RuntimeError", message: str = "boom", **changes: object) -> RankError:
    values: dict[str, object] = {"is_waiting": False, "seconds": 1.0}
    return RankError(rank=rank, kind=kind, message=message, **{**values, **changes})  # type: ignore[arg-type]


def problem(**changes: object) -> PerfsuiteError:
    values: dict[str, object] = {
        "found": [],
        "agent": None,
        "positions": {},
        "is_hung": False,
        "last_words": "",
    }
    return problem_of(make_job(), **{**values, **changes})  # type: ignore[arg-type]


def position(place: int, stage: str = "timing") -> Position:
    return Position(place=place, stage=STAGES.index(stage), pid=1)


def pids_in(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]


def wait_for(is_done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not is_done():
        assert time.monotonic() < end_s, "too long"
        time.sleep(0.2)


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ranks leave the numbers of their processes and of their launcher's."""
    folder = tmp_path / "pids"
    folder.mkdir()
    monkeypatch.setenv("RANK_PIDS", str(folder))
    return folder


@pytest.mark.parametrize(
    ("network", "kind", "words"),
    [
        ("dies", MeasurementError, "rank 1 of 2 was killed by SIGKILL"),
        ("hangs", MeasurementError, "rank 1 of 2 hung while warming up: no progress for 20 s (--perf-rank-timeout)"),
        ("runs_out", OutOfMemoryError, "does not fit: rank 1 of 2: CUDA out of memory. Tried to allocate 2.00 GiB."),
    ],
)
def test_a_rank_that_fails_ends_the_cell_in_one_line_that_names_it_and_leaves_no_process(
    network: str, kind: type[PerfsuiteError], words: str, pids: Path
) -> None:
    with pytest.raises(kind) as caught:
        run_ranks(job_of(network, timeout_s=20.0), report_stage=lambda _stage: None)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(pids_in(pids)) == 3  # two ranks and their launcher
    assert not any(map(is_running, pids_in(pids)))


def test_ranks_measure_what_they_are_told_and_leave_no_process(pids: Path) -> None:
    stages: list[str] = []
    first, second = run_ranks(job_of("sound"), report_stage=stages.append)
    assert (first.rank, second.rank) == (0, 1)
    assert (len(first.alone_s), len(second.alone_s)) == (2, 0)
    assert len(first.exchange_s) == len(second.no_exchange_s) == 2
    assert len(first.all_reduce_s) == 2
    assert [claim.holds for claim in first.checks] == [True, True]
    weights = 3 * 32 * 32 * 10 + 10 + 2 * 3
    assert first.gradient_bytes == 4 * weights
    assert first.peak_allocated_bytes == pytest.approx(second.peak_allocated_bytes, rel=1e-3)
    assert (first.peak_allocated_bytes or 0) > 4 * 4 * weights  # weights, momentum, gradients, buckets
    assert stages[0] == "2 ranks: starting"
    assert not any(map(is_running, pids_in(pids)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_rank_outlives_the_run_that_started_it(number: signal.Signals, pids: Path, tmp_path: Path) -> None:
    """Ranks hang in the midst of a cell while pytest is interrupted or killed."""
    words = ["benchmarks", "-m", "scaling", "-p", "no:cacheprovider"]
    words += ["--perf-device=cpu", "--perf-precisions=fp32", "--perf-world-sizes=2", "--perf-rank-timeout=3000"]
    words += ["--perf-models=tests/rank_networks.py:hangs", f"--benchmark-json={tmp_path / 'results.json'}"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "RANK_PIDS": str(pids)}
    environment.pop("PYTEST_ADDOPTS", None)
    output = tmp_path / "output"
    process = Forked(run_pytest, words, output=output, cwd=REPOSITORY, env=environment)
    try:
        wait_for(lambda: (pids / "hangs").exists() or process.poll() is not None)
        assert len(pids_in(pids)) == 3
        assert all(map(is_running, pids_in(pids)))
        process.send_signal(number)
        process.wait(timeout=PATIENCE_S)
        wait_for(lambda: not any(map(is_running, pids_in(pids))))
    finally:
        with contextlib.suppress(OSError):
            process.kill()
    assert "INTERNALERROR" not in output.read_text()
    if number == signal.SIGINT:
        assert process.returncode == pytest.ExitCode.INTERRUPTED


def test_an_error_of_a_rank_s_own_comes_before_those_of_ranks_that_lost_it() -> None:
    lost = rank_error(0, message="Connection closed by peer", is_waiting=True, seconds=1.0)
    own = rank_error(1, kind="ValueError", message="no weights here", seconds=2.0)
    assert str(problem(found=[lost, own])).endswith("rank 1 of 2 raised ValueError: no weights here")


def test_a_rank_that_died_comes_before_those_that_lost_it() -> None:
    lost = rank_error(0, message="Connection closed by peer", is_waiting=True)
    agent = AgentReport(exit_codes={"0": 1, "1": -11}, message="")
    assert str(problem(found=[lost], agent=agent)).endswith("rank 1 of 2 was killed by SIGSEGV")
    assert str(problem(found=[lost])).endswith("rank 0 of 2 lost the others: Connection closed by peer")


def test_errors_of_perfsuite_keep_their_kind() -> None:
    skipped = problem(found=[rank_error(0, kind="NotSupportedError", message="no native bfloat16")])
    assert isinstance(skipped, NotSupportedError)
    assert str(skipped) == "rank 0 of 2: no native bfloat16"
    assert isinstance(problem(found=[rank_error(1, kind="OutOfMemoryError")]), OutOfMemoryError)
    # Lost for the process of the rank alone, which has ended: the run goes on.
    assert type(problem(found=[rank_error(1, kind="DeviceLostError")])) is MeasurementError


def test_of_ranks_that_hang_the_one_that_is_behind_is_named() -> None:
    behind = problem(is_hung=True, positions={0: position(7), 1: position(6)})
    assert "rank 1 of 2 hung while timing: no progress for 30 s" in str(behind)
    together = problem(is_hung=True, positions={0: position(6), 1: position(6)})
    assert "all 2 ranks made no progress for 30 s (--perf-rank-timeout) while timing" in str(together)
    building = problem(is_hung=True, positions={0: position(7), 1: position(6, "building")})
    assert "rank 1 of 2 hung while building: no progress for 300 s, and the others waited" in str(building)
    assert "rank 1 of 2 did not begin within 300 s" in str(problem(is_hung=True, positions={0: position(6)}))


def test_ranks_that_could_not_be_started_are_told_with_the_reason_or_the_last_words() -> None:
    agent = AgentReport(exit_codes={}, message="RendezvousError: no free port")
    assert str(problem(agent=agent)).endswith("the ranks could not be run: RendezvousError: no free port")
    assert str(problem(last_words="Illegal instruction")).endswith("could not be run: Illegal instruction")


@pytest.mark.parametrize(
    ("error", "is_waiting"),
    [
        (RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:41"), True),
        (RuntimeError("Timed out waiting 1800000ms for recv operation to complete"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (MeasurementError("Timed out waiting"), False),
    ],
)
def test_a_rank_that_only_lost_another_one_says_so(error: Exception, is_waiting: bool) -> None:
    assert error_of(0, error).is_waiting is is_waiting


def test_a_counter_is_read_while_its_rank_counts(tmp_path: Path) -> None:
    folder = RankFolder(tmp_path)
    assert folder.positions(2) == {}
    progress = folder.progress(1)
    progress.begin("timing")
    progress.tick()
    first = folder.positions(2)[1]
    assert (first.pid, STAGES[first.stage]) == (os.getpid(), "timing")
    for _ in range(100):
        progress.tick()
    progress.next_place()
    second = folder.positions(2)[1]
    assert second.place > first.place
    # Whoever stands at the next barrier is as far as all that stand there, however many steps it took before.
    other = folder.progress(0)
    other.next_place()
    assert folder.positions(2)[0].place == second.place


def test_ranks_import_what_this_process_can_and_compute_with_their_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend("/somewhere/else")
    monkeypatch.setenv("RANK", "7")
    monkeypatch.setenv("PET_NNODES", "3")
    variables = rank_environment(make_job(num_threads=3))
    paths = variables["PYTHONPATH"].split(os.pathsep)
    assert paths[0] == str(REPOSITORY)
    assert "/somewhere/else" in paths
    assert variables["OMP_NUM_THREADS"] == "3"
    assert not {"RANK", "PET_NNODES"} & set(variables)


def test_a_process_that_ended_and_was_not_asked_for_does_not_run() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    wait_for(lambda: not is_running(process.pid))
    assert process.wait() == 0
    assert is_running(os.getpid())

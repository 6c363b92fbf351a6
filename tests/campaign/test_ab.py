"""A/B runs: fresh processes interleaved, resumed after an interruption, judged at the end."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perfsuite.campaign.plan import CampaignPlan, Side, make_side
from perfsuite.cli import main
from perfsuite.errors import CampaignError

SUITE = """
import os, time

def test_slept(benchmark):
    seconds = 0.004 * (1 + float(os.environ.get("PERFSUITE_TEST_SLOWDOWN", "0")))
    benchmark.pedantic(lambda: time.sleep(seconds), rounds=12, warmup_rounds=1)

def test_slept_longer(benchmark):
    benchmark.pedantic(lambda: time.sleep(0.008), rounds=12, warmup_rounds=1)
"""

TOLD_SUITE = """
import os, random
import pytest

noise = random.Random(os.getpid())
of_process = noise.gauss(0, 0.005)
time_s = 0.0

def now():
    global time_s
    time_s += 1e-9
    return time_s

def taking(seconds):
    def iteration():
        global time_s
        time_s += seconds * (1 + of_process + noise.gauss(0, 0.005))
    return iteration

@pytest.mark.benchmark(timer=now)
def test_slept(benchmark):
    slowdown = float(os.environ.get("PERFSUITE_TEST_SLOWDOWN", "0"))
    benchmark.pedantic(taking(0.004 * (1 + slowdown)), rounds=12, warmup_rounds=1)

@pytest.mark.benchmark(timer=now)
def test_slept_longer(benchmark):
    benchmark.pedantic(taking(0.008), rounds=12, warmup_rounds=1)
"""
"""A clock that is told what everything takes, with noise between processes and rounds, but none of what else runs."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "test_sleep.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def command(checkout: Path, run_dir: Path, *more: str, processes: int = 3) -> list[str]:
    return [
        *("ab", "--baseline", sys.executable, "--candidate", sys.executable, "--run-dir", str(run_dir)),
        *("--dir-baseline", str(checkout), "--dir-candidate", str(checkout), "--processes", str(processes)),
        *more,
        *("--", "test_sleep.py", "-p", "no:cacheprovider"),
    ]


def files(run_dir: Path) -> list[str]:
    return sorted(path.name for path in run_dir.glob("[0-9]*.json") if ".part" not in path.name)


def test_processes_take_turns() -> None:
    a, b = (Side(name=name, python="python", folder=None, variables={}) for name in ("a", "b"))  # type: ignore[arg-type]
    assert (
        "".join(side.name for side in CampaignPlan(sides=(a, b), num_processes=5, arguments=()).order()) == "abbaabbaab"
    )


def test_the_same_code_is_no_regression_and_a_planted_slowdown_is_found(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "test_sleep.py").write_text(TOLD_SUITE)
    slow = ("--env-candidate", "PERFSUITE_TEST_SLOWDOWN=0.2", "--format", "json")
    status = main(command(checkout, tmp_path / "slow", *slow, processes=3))
    captured = capsys.readouterr()
    found = {one["fullname"].partition("::")[2]: one for one in json.loads(captured.out)["benchmarks"]}
    assert (status, found["test_slept"]["verdict"]) == (1, "regressed"), captured
    assert found["test_slept_longer"]["verdict"] != "regressed"
    assert json.loads(captured.out)["method"]["interleaved"] is True
    assert "[6/6] candidate  done in" in captured.err
    # All files are there: judged again at once, on other terms.
    before = files(tmp_path / "slow")
    assert main(command(checkout, tmp_path / "slow", *slow, "--min-effect", "40%", processes=3)) == 0
    assert files(tmp_path / "slow") == before


def test_an_interrupted_run_goes_on_where_it_was(checkout: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    arguments = [sys.executable, "-m", "perfsuite", *command(checkout, run_dir, "--fail-on", "never")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(files(run_dir)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "the same command resumes there" in error
    kept = {name: (run_dir / name).stat().st_mtime_ns for name in files(run_dir)}
    assert 2 <= len(kept) < 6
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("already measured") == len(kept)
    assert {name: (run_dir / name).stat().st_mtime_ns for name in kept} == kept
    assert len(files(run_dir)) == 6
    assert "3 processes of the candidate against 3 processes of the baseline" in done.stdout


def test_another_run_s_folder_is_refused_and_restart_begins_anew(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    assert main(command(checkout, run_dir, "--fail-on", "never", processes=1)) == 0
    capsys.readouterr()
    other = command(checkout, run_dir, "--env-candidate", "X=1", "--fail-on", "never", processes=1)
    assert main(other) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert 'contains another run: candidate.variables.X was not given and is "1"; --restart starts over' in error
    assert main([*other[:1], "--restart", *other[1:]]) == 0


def test_a_process_that_fails_ends_the_run_with_its_last_word(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "test_sleep.py").write_text("import nothing_of_that_name\n")
    assert main(command(checkout, tmp_path / "run", processes=1)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "perfsuite: error: 001-baseline.json: the baseline ended with status 2" in error
    assert "001-baseline.log" in error


def test_benchmarks_that_fail_are_noted_and_the_others_count(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (checkout / "test_sleep.py").open("a") as file:
        file.write("\ndef test_broken(benchmark):\n    assert False\n")
    assert main(command(checkout, tmp_path / "run", "--fail-on", "never", processes=1)) == 0
    assert "001-baseline.json: some benchmarks failed, see 001-baseline.log" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"--baseline": "/no/such/python"}, "--baseline /no/such/python: no such interpreter"),
        ({"--baseline": "/"}, "--baseline /: a folder without an interpreter"),
        ({"--candidate": "/bin/echo"}, "--candidate /bin/echo: is not a Python interpreter"),
        ({"--candidate": "/bin/false"}, "--candidate /bin/false: does not run"),
        ({"--dir-candidate": "/no/such/folder"}, "--dir-candidate /no/such/folder: no such folder"),
        ({"--env-candidate": "novalue"}, "--env-candidate novalue: write NAME=VALUE"),
        ({"--processes": "many"}, "--processes: 'many' is not a number of processes"),
        ({"--processes": "0"}, "--processes: '0' is not a number of processes"),
        ({"--min-effect": "much"}, "--min-effect"),
    ],
)
def test_a_bad_argument_is_one_line_before_anything_runs(
    changes: dict[str, str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"--baseline": sys.executable, "--candidate": sys.executable, **changes}
    arguments = ["ab", *(part for pair in options.items() for part in pair), "--run-dir", str(tmp_path / "run")]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_pytest_arguments_that_take_the_results_away_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    both = ("--baseline", sys.executable, "--candidate", sys.executable)
    assert main(["ab", *both, "--", "benchmarks", "--benchmark-json=x"]) == 2
    assert "--benchmark-json=x: cannot be given here" in capsys.readouterr().err


def test_a_virtual_environment_s_folder_stands_for_its_interpreter(tmp_path: Path) -> None:
    inside = tmp_path / "venv" / "bin"
    inside.mkdir(parents=True)
    (inside / "python").symlink_to(sys.executable)
    side = make_side("baseline", str(tmp_path / "venv"), tmp_path, ["A=b=c"])
    assert side.python == str(inside / "python")  # not where the link leads: it would be another environment
    assert side.variables == {"A": "b=c"}
    with pytest.raises(CampaignError, match="write NAME=VALUE"):
        make_side("baseline", sys.executable, tmp_path, ["=x"])


@pytest.mark.usefixtures("checkout")
def test_a_relative_folder_is_found_by_processes_that_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    both = ("--baseline", sys.executable, "--candidate", sys.executable, "--processes", "1", "--fail-on", "never")
    where = ("--dir-baseline", "checkout", "--dir-candidate", "checkout")
    arguments = ["ab", *both, *where, "--", "test_sleep.py", "-p", "no:cacheprovider"]
    unwritable = [*arguments[:1], "-o", str(tmp_path / "no" / "such" / "folder" / "x.md"), *arguments[1:]]
    assert main(unwritable) == 2  # the measurements are kept all the same
    (run_dir,) = (tmp_path / "results").iterdir()
    before = files(run_dir)
    assert len(before) == 2
    capsys.readouterr()
    assert main(arguments) == 0
    assert capsys.readouterr().err.count("already measured") == 2
    assert list((tmp_path / "results").iterdir()) == [run_dir]
    assert main(arguments) == 0  # the same question, once it is answered, is asked again
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_a_folder_is_one_run_s_at_a_time(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with (run_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(command(checkout, run_dir, processes=1)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{run_dir}: in use by another process; wait for it, or name another folder" in error


def test_a_noise_floor_of_too_few_processes_is_refused_at_once(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["noise", "--dir", str(checkout), "--processes", "2", "--run-dir", str(tmp_path / "run")]) == 2
    assert "2 a side are too few for a noise floor; use at least 3" in capsys.readouterr().err


def test_noise_is_taken_kept_and_shown(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERFSUITE_NOISE", str(tmp_path / "noise.json"))
    arguments = ["noise", "--dir", str(checkout), "--processes", "3", "--run-dir", str(tmp_path / "run"), "--"]
    assert main([*arguments, "test_sleep.py", "-p", "no:cacheprovider"]) in {0, 1}  # 1: a false alarm of a busy machine
    captured = capsys.readouterr()
    assert "Noise floor, 3 processes a side" in captured.out
    assert "test_slept" in captured.out
    assert "kept in" in captured.err
    assert "perfsuite-noise-2" in (tmp_path / "noise.json").read_text()


LOST = """
import json, pathlib, sys

from builders import make_content, make_entry, make_record
from perfsuite.records.outcome import Outcome

path = next(a.partition("=")[2] for a in sys.argv if a.startswith("--benchmark-json="))
lost = "the device was lost: CUDA error: an illegal memory access was encountered"
outcomes = [
    Outcome(nodeid="a", outcome="failed", reason=lost),
    Outcome(nodeid="b", outcome="not_run", reason="the device was lost"),
    Outcome(nodeid="c", outcome="not_run", reason="the device was lost"),
]
entries = [make_entry(make_record(run_id=path), [0.1] * 9)] if {finished} else []
pathlib.Path(path).write_text(json.dumps(make_content(entries, outcomes=outcomes)))
sys.exit(1)
"""


@pytest.mark.parametrize("finished", [True, False])
def test_processes_that_lose_their_device_are_told_and_those_that_finished_something_are_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    (tmp_path / "pytest.py").write_text(LOST.replace("{finished}", str(finished)))
    tests = str(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
    status = main(command(tmp_path, tmp_path / "run", "--fail-on", "never", processes=1))
    captured = capsys.readouterr()
    if finished:
        assert status == 0, captured
        assert "2 benchmarks were not run: the device was lost: CUDA error: an illegal memory access" in captured.out
    else:
        assert status == 2
        last = captured.err.splitlines()[-1]
        assert "no benchmark produced a result: the device was lost: CUDA error: an illegal memory access" in last


OUT_OF_MEMORY = """
import pathlib, sys, json

from builders import make_content, make_entry, make_record
from perfsuite.records.outcome import Outcome

path = next(a.partition("=")[2] for a in sys.argv if a.startswith("--benchmark-json="))
entry = make_entry(make_record(run_id=path), [0.1] * 9)
failed = Outcome(nodeid=entry["fullname"], outcome="out_of_memory", reason="out of memory: 900 MiB asked for")
fails = "{side}" in pathlib.Path(path).name
content = make_content([] if fails else [entry], outcomes=[failed] if fails else [])
pathlib.Path(path).write_text(json.dumps(content))
sys.exit(int(fails))
"""


@pytest.mark.parametrize(("side", "expected"), [("candidate", 1), ("baseline", 2)])
def test_a_candidate_of_which_every_benchmark_fails_is_judged_as_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, side: str, expected: int
) -> None:
    (tmp_path / "pytest.py").write_text(OUT_OF_MEMORY.replace("{side}", side))
    tests = str(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
    arguments = command(tmp_path, tmp_path / "run", "--fail-on", "failed", processes=3)
    assert main(arguments) == expected
    captured = capsys.readouterr()
    if side == "candidate":
        assert "out of memory in 3 of 3 processes of the candidate: out of memory: 900 MiB asked for" in captured.out
        assert main(arguments) == 1  # with the files that are there
    else:
        assert "baseline: no benchmark produced a result: out of memory" in captured.err.splitlines()[-1]

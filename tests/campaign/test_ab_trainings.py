"""A/B runs of full trainings: every process trains in a folder of its own, and resumes what it was interrupted in."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_record
from generated_images import generated_set
from training_builders import make_training, make_training_entry

from perfsuite.analysis.frames.results import collect
from perfsuite.campaign import run as campaign_run
from perfsuite.campaign.plan import has_only_trainings, has_trainings
from perfsuite.cli import main
from perfsuite.records.environment import Process
from perfsuite.workloads.image_store import save_image_set

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.campaign.plan import Side

REPOSITORY = Path(__file__).parents[2]
RECIPE = "epochs = 2\nbatch_size = 4\nnum_train = 8\nnum_validation = 4\nnum_test = 20\nlearning_rate = 0.02\n"
WAITING = f"""
import sys, time
from pathlib import Path
import pytest
from perfsuite.measure import train
from perfsuite.workloads.training import Training
sys.path.insert(0, {str(REPOSITORY / "tests")!r})
from cuda_stand_in import use_tiny_networks

use_tiny_networks(pytest.MonkeyPatch())
train.verify = lambda *_: ()  # takes longer than these trainings
train_epoch = Training.train_epoch

def wait_in_the_second_epoch_of_amp(self, **options):
    if self.policy.name == "amp-bf16" and self.epoch == 1 and Path("wait").exists():
        time.sleep(600)
    return train_epoch(self, **options)

Training.train_epoch = wait_in_the_second_epoch_of_amp
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "benchmarks").mkdir(parents=True)
    for name in ("conftest.py", "benchmarks/test_full_training.py"):
        (folder / name).write_text((REPOSITORY / name).read_text())
    (folder / "benchmarks" / "conftest.py").write_text(WAITING)
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = benchmarks\n")
    (folder / "tiny.toml").write_text(RECIPE)
    save_image_set(generated_set(), folder / "images.npz")
    return folder


def test_every_process_trains_for_itself_and_resumes_the_training_it_was_interrupted_in(
    checkout: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    arguments = [
        *(sys.executable, "-m", "perfsuite", "ab", "--baseline", sys.executable, "--candidate", sys.executable),
        *("--dir-baseline", str(checkout), "--dir-candidate", str(checkout)),
        *("--run-dir", str(run_dir), "--processes", "1", "--fail-on", "never", "--", "-m", "full_training"),
        *("--perf-device=cpu", "--perf-models=resnet18", "--perf-recipe=tiny.toml", "--perf-data=images.npz"),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    (checkout / "wait").touch()
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not list(run_dir.glob("001-baseline/*amp*/checkpoint.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    (checkout / "wait").unlink()
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    results = collect(sorted(run_dir.glob("[0-9]*.json")))
    found = [
        (one.file, one.record.workload.precision, one.record.replayed, one.record.num_resumes)
        for one in results.trainings
    ]
    assert found == [
        ("001-baseline.json", "fp32", True, 0),  # finished before the interruption
        ("001-baseline.json", "amp-bf16", False, 1),  # interrupted after its first epoch
        ("002-candidate.json", "fp32", False, 0),
        ("002-candidate.json", "amp-bf16", False, 0),
    ]
    assert len({one.record.metrics["training_time_s"] for one in results.trainings}) == 4
    assert len({one.record.process.run_id for one in results.trainings}) == 3
    assert sorted(path.name for path in run_dir.iterdir() if path.is_dir()) == ["001-baseline", "002-candidate"]
    assert not (checkout / "results" / "trainings").exists()


@pytest.mark.parametrize(
    ("arguments", "is_one"),
    [
        (("-m", "full_training"), True),
        (("benchmarks", "-m", "step or full_training"), True),
        (("-mlong",), True),
        (("benchmarks/test_full_training.py::test_full_training",), True),
        (("benchmarks", "-m", "step"), False),
        (("benchmarks", "-k", "long"), False),
    ],
)
def test_only_processes_that_train_are_given_a_folder_for_it(arguments: tuple[str, ...], is_one: bool) -> None:
    assert has_trainings(arguments) is is_one


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ("--perf-run-dir=elsewhere", "every process trains in a folder of its own"),
        ("--perf-restart", "the option --restart, before --, starts over"),
    ],
)
def test_options_that_would_share_or_repeat_trainings_are_refused(
    argument: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("--baseline", sys.executable, "--candidate", sys.executable)
    assert main(["ab", *both, "--", "-m", "full_training", argument]) == 2
    assert f"{argument}: cannot be given here; {complaint}" in capsys.readouterr().err


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the processes of an A/B run write a training, and a step if asked for, without measuring anything."""

    def fake(
        *, candidate_accuracy: float, seconds: float = 3600.0, with_steps: bool = False, note: str | None = None
    ) -> None:
        def run_process(side: Side, _arguments: tuple[str, ...], path: Path, **_: Any) -> str | None:
            number, is_candidate = int(path.name[:3]), side.name == "candidate"
            process = Process(run_id=path.stem, pid=1, started=f"2026-01-05T{number:02d}:00:00+00:00")
            training = make_training(
                accuracy=candidate_accuracy if is_candidate else 0.83,
                seconds=(seconds if is_candidate else 3600.0) + number % 2,
                weights_sha256=path.stem,
                process=process,
                environment=ENVIRONMENT,
            )
            steps = [make_entry(dataclasses.replace(make_record(), process=process), [0.1, 0.101, 0.1, 0.102] * 3)]
            content = make_content([*(steps if with_steps else []), make_training_entry(training)])
            path.write_text(json.dumps({**content, "datetime": process.started}))
            return note

        monkeypatch.setattr(campaign_run, "_run_process", run_process)

    return fake


def ab(tmp_path: Path, *more: str, processes: int = 2) -> int:
    python = ("--baseline", sys.executable, "--candidate", sys.executable, "--dir-baseline", str(tmp_path))
    folders = ("--dir-candidate", str(tmp_path), "--run-dir", str(tmp_path / "run"), "--processes", str(processes))
    return main(["ab", *python, *folders, *more, "--", "-m", "full_training"])


@pytest.mark.parametrize(
    ("accuracy", "verdict", "status"), [(0.78, "regressed", 1), (0.88, "improved", 0), (0.83, "inconclusive", 1)]
)
def test_two_processes_a_side_give_a_verdict_on_accuracy_and_none_on_time(
    tmp_path: Path,
    faked: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    accuracy: float,
    verdict: str,
    status: int,
) -> None:
    faked(candidate_accuracy=accuracy, seconds=7200.0)  # twice the time, but two processes cannot show it
    assert ab(tmp_path, "--format", "json") == status
    captured = capsys.readouterr()
    (found,) = json.loads(captured.out)["trainings"]
    assert (found["verdict"], found["accuracy"]["verdict"]) == (verdict, verdict)
    assert found["time"]["verdict"] == "inconclusive"
    assert found["time"]["ratio"] == pytest.approx(2.0, rel=0.01)
    assert "2 processes on a side cannot separate code from noise" in found["time"]["reason"]
    assert ("failed (--fail-on regressed,missing,unjudged)" in captured.err) == bool(status)


def test_the_table_of_trainings_ends_an_ab_run_with_the_notes_on_its_processes(
    tmp_path: Path, faked: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    faked(candidate_accuracy=0.78, note="some benchmarks failed, see 001-baseline.log")
    assert ab(tmp_path) == 1
    out = capsys.readouterr().out
    assert out.startswith("Full trainings: 1 regressed\n")
    assert "accuracy -5.00 points, significant" in out
    assert "training time is judged from 3 processes a side on, interleaved" in out
    assert "001-baseline.json: some benchmarks failed, see 001-baseline.log" in out


def test_three_processes_a_side_judge_the_time_of_trainings_too(
    tmp_path: Path, faked: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    faked(candidate_accuracy=0.88, seconds=7200.0)
    assert ab(tmp_path, "--format", "json", processes=3) == 1
    (found,) = json.loads(capsys.readouterr().out)["trainings"]
    assert (found["time"]["verdict"], found["accuracy"]["verdict"]) == ("regressed", "improved")
    assert found["verdict"] == "regressed"


def test_an_ab_run_of_both_writes_one_comment_with_both_tables(
    tmp_path: Path, faked: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    faked(candidate_accuracy=0.78, with_steps=True)
    assert ab(tmp_path, "--format", "markdown", processes=3) == 1
    out = capsys.readouterr().out
    assert out.count("**Full trainings: 1 regressed**") == 1
    assert "<summary>All 1 benchmarks</summary>" in out
    assert "<summary>All 1 full trainings</summary>" in out
    assert len(out) < 65_536


@pytest.mark.parametrize(
    ("arguments", "is_certain"),
    [
        (("-m", "full_training"), True),
        (("benchmarks", "-mfull_training"), True),
        (("-m", "step or full_training"), False),
        (("-m", "not full_training"), False),
        (("benchmarks",), False),
    ],
)
def test_a_noise_floor_of_full_trainings_is_refused_before_they_are_run(
    arguments: tuple[str, ...], is_certain: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert has_only_trainings(arguments) is is_certain
    if is_certain:
        assert main(["noise", "--run-dir", str(tmp_path / "run"), "--", *arguments]) == 2
        assert "-m full_training: full trainings have no noise floor" in capsys.readouterr().err
        assert not (tmp_path / "run").exists()

"""A/B runs of full trainings: every process trains in a folder of its own, and resumes what it was interrupted in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from generated_images import generated_set

from perfsuite.analysis.collect import collect
from perfsuite.campaign.plan import has_trainings
from perfsuite.cli import main
from perfsuite.workloads.images import save_image_set

REPOSITORY = Path(__file__).parents[2]
RECIPE = "epochs = 2\nbatch_size = 4\nnum_train = 8\nnum_validation = 4\nnum_test = 20\nlearning_rate = 0.02\n"
WAITING = """
import time
from pathlib import Path
from perfsuite.measure import train
from perfsuite.workloads.training import Training

train.prove = lambda *_: ()  # takes longer than these trainings
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

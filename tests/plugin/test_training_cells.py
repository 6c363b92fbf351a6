from __future__ import annotations

import dataclasses
import json
import os
import platform
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from forked import Forked, run_pytest
from generated_images import generated_parts, generated_set, mirror_files, write_mirror
from suite_run import IN_A_PROCESS, REPOSITORY

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.trainings import accuracy_frame
from perfsuite.cli import main
from perfsuite.folder_lock import folder_locked
from perfsuite.measure import train as train_module
from perfsuite.records.reading import read_record
from perfsuite.records.training import TrainingRecord
from perfsuite.workloads import image_store, images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from suite_run import Run

RECIPE = "epochs = 2\nbatch_size = 4\nnum_train = 8\nnum_validation = 4\nnum_test = 20\nlearning_rate = 0.02\n"
PARTS = ("train", "test")
CELL = ("-m", "full_training", "--perf-device=cpu", "--perf-models=resnet18", "--perf-recipe=tiny.toml")


@pytest.fixture(autouse=True)
def trainings(suite_folder: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout with a tiny recipe and a generated data set, and no proof of precisions, which stands elsewhere."""
    text = (REPOSITORY / "benchmarks" / "test_full_training.py").read_text()
    (suite_folder.path / "benchmarks" / "test_full_training.py").write_text(text)
    (suite_folder.path / "tiny.toml").write_text(RECIPE)
    image_store.save_image_set(generated_set(), suite_folder.path / "images.npz")
    monkeypatch.setattr(train_module, "verify", lambda *_: ())
    monkeypatch.setenv("PERFSUITE_DATA", str(suite_folder.path / "images.npz"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(suite_folder.path / "cache"))


def records(run: Run) -> list[TrainingRecord]:
    found = [read_record(entry["extra_info"]["perfsuite"]) for entry in run.content["benchmarks"]]
    return [record for record in found if isinstance(record, TrainingRecord)]


def test_both_precisions_are_trained_shown_and_replayed(run_suite: Callable[..., Run], suite_folder: Any) -> None:
    run = run_suite(*CELL, quick=False)
    assert run.result.ret == pytest.ExitCode.OK, run.text
    fp32, amp = records(run)
    assert (fp32.workload.precision, amp.workload.precision) == ("fp32", "amp-bf16")
    for entry, record in zip(run.content["benchmarks"], (fp32, amp), strict=True):
        assert entry["stats"]["data"] == [pytest.approx(record.metrics["training_time_s"])]
        assert len(record.history) == 2
    for expected in (
        "[1/2] full_training resnet18-fp32-b4",
        "epoch 1 of 2: loss",
        "left in this cell",
        "Full trainings: tiny, images",
        "these images are not the original CIFAR-10",
        "collect --table accuracy",
    ):
        assert expected in run.text
    run.files[0].unlink()
    again = run_suite(*CELL, quick=False)
    assert [record.replayed for record in records(again)] == [True, True]
    assert "trained before" in again.text
    assert [record.weights_sha256 for record in records(again)] == [fp32.weights_sha256, amp.weights_sha256]
    folders = list((suite_folder.path / "results" / "trainings").iterdir())
    assert [sorted(file.name for file in folder.iterdir()) for folder in folders] == [["finished.json", "lock"]] * 2
    assert f"Trainings: 2 finished in {suite_folder.path / 'results' / 'trainings'}, replayed" in again.text
    assert "unfinished" not in again.text


def test_another_torch_trains_anew_and_each_training_says_where_it_was_trained(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(name: str) -> tuple[TrainingRecord, Path]:
        run = run_suite(*CELL, "--perf-precisions=fp32", f"--benchmark-json=results/{name}.json", quick=False)
        path = run.folder / "results" / f"{name}.json"
        record = read_record(json.loads(path.read_text())["benchmarks"][0]["extra_info"]["perfsuite"])
        assert isinstance(record, TrainingRecord)
        return record, path

    old, old_path = trained("old")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "99.1.0+other")
        new, new_path = trained("new")
    again, _ = trained("again")
    assert (old.replayed, new.replayed, again.replayed) == (False, False, True)
    assert [record.environment and record.environment.torch for record in (old, new, again)] == [
        torch.__version__,
        "99.1.0+other",
        torch.__version__,
    ]
    assert accuracy_frame(collect([old_path, new_path]))["torch"].tolist() == [torch.__version__, "99.1.0+other"]


def test_seeds_are_cells_of_their_own(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*CELL, "--perf-precisions=fp32", "--perf-seeds=2", "--perf-run-dir=elsewhere", quick=False)
    assert run.names == ["test_full_training[resnet18-fp32-b4]", "test_full_training[resnet18-fp32-b4-seed1]"]
    assert [record.seed for record in records(run)] == [0, 1]
    assert "(n=2)" in run.text
    assert (run.folder / "elsewhere").is_dir()


def test_full_trainings_are_not_run_unless_named(run_suite: Callable[..., Run]) -> None:
    run = run_suite("--collect-only", "-q", "-k", "full_training", "--perf-device=cpu", quick=False)
    assert "::test_full_training" not in run.text


def test_a_missed_target_fails_and_keeps_the_numbers(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    canonical = dataclasses.replace(generated_set(), is_canonical=True)
    image_store.save_image_set(canonical, suite_folder.path / "images.npz")
    (suite_folder.path / "tiny.toml").write_text(RECIPE + "target_accuracy = 0.99\n")
    run = run_suite(*CELL, "--perf-precisions=fp32", quick=False)
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert "the target is 99.00% minus 2 points of tolerance" in run.text
    (record,) = records(run)
    assert record.findings
    assert record.findings[-1].startswith("test accuracy")
    assert run.outcomes == [("test_full_training[resnet18-fp32-b4]", "failed")]


def test_on_other_images_the_study_s_target_is_not_asserted(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    (suite_folder.path / "tiny.toml").write_text(RECIPE + "target_accuracy = 0.99\n")
    assert run_suite(*CELL, "--perf-precisions=fp32", quick=False).result.ret == pytest.ExitCode.OK


def test_a_mirror_given_as_data_is_imported_once(run_suite: Callable[..., Run], tmp_path: Path) -> None:
    mirror = write_mirror(mirror_files(generated_parts()), tmp_path / "mirror.zip")
    arguments = (*CELL, "--perf-precisions=fp32", f"--perf-data={mirror}")
    run = run_suite(*arguments, quick=False)
    assert f"importing {mirror}" in run.text
    assert records(run)[0].data.fingerprint == generated_set().fingerprint
    run.files[0].unlink()
    assert "importing" not in run_suite(*arguments, quick=False).text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--perf-data=nothing.npz"], "nothing.npz: no such file or folder; `perfsuite data download`"),
        (["--perf-data=nothing"], "--perf-data: nothing: no such file or folder"),
        (
            ["--perf-recipe=fast"],
            "--perf-recipe: unknown recipe 'fast'; choose from thesis, smoke, or name a .toml file",
        ),
        (["--perf-recipe=no.toml"], "no.toml: cannot be read: no such file"),
        (["--perf-seeds=0"], "--perf-seeds: '0' is not a number of seeds; whole numbers from 1 to 1000"),
        (["--perf-seeds=x"], "--perf-seeds: 'x' is not a number of seeds"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_trained(
    run_suite: Callable[..., Run], arguments: list[str], complaint: str
) -> None:
    run = run_suite(*CELL, *arguments, quick=False)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert complaint in run.text
    assert "Traceback" not in run.text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("epochs = 0", "epochs is 0; from 1 to 100000 is allowed"),
        ('epochs = "many"', "recipe.epochs is a text, int is needed"),
        ("epoch = 3", "unknown field 'epoch'; choose from batch_size, decay_every_epochs"),
        ("learning_rate = nan", "recipe.learning_rate is float nan"),
        ("[", "not TOML"),
    ],
)
def test_a_recipe_with_a_wrong_field_is_refused_by_name(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester, content: str, complaint: str
) -> None:
    (suite_folder.path / "tiny.toml").write_text(content)
    run = run_suite(*CELL, quick=False)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert complaint in run.text


def test_one_cell_that_fails_leaves_the_others_alone(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.errors import MeasurementError
    from perfsuite.workloads.training import Training

    original = Training.train_epoch

    def diverge(self: Training, **options: Any) -> Any:
        if self.policy.name == "fp32" and self.epoch == 1:
            raise MeasurementError("diverged: the training loss of epoch 2 is nan")
        return original(self, **options)

    monkeypatch.setattr(Training, "train_epoch", diverge)
    run = run_suite(*CELL, quick=False)
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert [record.workload.precision for record in records(run)] == ["amp-bf16"]
    assert json.dumps(run.outcomes) == '[["test_full_training[resnet18-fp32-b4]", "failed"]]'
    assert "diverged: the training loss of epoch 2 is nan" in run.text


def test_a_second_run_in_one_folder_ends_in_one_line_as_for_a_mistake(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    run_suite(*CELL, quick=False).files[0].unlink()
    (folder,) = (suite_folder.path / "results" / "trainings").glob("*amp*")
    with folder_locked(folder):
        run = run_suite(*CELL, quick=False)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    expected = f"{folder}: in use by process {os.getpid()} on {platform.node()}; wait for it, or name another folder"
    assert expected in run.text
    assert "Traceback" not in run.text
    assert [record.workload.precision for record in records(run)] == ["fp32"]


def test_checkpoints_of_an_interrupted_training_are_told_with_how_to_free_them(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.workloads.training import Training

    original = Training.train_epoch

    def interrupted(self: Training, **options: Any) -> Any:
        if self.epoch == 1:
            raise KeyboardInterrupt
        return original(self, **options)

    monkeypatch.setattr(Training, "train_epoch", interrupted)
    run = run_suite(*CELL, "--perf-precisions=fp32", quick=False)
    (folder,) = (run.folder / "results" / "trainings").iterdir()
    assert "Trainings: 0 finished in " in run.text
    line = next(line for line in run.text.splitlines() if line.startswith("1 unfinished, "))
    assert "MiB of checkpoints" in line
    assert line.endswith(f"remove {folder.name} there")


def test_an_epoch_writes_a_line_at_once_where_the_output_is_a_file(
    suite_folder: pytest.Pytester, tmp_path: Path
) -> None:
    """A training takes hours: what a log says must be there while it runs, not when it ends."""
    log = tmp_path / "log"
    (suite_folder.path / "benchmarks" / "conftest.py").write_text(
        "import shutil\n"
        "from perfsuite.measure import train as module\n"
        "from perfsuite.workloads.training import Training\n"
        "module.verify = lambda *_: ()\n"
        "original = Training.train_epoch\n"
        "def train_epoch(self, **options):\n"
        "    if self.epoch == 1:\n"
        f"        shutil.copy({str(log)!r}, 'seen')\n"
        "    return original(self, **options)\n"
        "Training.train_epoch = train_epoch\n"
    )
    environment = {**os.environ, **IN_A_PROCESS}
    words = ("-p", "small_suite", *CELL, "--perf-precisions=fp32")
    assert Forked(run_pytest, words, output=log, cwd=suite_folder.path, env=environment).wait() == 0
    lines = (suite_folder.path / "seen").read_text().splitlines()
    assert "epoch 1 of 2: loss" in lines[-1]
    assert "left in this cell" in lines[-1]


def test_what_deterministic_trainings_set_for_cublas_is_recorded(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is put back after the test
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    run = run_suite(*CELL, "--perf-precisions=fp32", "--perf-deterministic", quick=False)
    assert run.content["machine_info"]["perfsuite"]["variables"]["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_other_images_and_classes_are_trained_on_collected_drawn_and_compared(
    run_suite: Callable[..., Run],
    suite_folder: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    generator = np.random.default_rng(0)
    classes = tuple(f"{label} $<b>" for label in range(30))
    parts = {split: (generator.integers(0, 256, (60, 3, 48, 48), np.uint8), np.arange(60) % 30) for split in PARTS}
    image_store.save_image_set(images.make_image_set(parts, classes=classes), suite_folder.path / "flowers.npz")
    monkeypatch.setenv("PERFSUITE_DATA", str(suite_folder.path / "flowers.npz"))
    files: list[Path] = []
    for _ in range(2):
        run = run_suite(*CELL, "--perf-precisions=fp32", "--perf-restart", quick=False)
        assert run.result.ret == pytest.ExitCode.OK, run.text
        assert "not the original CIFAR-10" not in run.text
        (record,) = records(run)
        files.append(run.files[0].rename(suite_folder.path / f"{len(files)}.json"))
    assert (record.workload.image_size, record.workload.num_classes) == (48, 30)
    assert record.data.classes == classes
    assert main(["collect", "--table", "confusion", str(files[0])]) == 0
    out = capsys.readouterr().out
    assert "of 30 classes the 15 of which the fewest images are predicted correctly" in out
    assert "(15 others)" in out
    assert main(["chart", "confusion", str(files[0]), "-o", str(suite_folder.path / "confusion.svg")]) == 0
    assert main(["report", str(files[0]), "-o", str(suite_folder.path / "report.html")]) == 0
    page = (suite_folder.path / "report.html").read_text()
    assert "$<b>" not in page
    assert "$&lt;b&gt;" in page
    assert main(["compare", "--baseline", str(files[0]), "--candidate", str(files[1]), "--fail-on", "regressed"]) == 0
    assert main(["collect", "--table", "thesis", str(files[0])]) == 0
    assert "48 pixels and 30 classes, not those of CIFAR-10" in capsys.readouterr().out

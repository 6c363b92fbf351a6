from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
import zipfile
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from forked import Forked, run_perfsuite

pytest.importorskip("optuna", reason="the search needs the extra: pip install 'perfsuite[tune]'")


from perfsuite.cli import main
from perfsuite.recipes import read_recipe
from perfsuite.records.study import Study, chosen_trial, read_study
from perfsuite.tune import run as run_module
from perfsuite.workloads.image_store import load_training_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tuned_files import Files


def study_in(record: bytes) -> Study:
    return read_study(json.loads(record))


def test_the_same_seed_gives_the_same_study_and_another_one_another(tune: Callable[..., bytes]) -> None:
    first = tune("first", trials=10, precisions="fp32,amp")
    assert tune("second", trials=10, precisions="fp32,amp") == first
    assert study_in(tune("third", trials=2, precisions="fp32,amp", seed=1)).trials[1] != study_in(first).trials[1]


def test_a_network_that_draws_at_random_draws_the_same_whatever_ran_before(tune: Callable[..., bytes]) -> None:
    import torch

    model = f"{Path(__file__).parents[1] / 'own_networks.py'}:drops_out"
    torch.manual_seed(1)
    first = tune("first", trials=2, model=model)
    torch.manual_seed(2)
    assert tune("second", trials=2, model=model) == first


def test_the_first_trial_is_the_recipe_itself(tune: Callable[..., bytes]) -> None:
    first = study_in(tune(trials=1)).trials[0].setting
    assert (first.learning_rate, first.momentum, first.weight_decay, first.batch_size) == (0.02, 0.9, 1e-6, 8)


def test_permuted_test_labels_change_not_one_byte_of_the_record(tune: Callable[..., bytes], files: Files) -> None:
    one = tune("one", precisions="fp32,amp", seeds=1)
    other = tune("other", precisions="fp32,amp", seeds=1, data=files.permuted)
    assert one == other
    retrained = [json.loads((files.study(name) / "retraining.json").read_text()) for name in ("one", "other")]
    accuracies = [[training["test_accuracy"] for training in found["trainings"]] for found in retrained]
    assert accuracies[0] != accuracies[1]  # what the labels decide is tested with them


def test_the_search_does_not_read_the_test_images(tune: Callable[..., bytes], files: Files) -> None:
    """Their bytes in the file are damaged: whatever reads them ends with an error."""
    damaged = files.folder / "damaged.npz"
    with zipfile.ZipFile(files.images) as source, zipfile.ZipFile(damaged, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, b"no array" if name.startswith("test_") else content)
    assert tune("damaged", data=damaged) == tune("whole")
    images = load_training_images(damaged)
    assert (len(images.test_images), len(images.test_labels)) == (0, 0)


def test_what_reads_test_images_is_the_retraining_alone(
    arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = files.folder / "damaged.npz"
    with zipfile.ZipFile(files.images) as source, zipfile.ZipFile(damaged, "w") as target:
        for name in source.namelist():
            target.writestr(name, b"no array" if name.startswith("test_") else source.read(name))
    assert main(arguments(data=damaged, seeds=1)) == 2
    assert "damaged.npz: not a data set of perfsuite" in capsys.readouterr().err
    assert len(study_in((files.study() / "study.json").read_bytes()).trials) == 4


class InAnyOrder:
    """Workers that finish in a random order."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._tasks: dict[Future[Any], Any] = {}

    def submit(self, run: Any, task: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._tasks[future] = (run, task)
        return future

    def any_done(self, running: list[Future[Any]]) -> list[Future[Any]]:
        future = running[int(self._random.integers(len(running)))]
        run, task = self._tasks.pop(future)
        future.set_result(run(task))
        return [future]


SEEDS = itertools.count()


@contextlib.contextmanager
def in_any_order(_num: int, _report: Any) -> Iterator[InAnyOrder]:
    yield InAnyOrder(next(SEEDS))


STUCK_NETWORK = """
import os, time
from pathlib import Path
from torch import nn

CALLS = Path(__file__).with_name("calls")

def net(num_classes, image_size):
    layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, 8), nn.ReLU(), nn.Linear(8, num_classes))
    def wait(*_):
        with CALLS.open("ab") as file:
            file.write(b".")
        if os.environ.get("STUCK_AT") and CALLS.stat().st_size >= int(os.environ["STUCK_AT"]):
            CALLS.with_name("stuck").touch()
            time.sleep(300)
    layers.register_forward_hook(wait)
    return layers
"""
"""Waits in the middle of a trial; one of three epochs of 60 and 30 images takes 36 calls."""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_that_was_killed_in_a_trial_resumes_to_the_same_choice(
    workers: int,
    arguments: Callable[..., list[str]],
    tune: Callable[..., bytes],
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = files.folder / "network.py"
    network.write_text(STUCK_NETWORK)
    options: dict[str, Any] = {"model": f"{network}:net", "trials": 5, "workers": workers}
    words = arguments("killed", **options)
    environment = {**os.environ, "STUCK_AT": "60", "OMP_NUM_THREADS": "1"}
    process = Forked(run_perfsuite, words, output=Path(os.devnull), env=environment)
    deadline = time.monotonic() + 120
    while not (files.folder / "stuck").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = json.loads((files.study("killed") / "study.json").read_text())
    assert len(before["trials"]) < 5
    output = files.folder / "output"
    resumed = Forked(run_perfsuite, words, output=output, env={**environment, "STUCK_AT": ""})
    assert resumed.wait() == 0, output.read_text()
    monkeypatch.setattr(run_module, "workers_started", in_any_order)
    assert (files.study("killed") / "study.json").read_bytes() == tune("whole", **options)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_the_order_in_which_workers_finish_changes_nothing(
    sampler: str, tune: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "workers_started", in_any_order)
    records = {tune(f"{sampler}{number}", sampler=sampler, trials=12, workers=3) for number in range(3)}
    assert len(records) == 1


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_without_a_pruner_the_number_of_workers_changes_nothing(
    sampler: str, tune: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tune("one", sampler=sampler, pruner="none", trials=6)

    monkeypatch.setattr(run_module, "workers_started", in_any_order)
    assert tune("several", sampler=sampler, pruner="none", trials=6, workers=3) == one


def test_two_workers_are_two_processes_and_give_what_one_gives(tune: Callable[..., bytes]) -> None:
    options: dict[str, Any] = {"sampler": "random", "pruner": "none", "trials": 4}
    assert tune("two", **options, workers=2) == tune("one", **options)


def test_more_trials_are_added_to_a_study(tune: Callable[..., bytes]) -> None:
    tune("grown", trials=3)
    assert tune("grown", trials=9) == tune("whole", trials=9)


def test_bad_trials_are_pruned_and_never_chosen(tune: Callable[..., bytes]) -> None:
    study = study_in(tune(trials=14, learning_rate="0.0001:0.1"))
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    chosen = chosen_trial(study, "fp32")
    assert pruned
    assert all(len(trial.curves[0].loss) < 3 for trial in pruned)
    assert chosen is not None
    assert chosen.state == "complete"
    complete = [trial.curves[0].loss[-1] or 9 for trial in study.trials if trial.state == "complete"]
    assert chosen.curves[0].loss[-1] == min(complete)
    assert not [trial for trial in study_in(tune("none", trials=14, pruner="none")).trials if trial.state == "pruned"]


def test_a_setting_that_diverges_is_said_and_never_chosen(tune: Callable[..., bytes]) -> None:
    options: dict[str, Any] = {"sampler": "grid", "momentum": "0.99", "weight_decay": "1", "batch_size": "8"}
    study = study_in(tune(**options, learning_rate="0.01,100"))
    states = {trial.setting.learning_rate: trial.state for trial in study.trials}
    assert states == {0.01: "complete", 100.0: "diverged"}
    chosen = chosen_trial(study, "fp32")
    assert chosen is not None
    assert chosen.setting.learning_rate == 0.01


def test_a_grid_has_every_combination_once(tune: Callable[..., bytes]) -> None:
    study = study_in(
        tune(
            sampler="grid", trials=100, momentum="0.9", weight_decay="0,1e-4", learning_rate="0.01:0.04", pruner="none"
        )
    )
    settings = {
        (trial.setting.learning_rate, trial.setting.weight_decay, trial.setting.batch_size) for trial in study.trials
    }
    rates, decays, sizes = (set(values) for values in zip(*settings, strict=True))
    assert (rates, decays, sizes) == ({0.01, 0.02, 0.04}, {0.0, 1e-4}, {8, 16, 32})
    assert len(study.trials) == len(settings) == 18


def test_every_precision_has_the_same_settings_and_epochs(tune: Callable[..., bytes]) -> None:
    study = study_in(tune(trials=9, precisions="fp32,amp", learning_rate="0.0001:0.1"))
    assert study.precisions == ("fp32", "amp-bf16")
    for trial in study.trials:
        assert len({len(curve.loss) for curve in trial.curves}) == 1
    assert any(trial.curves[0].loss != trial.curves[1].loss for trial in study.trials)


def test_the_recipe_that_was_written_loads_and_trains(
    arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    target = files.folder / "tuned.toml"
    words = [*arguments(trials=5, seeds=2), "-o", str(target)]
    assert main(words) == 0
    assert f"--perf-recipe={target}" in capsys.readouterr().err
    study = study_in((files.study() / "study.json").read_bytes())
    chosen = chosen_trial(study, "fp32")
    assert chosen is not None
    recipe = read_recipe(str(target), Path.cwd())
    assert chosen.setting.applied_to(recipe) == recipe
    assert (recipe.name, recipe.epochs, recipe.num_train, recipe.num_test) == ("tuned", 3, 60, 30)
    # And it is trained: tuned again around itself, its first trial is the one that was chosen.
    again = arguments(
        "again", trials=1, recipe=target, weight_decay=f"{recipe.weight_decay},1", batch_size=recipe.batch_size
    )
    assert main(again) == 0
    (trial,) = study_in((files.study("again") / "study.json").read_bytes()).trials
    assert trial.curves == chosen.curves
    content = target.read_text()
    assert main(words) == 0  # the same again is no conflict
    assert target.read_text() == content


def test_several_precisions_have_a_recipe_each(arguments: Callable[..., list[str]], files: Files) -> None:
    assert main([*arguments(precisions="fp32,amp", trials=2), "-o", str(files.folder / "tuned.toml")]) == 0
    assert sorted(path.name for path in files.folder.glob("tuned*")) == ["tuned-amp-bf16.toml", "tuned-fp32.toml"]


def test_a_finished_study_is_shown_again_without_a_training(
    arguments: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    files: Files,
) -> None:
    words = arguments(seeds=2, precisions="fp32,amp")
    assert main(words) == 0
    first = capsys.readouterr().out
    from perfsuite.workloads.training import Training

    monkeypatch.setattr(Training, "train_epoch", None)
    assert main(words) == 0
    assert capsys.readouterr().out == first
    assert main(["tune", "--study", str(files.study()), "--show"]) == 0
    assert capsys.readouterr().out == first


def test_showing_a_study_needs_neither_torch_nor_optuna(tune: Callable[..., bytes], files: Files) -> None:
    tune()
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['optuna'] = None\n"
        "from perfsuite.cli import main\n"
        f"assert main(['tune', '--study', {str(files.study())!r}, '--show']) == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_progress_says_how_much_is_done_and_left(
    arguments: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(trials=3, seeds=1)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("[1/3]  learning rate 0.02, momentum 0.9, weight decay 1e-06, batch 8: fp32 loss ")
    assert "about" in lines[0]
    assert lines[0].endswith(" left")
    assert lines[3].startswith("[1/1] retrained fp32 with seed 1, ")


def test_optuna_s_own_tools_read_the_journal(tune: Callable[..., bytes], files: Files) -> None:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    study = study_in(tune(trials=6))
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(files.study() / "optuna.journal")))
    loaded = optuna.load_study(study_name="perfsuite", storage=storage)
    chosen = chosen_trial(study, "fp32")
    assert chosen is not None
    assert loaded.best_trial.number == chosen.number
    assert loaded.best_value == chosen.curves[0].loss[-1]

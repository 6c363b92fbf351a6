from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from training_builders import make_predicted_training, make_training

from perfsuite.analysis.figures.export import save_chart
from perfsuite.analysis.figures.panels import whole_figure
from perfsuite.analysis.figures.tuning import tuning_chart
from perfsuite.analysis.frames.tuning import own_choices, retrained_groups, retrained_rows, trial_rows
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.tables.tuning import retrained_table, tuning_table
from perfsuite.errors import RecordError, ResultFileError
from perfsuite.recipes import SMOKE
from perfsuite.records.retraining import Retraining
from perfsuite.records.study import (
    Curve,
    Setting,
    Study,
    StudyTrial,
    chosen_recipe,
    chosen_trial,
    mean_errors,
    read_study,
)
from perfsuite.study_files import read_retraining_file, read_study_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RECIPE = dataclasses.replace(SMOKE, epochs=2)


def make_trial(number: int, losses: dict[str, Sequence[float | None]], **changes: Any) -> StudyTrial:
    curves = tuple(
        Curve(
            precision=name,
            loss=tuple(loss),
            accuracy=tuple(0.5 - (value or 2) / 10 for value in loss),
            is_diverged=len(loss) < 2 and changes.get("state", "complete") != "pruned",
        )
        for name, loss in losses.items()
    )
    setting = Setting(
        learning_rate=0.001 * (number + 1), momentum=0.9, weight_decay=1e-5, batch_size=8 * 2 ** (number % 2)
    )
    return StudyTrial(**{"number": number, "setting": setting, "state": "complete", "curves": curves, **changes})


def make_study(trials: Sequence[StudyTrial], **changes: Any) -> Study:
    values: dict[str, Any] = {
        "model": "resnet18",
        "model_digest": "",
        "precisions": tuple(curve.precision for curve in trials[0].curves),
        "recipe": RECIPE,
        "ranges": {
            "learning_rate": (1e-4, 1.0),
            "momentum": (0.8, 0.98),
            "weight_decay": (1e-6, 1e-3),
            "batch_size": (8, 16),
        },
        "is_range": {"learning_rate": True, "momentum": True, "weight_decay": True, "batch_size": False},
        "sampler": "tpe",
        "pruner": "median",
        "seed": 0,
        "score": "loss",
        "num_workers": 1,
        "num_threads": 1,
        "memory_format": "contiguous",
        "image_size": 32,
        "num_classes": 10,
        "num_train": 1024,
        "num_validation": 256,
        "data_sha256": "f" * 64,
        "environment": {"torch": "2.13.0"},
        "trials": tuple(trials),
    }
    return Study(**{**values, **changes})


def both(fp32: Sequence[float | None], amp: Sequence[float | None]) -> dict[str, Sequence[float | None]]:
    return {"fp32": fp32, "amp-fp16": amp}


@pytest.fixture
def study() -> Study:
    return make_study(
        [
            make_trial(0, both([2.0, 1.9], [2.0, 1.7])),
            make_trial(1, both([2.0, 1.5], [2.0, 1.8])),
            make_trial(2, both([1.2], [1.2]), state="pruned"),
            make_trial(3, both([], []), state="diverged"),
            make_trial(4, both([2.0, 1.95], [2.1])),
        ]
    )


def trainings_of(study: Study, gain: float, seeds: Sequence[int], *, noise: float = 0.0) -> Retraining:
    """Return trainings of both choices in both precisions; AMP gains by its own choice."""
    found = []
    scatter = np.random.default_rng(0)
    for chosen in ("fp32", "amp-fp16"):
        for precision in study.precisions:
            for seed in seeds:
                own = gain if (chosen, precision) == ("amp-fp16", "amp-fp16") else 0.0
                training = make_predicted_training(
                    precision, seed=seed, loss=-own + noise * scatter.normal(), run_id=chosen
                )
                found.append(dataclasses.replace(training, recipe=chosen_recipe(study, chosen)))  # type: ignore[arg-type]
    return Retraining(trainings=tuple(found))


def test_the_choice_is_the_smallest_error_among_whole_trials(study: Study) -> None:
    numbers = {name: trial.number for name in study.precisions if (trial := chosen_trial(study, name))}
    assert numbers == {"fp32": 1, "amp-fp16": 0}


def test_equal_accuracies_are_decided_by_the_loss() -> None:
    curves = [Curve(precision="fp32", loss=(2.0, loss), accuracy=(0.1, 0.3)) for loss in (1.9, 1.8, 1.85)]
    trials = [
        dataclasses.replace(make_trial(n, {"fp32": (2.0, 1.9)}), curves=(curve,)) for n, curve in enumerate(curves)
    ]
    chosen = chosen_trial(make_study(trials, score="accuracy"), "fp32")
    assert chosen is not None
    assert chosen.number == 1


def test_what_is_worse_than_guessing_counts_as_guessing(study: Study) -> None:
    curves = make_trial(0, both([9.0, None], [1.0, 2.0])).curves
    assert mean_errors(study, curves) == pytest.approx([(np.log(10) + 1.0) / 2, (np.log(10) + 2.0) / 2])


def test_rows_begin_with_the_best_and_end_with_what_diverged(study: Study) -> None:
    rows = trial_rows(study)
    assert [row["number"] for row in rows] == [1, 0, 4, 2, 3]
    assert [row["chosen_for"] for row in rows] == ["fp32", "amp-fp16", None, None, None]
    assert rows[3]["state"] == "pruned"
    assert rows[4]["loss_fp32"] is None


@pytest.mark.parametrize(
    ("gain", "answer"),
    [
        (0.05, "Yes: its own gain at least "),
        (-0.05, "No: its own lose at least "),
        (0.0, "Not shown: its own gain at most "),
    ],
)
def test_whether_amp_needs_others_is_answered_with_an_interval(study: Study, gain: float, answer: str) -> None:
    groups = retrained_groups(study, trainings_of(study, gain, range(1, 5)))
    (choice,) = own_choices(study, groups)
    assert choice.low is not None
    assert choice.high is not None
    assert choice.low < gain < choice.high
    assert answer in choice.in_words
    assert "95% interval over 4 seeds, paired" in choice.in_words


def test_the_interval_contains_the_truth_as_often_as_it_says(study: Study) -> None:
    """Seeds scatter by 1.5 points in either setting, as those of a short recipe do; 4 seeds, 60 studies."""
    num_inside = 0
    for repeat in range(60):
        retraining = trainings_of(study, 0.01, range(4 * repeat, 4 * repeat + 4))
        (choice,) = own_choices(study, retrained_groups(study, retraining))
        assert choice.low is not None
        assert choice.high is not None
        num_inside += choice.low < 0.01 < choice.high
    assert num_inside >= 53  # at 95%, fewer have a chance of 1%


def test_one_seed_gives_no_interval(study: Study) -> None:
    (choice,) = own_choices(study, retrained_groups(study, trainings_of(study, 0.05, [1])))
    assert (choice.low, choice.high, choice.num_seeds) == (None, None, 1)
    assert "Cannot tell. " in choice.in_words
    assert "one seed gives no interval" in choice.in_words


def test_without_a_retraining_nothing_is_known(study: Study) -> None:
    (choice,) = own_choices(study, [])
    assert choice.in_words.endswith("Not known: nothing was retrained (--seeds 0).")


def test_the_same_choice_needs_no_interval() -> None:
    study = make_study([make_trial(0, both([2.0, 1.5], [2.0, 1.5])), make_trial(1, both([2.0, 1.9], [2.0, 1.9]))])
    (choice,) = own_choices(study, [])
    assert choice.in_words.endswith("No: the search chose the same setting for both.")


def test_with_the_same_choice_the_precisions_are_compared() -> None:
    study = make_study([make_trial(0, both([2.0, 1.5], [2.0, 1.5])), make_trial(1, both([2.0, 1.9], [2.0, 1.9]))])
    groups = retrained_groups(study, trainings_of(study, -0.05, [1, 2, 3]))
    (choice,) = own_choices(study, groups)
    assert choice.difference is not None
    assert choice.low is not None
    assert choice.high is not None
    assert choice.low < choice.difference < choice.high < 0
    assert "same setting for both. With it, amp-fp16 minus fp32: -" in choice.in_words


def test_trainings_of_another_choice_are_left_out(study: Study) -> None:
    retraining = trainings_of(study, 0.0, [1, 2])
    assert len(retrained_groups(study, retraining)) == 4
    grown = dataclasses.replace(study, trials=(*study.trials, make_trial(5, both([1.0, 1.0], [1.0, 1.0]))))
    assert retrained_groups(grown, retraining) == []


def test_an_accuracy_has_its_interval(study: Study) -> None:
    rows = retrained_rows(retrained_groups(study, trainings_of(study, 0.0, [1, 2, 3])))
    assert [(row["setting_of"], row["precision"], row["num_seeds"]) for row in rows] == [
        ("fp32", "fp32", 3),
        ("fp32", "amp-fp16", 3),
        ("amp-fp16", "fp32", 3),
        ("amp-fp16", "amp-fp16", 3),
    ]
    for row in rows:
        assert row["test_accuracy_low"] < row["test_accuracy"] < row["test_accuracy_high"]


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_a_terminal(study: Study, width: int) -> None:
    tables = [
        tuning_table(study),
        retrained_table(study, trainings_of(study, 0.05, [1, 2])),
        retrained_table(study, None),
    ]
    texts = [render_terminal(table, width=width, color=False) for table in tables]
    assert all(len(line) <= width for text in texts for line in text.splitlines())
    assert "not shown" not in texts[0]
    assert "pruned, epoch 1" in texts[0]
    assert "Does amp-fp16 need other hyperparameters than fp32?" in " ".join(texts[1].split())
    assert texts[2].startswith("Nothing was retrained")


def test_the_figure_has_a_panel_for_what_varies_and_is_the_same_bytes(study: Study, tmp_path: Path) -> None:
    drawing = tuning_chart(study)
    assert drawing is not None
    assert [panel.title.partition("\n")[0] for panel in drawing.panels] == [
        "learning rate",
        "batch size",
        "learning rate and batch size, fp32",
        "learning rate and batch size, amp-fp16",
    ]
    assert "fp32: learning rate 0.002" in drawing.finding
    for name in ("one.svg", "two.svg"):
        save_chart(whole_figure(drawing), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_one_trial_gives_no_figure(study: Study) -> None:
    assert tuning_chart(dataclasses.replace(study, trials=study.trials[:1])) is None


def test_a_study_comes_back_from_json(study: Study) -> None:
    assert read_study(study.to_json()) == study


@pytest.mark.parametrize(
    "change",
    [
        {"precisions": ()},
        {"ranges": {}},
        {"trials": (make_trial(1, {"fp32": (1.0, 1.0)}), make_trial(0, {"fp32": (1.0, 1.0)}))},
        {"trials": (make_trial(0, {"fp16": (1.0, 1.0)}),)},
        {"trials": (make_trial(0, {"fp32": (1.0, 1.0, 1.0)}),)},
        {"trials": (make_trial(0, {"fp32": (1.0, 1.0)}, state="diverged"),)},
        {"trials": (make_trial(2000, {"fp32": (1.0, 1.0)}),)},
    ],
)
def test_a_study_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    study = make_study([make_trial(0, {"fp32": (1.0, 1.0)})])
    with pytest.raises(RecordError):
        dataclasses.replace(study, **change)


@pytest.mark.parametrize("content", ["", "[]", '{"schema": "perfsuite-retraining-1", "trainings": [{}]}'])
def test_a_damaged_file_of_trainings_is_one_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / "retraining.json"
    assert read_retraining_file(path) is None
    path.write_text(content)
    with pytest.raises(ResultFileError):
        read_retraining_file(path)
    with pytest.raises(FileNotFoundError):
        read_study_file(tmp_path / "study.json")


def test_trainings_come_back_from_json() -> None:
    from perfsuite.records.retraining import read_retraining

    retraining = Retraining(trainings=(make_training(), make_training("amp-fp16")))
    assert read_retraining(retraining.to_json()) == retraining

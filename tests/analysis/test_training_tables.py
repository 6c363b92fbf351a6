from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import make_content, make_entry, make_record, make_workload

from perfsuite.analysis.collect import Results, collect
from perfsuite.analysis.confusion import likeness
from perfsuite.analysis.tables import render_json, render_terminal
from perfsuite.analysis.training_tables import accuracy_frame
from perfsuite.analysis.views import build_table
from perfsuite.recipes import STUDY, recipe_for
from perfsuite.records import Process
from perfsuite.training_record import DataIdentity, EpochRecord, TrainingRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def make_training(
    precision: str = "fp32", *, accuracy: float = 0.83, seed: int = 0, seconds: float = 3600.0, **changes: Any
) -> TrainingRecord:
    confusion = np.full((10, 10), 10)
    np.fill_diagonal(confusion, 910)
    confusion[1, 9] = 100
    epoch = EpochRecord(
        epoch=1,
        learning_rate=0.1,
        train_loss=1.5,
        validation_loss=1.4,
        validation_accuracy=0.5,
        loss_scale=None if precision == "fp32" else 65536.0,
        num_skipped_steps=0 if precision == "fp32" else 2,
        training_s=50.0,
        evaluation_s=1.0,
    )
    values: dict[str, Any] = {
        "workload": make_workload(precision=precision, phase="full_training"),
        "recipe": recipe_for(STUDY, "resnet18", precision),
        "seed": seed,
        "data": DataIdentity(
            name="CIFAR-10",
            fingerprint="f" * 64,
            split_fingerprint=str(seed) * 64,
            is_canonical=True,
            num_train=45_000,
            num_validation=5_000,
            num_test=10_000,
        ),
        "metrics": {
            "training_time_s": seconds,
            "peak_allocated_bytes": 700 * 2**20 if precision == "fp32" else 450 * 2**20,
            "energy_joules": None,
        },
        "absent": {"energy_joules": "NVML tells no energy here"},
        "history": (epoch, dataclasses.replace(epoch, epoch=2)),
        "confusion": tuple(tuple(row) for row in confusion.tolist()),
        "test_accuracy": accuracy,
        "weights_sha256": f"{precision}-{seed}",
        "num_resumes": 0,
        "deterministic": False,
        "replayed": False,
        "settings": {},
        "proof": (),
        "findings": (),
        "process": Process(run_id="run-1", pid=1, started="2026-01-05T10:00:00+00:00"),
    }
    return TrainingRecord(**{**values, **changes})


def make_training_entry(record: TrainingRecord) -> dict[str, Any]:
    entry = make_entry(make_record(record.workload), [float(record.metrics["training_time_s"] or 0)])
    name = f"test_full_training[{record.workload.model}-{record.workload.precision}-seed{record.seed}]"
    return {**entry, "name": name, "fullname": name, "extra_info": {"perfsuite": record.to_json()}}


@pytest.fixture
def read(write_result: Callable[..., Path]) -> Callable[..., Results]:
    def collected(*records: TrainingRecord) -> Results:
        return collect([write_result(make_content([make_training_entry(record) for record in records]))])

    return collected


def test_a_training_is_never_taken_for_a_step(read: Callable[..., Results]) -> None:
    results = read(make_training())
    assert results.benchmarks.empty
    assert len(results.trainings) == 1
    table = build_table("steps", results)
    assert "full trainings: --table accuracy, confusion, history, thesis" in table.notes


def test_accuracy_shows_amp_against_fp32_with_its_interval(read: Callable[..., Results]) -> None:
    results = read(make_training(), make_training("amp-fp16", accuracy=0.835, seconds=1800.0))
    fp32, amp = accuracy_frame(results).to_dict("records")
    assert fp32["target_accuracy"] == 0.8361
    assert amp["accuracy_difference"] == pytest.approx(0.005)
    # Two binomial variances and two between seeds, one seed each: 1.645 standard errors below.
    expected = 1.645 * np.sqrt(sum(p * (1 - p) / 10_000 * 1 + 0.004**2 for p in (0.83, 0.835)))
    assert amp["difference_low"] == pytest.approx(0.005 - expected, abs=1e-6)
    assert (amp["time_ratio"], amp["memory_ratio"]) == pytest.approx((0.5, 450 / 700))
    text = render_terminal(build_table("accuracy", results), width=None, color=False)
    for expected_text in ("83.00", "83.61", "+0.50 (from", "1:00:00", "700.0"):
        assert expected_text in text


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.845, "no worse"), (0.83, "not shown"), (0.80, "not shown")])
def test_no_worse_is_said_only_where_the_interval_shows_it(
    read: Callable[..., Results], accuracy: float, verdict: str
) -> None:
    results = read(make_training(), make_training("amp-fp16", accuracy=accuracy))
    assert verdict in render_terminal(build_table("accuracy", results), width=None, color=False)


def test_several_seeds_give_mean_deviation_and_n_and_a_sharper_verdict(read: Callable[..., Results]) -> None:
    accuracies = (0.829, 0.830, 0.831, 0.830, 0.830)
    results = read(
        *(make_training(accuracy=value, seed=seed) for seed, value in enumerate(accuracies)),
        *(make_training("amp-fp16", accuracy=value + 0.001, seed=seed) for seed, value in enumerate(accuracies)),
    )
    fp32, amp = accuracy_frame(results).to_dict("records")
    assert (fp32["num_seeds"], fp32["test_accuracy"]) == (5, pytest.approx(0.83))
    assert fp32["test_accuracy_sd"] == pytest.approx(np.std(accuracies, ddof=1))
    assert amp["non_inferior"]
    assert "(n=5)" in render_terminal(build_table("accuracy", results), width=None, color=False)


def test_results_on_other_data_are_never_compared(read: Callable[..., Results]) -> None:
    other = make_training("amp-fp16")
    other = dataclasses.replace(other, data=dataclasses.replace(other.data, fingerprint="0" * 64, is_canonical=False))
    frame = accuracy_frame(read(make_training(), other))
    assert "accuracy_difference" not in frame or frame["accuracy_difference"].isna().all()
    assert frame["target_accuracy"].tolist()[0] == 0.8361
    assert frame["target_accuracy"].isna().tolist() == [False, True]


def test_confusion_names_the_pairs_and_how_alike_the_errors_are(read: Callable[..., Results]) -> None:
    table = build_table("confusion", read(make_training(), make_training("amp-fp16")))
    assert len(table.rows()) == 20
    assert table.rows()[1]["truck"] == 100
    assert any(note.startswith("resnet18 fp32: most confused: automobile and truck (110)") for note in table.notes)
    assert any("errors of amp-fp16 and fp32 are alike by 1.00" in note for note in table.notes)


def test_likeness_is_1_for_the_same_errors_and_less_for_others() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 100, (2, 10, 10))
    assert likeness(one, one) == pytest.approx(1.0)
    assert abs(likeness(one, other)) < 0.5
    assert likeness(np.eye(10), np.eye(10)) == 1.0


def test_history_shows_every_epoch_with_loss_scale_and_skipped_steps(read: Callable[..., Results]) -> None:
    rows = build_table("history", read(make_training("amp-fp16"))).rows()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert (rows[0]["loss_scale"], rows[0]["num_skipped_steps"]) == (65536.0, 2)
    assert rows[0]["training_images_per_second"] == 900.0


def test_the_thesis_table_sets_trainings_beside_the_study(read: Callable[..., Results]) -> None:
    results = read(make_training(), make_training("amp-fp16", accuracy=0.84, seconds=1800.0))
    fp32, amp = json.loads(render_json(build_table("thesis", results)))
    assert (fp32["thesis_accuracy"], fp32["thesis_training_time_s"]) == (0.8361, 3593)
    assert (amp["time_ratio"], amp["thesis_time_ratio"]) == pytest.approx((0.5, 1793 / 3593))


def test_the_time_of_one_training_has_no_interval_and_that_of_several_has_one(read: Callable[..., Results]) -> None:
    one = read(make_training(), make_training("amp-fp16", seconds=1800.0))
    assert "0.50x [no interval]" in render_terminal(build_table("thesis", one), width=None, color=False)
    several = [
        make_training(
            name, seconds=seconds * (1 + 0.01 * seed), seed=seed, weights_sha256=f"{name}{seed}".ljust(64, "0")
        )
        for name, seconds in (("fp32", 3600.0), ("amp-fp16", 1800.0))
        for seed in range(3)
    ]
    table = build_table("thesis", read(*several))
    amp = table.rows()[-1]
    assert (amp["time_ratio_basis"], amp["time_ratio_num_processes"]) == ("processes", 3)
    assert amp["time_ratio_low"] < 0.5 < amp["time_ratio_high"]
    assert "[low, high]: 95% interval over 3 trainings" in table.notes


def test_a_replayed_training_counts_once(write_result: Callable[..., Path]) -> None:
    first = make_training()
    replayed = dataclasses.replace(first, replayed=True)
    paths = [
        write_result(make_content([make_training_entry(record)]), f"{index}.json")
        for index, record in enumerate((replayed, first))
    ]
    results = collect(paths)
    assert len(results.trainings) == 1
    assert not results.trainings[0].record.replayed


@pytest.mark.parametrize("name", ["accuracy", "confusion", "history"])
def test_without_trainings_the_tables_say_how_to_make_some(name: str, write_result: Callable[..., Path]) -> None:
    results = collect([write_result(make_content([make_entry(make_record(), [0.1] * 10)]))])
    assert "pytest -m full_training makes them" in build_table(name, results).notes[0]

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_record, make_workload
from training_builders import make_predicted_training, make_training, make_training_entry

from perfsuite.analysis.figures.registry import build_chart
from perfsuite.analysis.frames.confusion import likeness
from perfsuite.analysis.frames.results import Results, collect
from perfsuite.analysis.frames.trainings import accuracy_frame
from perfsuite.analysis.report.data import gather
from perfsuite.analysis.tables.data_formats import render_csv, render_json
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.tables.trainings import amp_table
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.recipes import SMOKE
from perfsuite.records.environment import Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.records.training import TrainingRecord


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
    assert "full trainings: --table accuracy, confusion, epochs, thesis" in table.legend


def test_accuracy_shows_amp_against_fp32_with_its_interval(read: Callable[..., Results]) -> None:
    results = read(make_training(), make_training("amp-fp16", accuracy=0.835, seconds=1800.0))
    fp32, amp = accuracy_frame(results).to_dict("records")
    assert fp32["target_accuracy"] == 0.8361
    assert amp["accuracy_difference"] == pytest.approx(0.005)
    # Two binomial variances and two between seeds, one seed each; the prior has 8 degrees of freedom.
    se = np.sqrt(sum(p * (1 - p) / 10_000 + 0.004**2 for p in (0.83, 0.835)))
    assert amp["accuracy_difference_bound"] == pytest.approx(0.005 - 1.8595 * se, abs=1e-6)
    assert amp["accuracy_difference_low"] == pytest.approx(0.005 - 2.3060 * se, abs=1e-6)
    assert (amp["time_ratio"], amp["memory_ratio"]) == pytest.approx((0.5, 450 / 700))
    text = render_terminal(build_table("accuracy", results), width=None, color=False)
    for expected_text in ("83.00", "83.61", "+0.50 (lower bound -0.94): no worse", "1:00:00", "700.0"):
        assert expected_text in text


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [(0.845, "no worse"), (0.83, "non-inferiority not shown"), (0.80, "non-inferiority not shown")],
)
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


def test_collect_and_compare_say_the_same_of_amp_and_fp32(
    read: Callable[..., Results], write_result: Callable[..., Path]
) -> None:
    sides = [
        [make_predicted_training(name, seed=seed, loss=loss, run_id=name) for seed in range(3)]
        for name, loss in (("fp32", 0.0), ("amp-fp16", 0.005))
    ]
    _, amp = accuracy_frame(read(*sides[0], *sides[1])).to_dict("records")
    workload = sides[0][0].workload
    paths = [
        write_result(
            make_content([make_training_entry(dataclasses.replace(one, workload=workload)) for one in side]), name
        )
        for side, name in zip(sides, ("fp32.json", "amp.json"), strict=True)
    ]
    (verdict,) = compare(join_sides(*([read_process(path)] for path in paths))).trainings.verdicts
    accuracy = verdict.accuracy
    assert accuracy.details is not None
    assert amp["accuracy_difference_is_paired"]
    assert accuracy.details.is_paired
    assert amp["accuracy_difference"] == accuracy.change
    assert amp["accuracy_difference_bound"] == pytest.approx(accuracy.lower_bound)
    assert (amp["accuracy_difference_low"], amp["accuracy_difference_high"]) == pytest.approx(
        (accuracy.change_low, accuracy.change_high)
    )


def test_predictions_of_one_test_set_make_the_bound_sharper(read: Callable[..., Results]) -> None:
    records = [make_predicted_training(name) for name in ("fp32", "amp-fp16")]
    without = [dataclasses.replace(record, test_predictions=None) for record in records]
    bounds = [accuracy_frame(read(*two))["accuracy_difference_bound"].tolist()[1] for two in (records, without)]
    assert bounds[0] > bounds[1]


@pytest.mark.parametrize(
    ("accuracy", "outcome"), [(0.85, "reached"), (0.816, "cannot tell"), (0.814, "cannot tell"), (0.78, "missed")]
)
def test_a_target_is_reached_or_missed_where_the_whole_interval_is_on_one_side_of_it(
    read: Callable[..., Results], accuracy: float, outcome: str
) -> None:
    results = read(make_training(accuracy=accuracy))
    (row,) = accuracy_frame(results).to_dict("records")
    assert row["test_accuracy_low"] < accuracy < row["test_accuracy_high"]
    assert (row["target_accuracy"], row["target_tolerance"], row["target_outcome"]) == (0.8361, 0.02, outcome)
    assert f"83.61 {outcome}" in render_terminal(build_table("accuracy", results), width=None, color=False)


def test_the_target_of_smoke_is_checked_on_any_images(read: Callable[..., Results]) -> None:
    record = make_training(recipe=SMOKE, accuracy=0.4)
    record = dataclasses.replace(record, data=dataclasses.replace(record.data, is_canonical=False, num_test=512))
    assert accuracy_frame(read(record))["target_outcome"].tolist() == ["reached"]


def test_a_seed_that_was_trained_twice_is_one_sample(read: Callable[..., Results]) -> None:
    records = [
        make_training(accuracy=accuracy, seed=seed, weights_sha256=f"{accuracy}")
        for accuracy, seed in ((0.80, 0), (0.82, 0), (0.83, 1))
    ]
    (row,) = accuracy_frame(read(*records)).to_dict("records")
    assert (row["num_seeds"], row["test_accuracy"]) == (2, pytest.approx(0.82))


def test_seeds_of_a_short_recipe_do_not_widen_the_intervals_of_another(read: Callable[..., Results]) -> None:
    thesis = [make_training(accuracy=0.83, seed=seed, weights_sha256=f"{seed}") for seed in range(3)]
    short = [of_rate(0.01, accuracy, seed) for seed, accuracy in enumerate((0.2, 0.3, 0.4))]
    alone, beside = (accuracy_frame(read(*records)).to_dict("records")[0] for records in (thesis, [*thesis, *short]))
    assert beside["test_accuracy_low"] == alone["test_accuracy_low"]


def test_interruptions_and_the_peak_of_evaluation_are_shown_where_there_are_any(read: Callable[..., Results]) -> None:
    quiet = make_training()
    metrics = {"evaluation_peak_allocated_bytes": 300 * 2**20, "num_interruptions": 1, "lost_time_s": 31.5}
    told = make_training("amp-fp16", metrics={**quiet.metrics, **metrics})
    headings = [
        {column.heading for column in build_table("accuracy", read(*records)).columns}
        for records in ([quiet], [quiet, told])
    ]
    assert headings[1] - headings[0] >= {"evaluation peak MiB", "interrupted", "lost s"}
    csv_header = render_csv(build_table("accuracy", read(quiet))).partition("\n")[0].split(",")
    assert {*metrics, "test_accuracy_low", "target_outcome"} <= set(csv_header)


def test_a_narrow_terminal_shows_the_accuracy_and_names_the_columns_that_it_leaves_out(
    read: Callable[..., Results],
) -> None:
    metrics = {**make_training().metrics, "time_to_target_s": 1.0, "peak_net_bytes": 1, "energy_joules": 1.0}
    records = [make_training(name, metrics=metrics, absent={}) for name in ("fp32", "amp-fp16")]
    table = dataclasses.replace(build_table("accuracy", read(*records)), notes=())
    lines = render_terminal(table, width=80, color=False).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("resnet18 fp32      ") for line in lines) == 1, lines
    *_, note = render_terminal(table, width=80, color=False).partition("not shown at a width of 80 characters: ")
    left_out = note.replace("\n", " ").partition(";")[0].split(", ")
    assert "energy kJ" in left_out
    assert "test accuracy %" not in left_out


def test_results_on_other_data_are_never_compared(read: Callable[..., Results]) -> None:
    other = make_training("amp-fp16")
    other = dataclasses.replace(other, data=dataclasses.replace(other.data, fingerprint="0" * 64, is_canonical=False))
    frame = accuracy_frame(read(make_training(), other))
    assert "accuracy_difference" not in frame or frame["accuracy_difference"].isna().all()
    assert frame["target_accuracy"].tolist() == [0.8361, 0.8367]
    assert frame["target_outcome"].tolist() == ["reached", "not checked"]


def test_confusion_names_the_pairs_and_how_alike_the_errors_are(read: Callable[..., Results]) -> None:
    table = build_table("confusion", read(make_training(), make_training("amp-fp16")))
    assert len(table.rows()) == 20
    assert table.rows()[1]["truck"] == 100
    assert any(note.startswith("resnet18 fp32: most confused: automobile and truck (110)") for note in table.legend)
    assert any("similarity of the errors of amp-fp16 and fp32: 1.00" in note for note in table.legend)


def test_likeness_is_1_for_the_same_errors_and_less_for_others() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 100, (2, 10, 10))
    assert likeness(one, one) == pytest.approx(1.0)
    assert abs(likeness(one, other)) < 0.5
    assert likeness(np.eye(10), np.eye(10)) == 1.0


def test_history_shows_every_epoch_with_loss_scale_and_skipped_steps(read: Callable[..., Results]) -> None:
    rows = build_table("epochs", read(make_training("amp-fp16"))).rows()
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
    assert "[low, high]: 95% interval over 3 trainings" in table.legend


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


@pytest.mark.parametrize("name", ["accuracy", "confusion", "epochs"])
def test_without_trainings_the_tables_say_how_to_make_some(name: str, write_result: Callable[..., Path]) -> None:
    results = collect([write_result(make_content([make_entry(make_record(), [0.1] * 10)]))])
    assert "pytest -m full_training makes them" in build_table(name, results).notes[0]


def two_trained(**of_candidate: Any) -> tuple[TrainingRecord, TrainingRecord]:
    """Return the trainings of one file: one replayed under another torch than it was trained in, one trained now."""
    old = dataclasses.replace(ENVIRONMENT, torch="2.12.0+cu130", cudnn="91001")
    return (
        make_training(replayed=True, environment=old, process=Process(run_id="old", pid=1, started="2026-01-04")),
        make_training("amp-fp16", environment=ENVIRONMENT, **of_candidate),
    )


def test_a_training_carries_its_own_environment_not_that_of_the_file_it_was_replayed_into(
    read: Callable[..., Results],
) -> None:
    results = read(*two_trained())
    assert [one.environment["torch"] for one in results.trainings] == ["2.12.0+cu130", "2.13.0+cu130"]
    assert [one.environment["host"] for one in results.trainings] == [None, "host"]
    frame = accuracy_frame(results)
    assert frame["torch"].tolist() == ["2.12.0+cu130", "2.13.0+cu130"]
    assert frame["cudnn"].tolist() == ["91001", "91002"]
    assert "accuracy_difference" not in frame  # of two environments
    text = render_terminal(build_table("accuracy", results), width=None, color=False)
    assert "2.12.0+cu130" in text


def test_a_replay_of_the_same_environment_is_compared_with_what_is_trained_now(read: Callable[..., Results]) -> None:
    records = (
        make_training(replayed=True, environment=ENVIRONMENT),
        make_training("amp-fp16", environment=ENVIRONMENT),
    )
    assert accuracy_frame(read(*records))["accuracy_difference"].notna().tolist() == [False, True]


@pytest.mark.parametrize("changes", [{"replayed": True}, {"num_resumes": 2}])
def test_what_an_older_perfsuite_replayed_or_resumed_is_of_unknown_environment(
    write_result: Callable[..., Path], changes: dict[str, Any]
) -> None:
    entries = []
    for record in (make_training(**changes), make_training("amp-fp16")):
        entry = make_training_entry(record)
        content = entry["extra_info"]["perfsuite"]
        del content["environment"]
        entries.append({**entry, "extra_info": {"perfsuite": {**content, "schema_version": 3}}})
    results = collect([write_result(make_content(entries))])
    unknown, known = results.trainings
    assert set(unknown.environment.values()) == {None}
    assert known.environment["device"] == "Tesla T4"
    table = build_table("accuracy", results)
    assert [row["place"].startswith("unknown") for row in table.rows()] == [True, False]
    assert any("unknown training environment of test_full_training[resnet18-fp32-seed0]" in x for x in table.notes)
    only = collect([write_result(make_content(entries[:1]), "only.json")])
    assert "unknown training environment" in build_table("accuracy", only).title


def of_rate(
    learning_rate: float, accuracy: float, seed: int = 0, precision: str = "fp32", **changes: Any
) -> TrainingRecord:
    """Return a training by a recipe of one name, whatever its learning rate."""
    recipe = dataclasses.replace(SMOKE, name="mine", learning_rate=learning_rate)
    weights = f"{precision}{seed}{learning_rate}{accuracy}"
    return make_training(precision, accuracy=accuracy, seed=seed, recipe=recipe, weights_sha256=weights, **changes)


def test_two_recipes_of_one_name_are_two_rows_and_show_what_differs(read: Callable[..., Results]) -> None:
    results = read(of_rate(0.01, 0.0625), of_rate(0.5, 0.0))
    frame = accuracy_frame(results)
    assert frame["initial_learning_rate"].tolist() == [0.01, 0.5]
    assert frame["test_accuracy"].tolist() == [0.0625, 0.0]
    for name, per_training in (("accuracy", 1), ("epochs", 2), ("confusion", 10)):
        table = build_table(name, results)
        (column,) = (one for one in table.columns if one.heading == "initial learning rate")
        shown = [column.show(row) for row in table.rows()]
        assert shown == ["0.01"] * per_training + ["0.5"] * per_training, name


@pytest.mark.parametrize(
    "field",
    [
        field.name
        for field in dataclasses.fields(SMOKE)
        if field.name not in {"name", "source", "target_accuracy"} and not field.name.startswith("num_")
    ],
)
def test_whatever_a_recipe_says_of_the_training_separates_two_of_one_name(
    field: str, read: Callable[..., Results]
) -> None:
    one = of_rate(0.01, 0.3)
    value = getattr(one.recipe, field)
    changes: dict[str, Any] = {field: value + 1 if isinstance(value, int) else value / 2 + 0.3}
    other = dataclasses.replace(one.recipe, **changes)
    results = read(one, dataclasses.replace(one, recipe=other, weights_sha256="f" * 64))
    assert len(accuracy_frame(results)) == 2


def test_seeds_of_one_recipe_are_one_row_whatever_the_recipe_is_called(read: Callable[..., Results]) -> None:
    other = of_rate(0.01, 0.4, seed=1)
    other = dataclasses.replace(other, recipe=dataclasses.replace(other.recipe, name="yours"))
    (row,) = accuracy_frame(read(of_rate(0.01, 0.3), other)).to_dict("records")
    assert (row["num_seeds"], row["test_accuracy"], row["recipe"]) == (2, pytest.approx(0.35), "mine, yours")


@pytest.mark.parametrize(
    ("changes", "heading", "shown"),
    [
        ({"deterministic": True}, "deterministic", ["no", "yes"]),
        ({"settings": {"cudnn_benchmark": True}}, "cudnn benchmark", ["-", "yes"]),
        ({"workload": make_workload(phase="full_training", gradients="kept")}, "gradients", ["freed", "kept"]),
        (
            {"workload": make_workload(phase="full_training", memory_format="channels_last")},
            "memory format",
            ["contiguous", "channels_last"],
        ),
    ],
)
def test_trainings_that_differ_in_what_determines_them_are_not_averaged(
    read: Callable[..., Results], changes: dict[str, Any], heading: str, shown: list[str]
) -> None:
    table = build_table("accuracy", read(of_rate(0.01, 0.3), of_rate(0.01, 0.4, seed=1, **changes)))
    (column,) = (one for one in table.columns if one.heading == heading)
    assert [column.show(row) for row in table.rows()] == shown


def test_another_split_is_not_averaged(read: Callable[..., Results]) -> None:
    one = of_rate(0.01, 0.3)
    other = dataclasses.replace(of_rate(0.01, 0.4, seed=1), data=dataclasses.replace(one.data, num_train=1024))
    assert accuracy_frame(read(one, other))["num_train"].tolist() == [45_000, 1024]


def test_amp_is_compared_with_fp32_of_its_own_recipe(read: Callable[..., Results]) -> None:
    amp = of_rate(0.5, 0.2, precision="amp-fp16", settings={"loss_scaling": "dynamic"})
    bases = [of_rate(rate, rate / 2, settings={"loss_scaling": "none"}) for rate in (0.01, 0.5)]
    frame = accuracy_frame(read(*bases, amp))
    assert frame["accuracy_difference"].tolist()[-1] == pytest.approx(0.2 - 0.25)


def test_a_target_that_differs_separates_nothing_and_its_time_is_no_mean(read: Callable[..., Results]) -> None:
    first, second = (
        dataclasses.replace(
            record,
            recipe=dataclasses.replace(record.recipe, target_accuracy=target),
            metrics={**record.metrics, "time_to_target_s": 10.0},
        )
        for record, target in ((of_rate(0.01, 0.3), 0.1), (of_rate(0.01, 0.3, seed=1), 0.2))
    )
    (row,) = accuracy_frame(read(first, second)).to_dict("records")
    assert (row["num_seeds"], row["time_to_target_s"], row["target_accuracy"]) == (2, None, None)
    (same,) = accuracy_frame(read(first, dataclasses.replace(second, recipe=first.recipe))).to_dict("records")
    assert same["time_to_target_s"] == 10.0


def test_only_trainings_by_the_thesis_s_recipe_are_compared_with_it_and_others_are_named(
    read: Callable[..., Results],
) -> None:
    smoke = make_training("amp-fp16", recipe=SMOKE, seconds=55.0)
    table = build_table("thesis", read(make_training(), smoke))
    assert [row["precision"] for row in table.rows()] == ["fp32"]
    (note,) = (note for note in table.notes if note.startswith("not compared with the thesis"))
    assert "resnet18 amp-fp16 smoke (epochs 5, not 50, batch size 8, not 128" in note
    alone = build_table("thesis", read(smoke))
    assert alone.is_empty
    assert any("not compared with the thesis" in note for note in alone.notes)


def test_a_part_of_the_images_is_not_compared_with_the_thesis(read: Callable[..., Results]) -> None:
    record = make_training()
    record = dataclasses.replace(record, data=dataclasses.replace(record.data, num_train=1000))
    assert any("num train 1000, not 45000" in note for note in build_table("thesis", read(record)).notes)


def test_bfloat16_is_compared_with_the_thesis_s_amp_and_says_so(read: Callable[..., Results]) -> None:
    table = build_table("thesis", read(make_training(), make_training("amp-bf16", seconds=1800.0)))
    assert [row["thesis_accuracy"] for row in table.rows()] == [0.8361, 0.8367]
    assert table.rows()[1]["thesis_time_ratio"] == pytest.approx(1793 / 3593)
    assert "amp-bf16 is compared with the thesis's AMP, which computed in float16" in table.notes


def test_what_the_thesis_did_not_train_is_named(read: Callable[..., Results]) -> None:
    table = build_table("thesis", read(make_training(), make_training("tf32")))
    assert any("(resnet18 in tf32 was not trained)" in note for note in table.notes)


def test_what_is_compared_with_fp32_is_called_amp_only_where_it_is(read: Callable[..., Results]) -> None:
    names = {}
    for precision in ("amp-fp16", "bf16-sr"):
        table = amp_table(read(make_training(), make_training(precision)))
        names[precision] = table.title
        headings = [column.heading for column in table.columns]
        assert any(heading.startswith("time, AMP") for heading in headings) == (precision == "amp-fp16")
    assert names["amp-fp16"] == "AMP vs FP32 in full trainings"
    assert names["bf16-sr"] == "Other precisions vs FP32 in full trainings"


@pytest.mark.parametrize("precision", ["bf16", "bf16-sr"])
def test_a_training_with_bf16_weights_is_not_compared_with_the_thesis(
    precision: str, read: Callable[..., Results]
) -> None:
    table = build_table("thesis", read(make_training(), make_training(precision)))
    assert [row["precision"] for row in table.rows()] == ["fp32"]
    assert any(f"(resnet18 in {precision} was not trained)" in note for note in table.notes)


def test_steps_are_compared_with_the_thesis_where_the_trainings_cannot_be(write_result: Callable[..., Path]) -> None:
    entries = [make_entry(make_record(), [0.1] * 10), make_training_entry(make_training(recipe=SMOKE))]
    table = build_table("thesis", collect([write_result(make_content(entries))]))
    assert "projected_training_time_s" in table.rows()[0]
    assert any("not compared with the thesis" in note for note in table.notes)


@pytest.mark.parametrize("name", ["epochs", "confusion"])
def test_figures_distinguish_two_recipes_of_one_name(name: str, write_result: Callable[..., Path]) -> None:
    records = [of_rate(0.01, 0.3), of_rate(0.5, 0.2)]
    path = write_result(make_content([make_training_entry(record) for record in records]))
    drawing = build_chart(name, gather([path]))
    for rate in ("0.01", "0.5"):
        assert any(f"initial learning rate {rate}" in panel.title for panel in drawing.panels)
        assert f"initial learning rate {rate}" in drawing.finding

"""The decision between GPUs: every number against a second computation, and what may not be compared."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_content, make_workload
from gpu_builders import A100, CPU, T4, TITAN, V100, gpu_content, out_of_memory
from scipy import stats
from training_builders import make_training, make_training_entry

from perfsuite.analysis.frames.gpu_best import best_of
from perfsuite.analysis.frames.gpu_notes import decision_notes
from perfsuite.analysis.frames.gpu_words import decision_lines, missing_text
from perfsuite.analysis.frames.gpus import decide_gpus
from perfsuite.analysis.frames.pooled import by_file
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.thesis import thesis_frame
from perfsuite.formatting import GIB_BYTES, MIB_BYTES
from perfsuite.records.environment import Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.analysis.frames.gpus import GpuDecision, GpuRow


def rounds(seconds: float, seed: int, num: int = 20) -> list[float]:
    generator = np.random.default_rng(seed)
    return [float(value) for value in seconds * np.exp(generator.normal(0, 0.01, num))]


def cells(scale: float, seed: int, *, batch_size: int = 128, other: str = "amp-fp16") -> Any:
    process = float(np.exp(np.random.default_rng(1000 + seed).normal(0, 0.01)))
    return {
        (model, precision, batch_size): rounds(0.1 * scale * size * factor * process, seed)
        for model, size in (("resnet18", 1.0), ("resnet50", 3.0))
        for precision, factor in (("fp32", 1.0), (other, 0.5))
    }


def decide(paths: list[Path], **choices: Any) -> GpuDecision:
    return decide_gpus(collect(paths), **choices)


def row_of(decision: GpuDecision, model: str, label: str) -> GpuRow:
    (row,) = (row for row in decision.rows if (row.network.model, row.environment.label) == (model, label))
    return row


@pytest.fixture
def files(write_result: Callable[..., Path]) -> list[Path]:
    """Return three processes on a T4 and two on an A100, which takes three tenths of the time."""
    contents = [gpu_content(cells(1.0, n), run_id=f"t{n}", joules_per_image=0.03) for n in range(3)]
    contents += [
        gpu_content(cells(0.3, n, other="amp-bf16"), environment=A100, run_id=f"a{n}", joules_per_image=0.01 + n / 1000)
        for n in range(10, 12)
    ]
    return [write_result(content, f"{number}.json") for number, content in enumerate(contents)]


def medians_of(paths: list[Path], model: str, precision: str) -> np.ndarray[Any, Any]:
    """Return the median of each process, read from the JSON with nothing of perfsuite."""
    found = []
    for path in paths:
        for entry in json.loads(path.read_text())["benchmarks"]:
            workload = entry["extra_info"]["perfsuite"]["workload"]
            if (workload["model"], workload["precision"]) == (model, precision):
                found.append(np.median(entry["stats"]["data"]))
    return np.array(found)


@pytest.mark.parametrize(("model", "epochs"), [("resnet18", 50), ("resnet50", 60)])
def test_every_number_agrees_with_a_second_computation_from_the_files(
    files: list[Path], model: str, epochs: int
) -> None:
    decision = decide(files, prices={"A100": 1.1})
    row, base = row_of(decision, model, "A100"), row_of(decision, model, "T4")
    t4, a100 = medians_of(files[:3], model, "amp-fp16"), medians_of(files[3:], model, "amp-bf16")
    assert (len(t4), len(a100)) == (3, 2)
    speed = 128 / stats.gmean(a100)
    assert row.fastest is not None
    assert base.fastest is not None
    assert row.fastest.images_per_second == pytest.approx(speed)
    assert base.fastest.images_per_second == pytest.approx(128 / stats.gmean(t4))
    assert row.steps["fp32"].images_per_second == pytest.approx(128 / stats.gmean(medians_of(files[3:], model, "fp32")))
    welch = stats.ttest_ind(np.log(t4), np.log(a100), equal_var=False).confidence_interval(0.95)
    assert row.speed is not None
    assert row.speed.ratio == pytest.approx(stats.gmean(t4) / stats.gmean(a100))
    assert (row.speed.low, row.speed.high) == pytest.approx((math.exp(welch.low), math.exp(welch.high)), rel=1e-6)
    assert row.speed.basis == "processes"
    images, energy = epochs * 45_000, (0.020 + 0.021) / 2
    assert row.projected.time_s == pytest.approx(images / speed)
    assert row.projected.money == pytest.approx(1.1 * images / speed / 3600)
    assert row.projected.energy_joules == pytest.approx(images * energy)
    assert row.images_per_joule == pytest.approx(1 / energy)
    capacity = 42_413_588_480 - round(0.49 * GIB_BYTES) - 256 * MIB_BYTES
    assert row.largest_batch.size == math.floor(128 * (capacity / MIB_BYTES - 60) / (100 + 4 * 128 - 60))
    assert row.largest_batch.basis == "predicted"


def test_published_figures_give_what_is_computed_by_hand(write_result: Callable[..., Path]) -> None:
    """ResNet-50 on images of 32 pixels in FP32 at batch 128: 2,128.87 images/s on a V100, 4,222.15 on a TITAN RTX.

    60 epochs of 45,000 images are 1,268.28 s and 639.49 s; at 2.48 an hour the V100 costs 0.8737.
    """
    files = [
        write_result(
            gpu_content({("resnet50", "fp32", 128): [128 / speed] * 5}, environment=environment, run_id=f"{speed}"),
            f"{speed}.json",
        )
        for environment, speed in ((V100, 2128.87), (TITAN, 4222.15))
    ]
    decision = decide(files, prices={"V100": 2.48})
    v100, titan = row_of(decision, "resnet50", "V100"), row_of(decision, "resnet50", "TITAN RTX")
    assert v100.projected.time_s == pytest.approx(1268.28, abs=0.01)
    assert titan.projected.time_s == pytest.approx(639.49, abs=0.01)
    assert v100.projected.money == pytest.approx(0.8737, abs=1e-4)
    assert titan.speed is not None
    assert titan.speed.ratio == pytest.approx(1.98328, abs=1e-5)
    assert v100.speed is None
    assert titan.largest_batch.basis == "predicted"  # by the catalogue, where the file does not know its memory


def test_of_a_gpu_whose_memory_nobody_knows_the_largest_batch_is_the_one_measured(
    write_result: Callable[..., Path],
) -> None:
    unknown = dataclasses.replace(TITAN, device="NVIDIA Imaginary", gpu="NVIDIA Imaginary")
    cells = {("resnet50", "fp32", 128): [0.03] * 5}
    files = [
        write_result(gpu_content(cells, environment=environment, run_id=name), f"{name}.json")
        for name, environment in (("known", V100), ("unknown", unknown))
    ]
    assert row_of(decide(files), "resnet50", "Imaginary").largest_batch.basis == "measured"


def test_the_baseline_is_the_environment_of_the_first_file_or_the_one_named(files: list[Path]) -> None:
    first = decide(files)
    assert first.baseline is not None
    assert first.baseline.label == "T4"
    other = decide(files, against="A100")
    assert other.baseline is not None
    assert other.baseline.label == "A100"
    speeds = [row_of(first, "resnet18", "A100").speed, row_of(other, "resnet18", "T4").speed]
    assert speeds[0] is not None
    assert speeds[1] is not None
    assert speeds[0].ratio == pytest.approx(1 / speeds[1].ratio)
    assert row_of(other, "resnet18", "A100").speed is None


def test_one_run_against_several_has_no_interval_and_is_the_ratio_of_what_is_shown(files: list[Path]) -> None:
    row, base = (row_of(decide(files[:4]), "resnet18", label) for label in ("A100", "T4"))
    assert row.speed is not None
    assert row.fastest is not None
    assert base.fastest is not None
    assert row.speed.basis is None
    assert row.speed.ratio == pytest.approx(row.fastest.images_per_second / base.fastest.images_per_second)


def test_the_batch_size_is_that_of_the_recipe_where_all_measured_it_else_the_largest_they_share(
    write_result: Callable[..., Path],
) -> None:
    def sizes(*of_each: tuple[int, ...]) -> dict[str, int | None]:
        paths = [
            write_result(
                gpu_content(
                    {("resnet18", "fp32", size): rounds(0.001 * size, size) for size in own},
                    environment=environment,
                    run_id=environment.device,
                ),
                f"{number}.json",
            )
            for number, (own, environment) in enumerate(zip(of_each, (T4, A100, V100, TITAN), strict=False))
        ]
        return {row.environment.label: row.batch_size for row in decide(paths).rows}

    assert sizes((64, 128, 512), (128, 512)) == {"T4": 128, "A100": 128}
    assert sizes((32, 64, 128), (32, 64)) == {"T4": 64, "A100": 64}
    assert sizes((32, 64), (128, 512)) == {"T4": 64, "A100": 128}
    assert sizes((32, 64, 128), (64, 512), (8, 512)) == {"T4": 64, "A100": 512, "V100": 512}
    assert sizes((8, 128), (8, 128), (8,), (64,)) == {"T4": 8, "A100": 8, "V100": 8, "TITAN RTX": 64}


def test_different_batch_sizes_are_not_compared_and_nothing_is_called_the_best(
    write_result: Callable[..., Path],
) -> None:
    paths = [
        write_result(gpu_content(cells(1.0, 1, batch_size=8), environment=CPU, run_id="c"), "cpu.json"),
        write_result(gpu_content(cells(0.1, 2), run_id="t"), "t4.json"),
    ]
    decision = decide(paths)
    assert [row.speed for row in decision.rows] == [None] * 4
    assert decision_lines(decision) == ()
    notes = decision_notes(decision)
    assert (
        "resnet50: not compared, for the batch size is not that of the others: Xeon 2.20GHz (batch 8) and T4 (batch "
        "128)"
    ) in notes
    assert any("projected from training steps of batch 8 and 128 (the recipe's is 128)" in note for note in notes)


def test_one_machine_of_another_batch_size_does_not_keep_the_others_from_being_compared(
    files: list[Path], write_result: Callable[..., Path]
) -> None:
    slow = write_result(gpu_content(cells(9.0, 3, batch_size=8), environment=CPU, run_id="c"), "cpu.json")
    decision = decide([*files, slow])
    assert [row.batch_size for row in decision.rows] == [128, 128, 8] * 2
    assert row_of(decision, "resnet18", "Xeon 2.20GHz").speed is None
    assert decision_lines(decision)[0].startswith("resnet18: A100 is fastest of the 2 compared, 3.")
    assert "resnet18: not compared, for the batch size is not that of the others: Xeon 2.20GHz (batch 8)" in (
        decision_notes(decision)
    )


def test_a_network_is_not_compared_with_itself_in_another_memory_format(write_result: Callable[..., Path]) -> None:
    paths = [
        write_result(gpu_content(cells(1.0, 1), run_id="t"), "t4.json"),
        write_result(
            gpu_content(cells(0.3, 2), environment=A100, run_id="a", memory_format="channels_last"), "a100.json"
        ),
    ]
    decision = decide(paths)
    assert [row.speed for row in decision.rows] == [None] * 8
    assert [missing_text(row) for row in decision.rows[:4]] == ["", "not measured", "", "not measured"]


def test_versions_and_boards_of_one_gpu_are_environments_of_their_own(write_result: Callable[..., Path]) -> None:
    environments = [
        T4,
        dataclasses.replace(T4, torch="2.14.0+cu130"),
        dataclasses.replace(A100, torch="2.14.0+cu130"),
    ]
    paths = [
        write_result(gpu_content(cells(1.0, n), environment=one, run_id=str(n)), f"{n}.json")
        for n, one in enumerate(environments)
    ]
    decision = decide(paths)
    assert [one.label for one in decision.environments] == ["T4, torch 2.13.0+cu130", "T4, torch 2.14.0+cu130", "A100"]
    assert [len(rows) for rows in decision.by_network()] == [3, 3]


def test_what_ran_out_of_memory_is_a_row_with_the_reason_and_limits_the_batch(
    write_result: Callable[..., Path],
) -> None:
    ran_out = gpu_content(
        {("resnet18", "fp32", 128): rounds(0.1, 1)},
        outcomes=(
            out_of_memory("fp32", 512),
            out_of_memory("amp-fp16", 128),
            out_of_memory("fp32", 128, model="resnet50"),
        ),
    )
    paths = [
        write_result(ran_out, "t4.json"),
        write_result(gpu_content(cells(0.3, 2), environment=A100, run_id="a"), "a100.json"),
    ]
    decision = decide(paths)
    small, large = row_of(decision, "resnet18", "T4"), row_of(decision, "resnet50", "T4")
    assert (small.largest_batch.size, small.largest_batch.basis, small.largest_batch.too_large) == (
        128,
        "measured",
        512,
    )
    assert missing_text(small) == "amp-fp16 out of memory"
    assert (large.largest_batch.size, large.largest_batch.too_large) == (None, 128)
    assert missing_text(large) == "fp32 out of memory"
    assert large.fastest is None
    assert large.projected.time_s is None


def test_a_file_in_which_nothing_fitted_still_has_its_rows(write_result: Callable[..., Path]) -> None:
    paths = [
        write_result(gpu_content({}, outcomes=(out_of_memory("fp32", 128),)), "t4.json"),
        write_result(gpu_content(cells(0.3, 2), environment=A100, run_id="a"), "a100.json"),
    ]
    decision = decide(paths)
    assert [row.environment.label for row in decision.rows] == ["T4", "A100"] * 2
    assert [missing_text(row) for row in decision.rows] == ["fp32 out of memory", "", "not measured", ""]
    assert decision.baseline is not None
    assert decision.baseline.label == "T4"
    assert [row.speed for row in decision.rows] == [None] * 4


def training_content(
    seconds: float, *, environment: Any = T4, seed: int = 0, energy: float | None = None, **changes: Any
) -> Any:
    record = make_training(
        "amp-fp16",
        seconds=seconds,
        seed=seed,
        weights_sha256=f"{environment.device}{seed}",
        process=Process(run_id=f"training {seed}", pid=1, started="2026-01-05T10:00:00+00:00"),
        metrics={"training_time_s": seconds, "energy_joules": energy},
        absent={} if energy is not None else {"energy_joules": "no counter"},
        **changes,
    )
    return make_content([make_training_entry(record)], environment=environment)


def test_full_trainings_are_taken_where_the_files_hold_them(
    files: list[Path], write_result: Callable[..., Path]
) -> None:
    done = [
        write_result(training_content(1800.0, energy=1.2e6), "done-1.json"),
        write_result(training_content(1860.0, energy=1.4e6, seed=1), "done-2.json"),
    ]
    decision = decide([*files, *done], prices={"T4": 0.5, "A100": 2.0})
    row = row_of(decision, "resnet18", "T4")
    assert (row.cost("time_s").value, row.cost("time_s").basis, row.num_trainings) == (1830.0, "measured", 2)
    assert row.cost("energy_joules").value == pytest.approx(1.3e6)
    assert row.cost("money").value == pytest.approx(0.5 * 1830 / 3600)
    assert row.projected.time_s != 1830.0
    assert row_of(decision, "resnet50", "T4").cost("time_s").basis == "projected"
    assert row_of(decision, "resnet18", "A100").cost("time_s").basis == "projected"


def test_other_recipes_and_other_layouts_are_not_taken_for_the_full_training(
    files: list[Path], write_result: Callable[..., Path]
) -> None:
    recipe = dataclasses.replace(make_training().recipe, epochs=5)
    short = write_result(training_content(100.0, recipe=recipe), "short.json")
    layout = make_workload(precision="amp-fp16", phase="full_training", memory_format="channels_last")
    other = write_result(training_content(1700.0, seed=2, workload=layout), "other.json")
    decision = decide([*files, short, other])
    found = [row for row in decision.rows if row.measured.time_s is not None]
    assert [(row.network.memory_format, row.measured.time_s) for row in found] == [("channels_last", 1700.0)]
    assert found[0].fastest is None


def test_what_is_measured_is_not_compared_in_cost_with_what_is_projected(
    files: list[Path], write_result: Callable[..., Path]
) -> None:
    """The T4's trainings took longer than its steps project; the A100 has no trainings, so projections decide."""
    done = write_result(training_content(1e6), "done.json")
    decision = decide([*files, done], prices={"T4": 0.1, "A100": 1.1})
    rows = [row for row in decision.rows if row.network.model == "resnet18"]
    cheapest = next(best for best in best_of(rows, decision) if best.criterion == "cheapest")
    assert [row.environment.label for row in cheapest.rows] == ["T4"]
    assert rows[0].cost("money").value == pytest.approx(0.1 * 1e6 / 3600)
    assert "T4 is cheapest, ~0.0245" in decision_lines(decision)[0]


def test_what_spoils_a_number_is_in_its_row(write_result: Callable[..., Path]) -> None:
    paths = [
        write_result(gpu_content(cells(1.0, 1), joules_per_image=0.03, throttled=0.5), "t4.json"),
        write_result(gpu_content(cells(0.3, 2), environment=A100, run_id="a", joules_per_image=0.03), "a100.json"),
        write_result(
            training_content(1800.0, environment=A100, findings=("times of the epochs are apart",)), "done.json"
        ),
    ]
    warnings = {(row.network.model, row.environment.label): row.warnings for row in decide(paths).rows}
    assert warnings == {
        ("resnet18", "T4"): "fp32 throttled; amp-fp16 throttled",
        ("resnet18", "A100"): "full training see notes",
        ("resnet50", "T4"): "fp32 throttled; amp-fp16 throttled",
        ("resnet50", "A100"): None,
    }


def test_trainings_alone_make_rows_without_a_speed(write_result: Callable[..., Path]) -> None:
    paths = [
        write_result(training_content(3600.0), "t4.json"),
        write_result(training_content(1200.0, environment=A100, seed=1), "a100.json"),
    ]
    decision = decide(paths)
    assert [(row.precision, row.cost("time_s").value) for row in decision.rows] == [
        ("amp-fp16", 3600.0),
        ("amp-fp16", 1200.0),
    ]
    assert [row.speed for row in decision.rows] == [None, None]


def test_the_best_of_each_network_is_said_in_words(files: list[Path]) -> None:
    decision = decide(files, prices={"T4": 0.1, "A100": 1.1})
    line = decision_lines(decision)[0]
    assert line.startswith("resnet18: A100 is fastest, 3.")
    assert "] vs T4; T4 is cheapest, ~0.0" in line
    assert "; A100 needs least energy, ~0.0128 kWh; " in line
    assert line.endswith("A100 fits the largest batch, ~9,100")


def test_values_that_the_runs_do_not_distinguish_are_not_called_the_best(write_result: Callable[..., Path]) -> None:
    def lines(*scales: float) -> tuple[str, ...]:
        gpus = (T4, A100, V100)
        contents = [
            gpu_content({("resnet18", "fp32", 128): rounds(0.1 * scale, 7 * n)}, environment=gpus[n % 3], run_id=str(n))
            for n, scale in enumerate(scales)
        ]
        return decision_lines(decide([write_result(one, f"{n}.json") for n, one in enumerate(contents)]))

    # Two processes of each GPU: T4, A100, V100, T4, A100, V100.
    apart = lines(1.0, 0.5, 0.25, 1.01, 0.51, 0.251)
    assert "V100 is fastest" in apart[0]
    alike = lines(1.0, 0.5, 0.505, 1.01, 0.51, 0.504)
    assert re.match(r"resnet18: A100 and V100 are fastest, \S+x \[.*\] and \S+x \[.*\] vs T4", alike[0])
    assert "fastest" not in "".join(lines(1.0, 1.003, 0.998, 0.99, 1.01, 1.002))


def test_single_runs_that_are_close_are_not_told_apart(write_result: Callable[..., Path]) -> None:
    """Two runs of unchanged code differ by some percent, whatever the spread within each of them."""

    def line(scale: float) -> str:
        paths = [
            write_result(
                gpu_content({("resnet18", "fp32", 128): rounds(0.1 * one, 5)}, environment=gpu, run_id=gpu.device),
                f"{gpu.device}.json",
            )
            for one, gpu in ((1.0, T4), (scale, A100))
        ]
        return "".join(decision_lines(decide(paths)))

    assert "fastest" not in line(0.97)
    assert "A100 is fastest" in line(0.9)


def test_a_criterion_that_not_all_have_a_value_of_says_of_how_many(
    files: list[Path], write_result: Callable[..., Path]
) -> None:
    third = write_result(gpu_content(cells(0.5, 30), environment=V100, run_id="v"), "v100.json")
    line = decision_lines(decide([*files, third], prices={"T4": 0.1, "A100": 1.1}))[0]
    assert "T4 is cheapest of the 2 with a price, ~" in line
    assert "A100 needs least energy of the 2 that measured it, ~" in line
    assert "A100 is fastest, " in line


def test_a_gpu_measured_in_fp32_alone_is_named(write_result: Callable[..., Path]) -> None:
    paths = [
        write_result(gpu_content({("resnet18", "fp32", 128): rounds(0.1, 1)}, run_id="t"), "t4.json"),
        write_result(gpu_content(cells(0.3, 2), environment=A100, run_id="a"), "a100.json"),
    ]
    notes = decision_notes(decide(paths))
    assert "resnet18 on T4: fp32 alone was measured; AMP may be faster there" in notes
    assert "speed: images/s over those of T4, in the fastest precision of each: fp32 on T4; amp-fp16 on A100" in notes


def test_what_was_measured_at_another_batch_size_is_named(write_result: Callable[..., Path]) -> None:
    on_t4 = {("resnet18", "fp32", 128): rounds(0.1, 1), ("resnet18", "amp-fp16", 256): rounds(0.1, 1)}
    on_a100 = {**cells(0.3, 2), **cells(0.5, 3, batch_size=256)}
    paths = [
        write_result(gpu_content(on_t4, run_id="t"), "t4.json"),
        write_result(gpu_content(on_a100, environment=A100, run_id="a"), "a100.json"),
    ]
    notes = decision_notes(decide(paths))
    assert "resnet18 amp-fp16 on T4: measured at batch 256 and not at 128: not shown" in notes
    assert "also measured and not shown: batch 256; --table steps has them" in notes


def test_other_images_than_cifar_10_s_project_no_training_and_are_networks_of_their_own(
    write_result: Callable[..., Path],
) -> None:
    content = gpu_content({("resnet18", "fp32", 128): rounds(0.1, 1)}, run_id="t")
    larger = json.loads(json.dumps(content["benchmarks"][0]).replace("-b128", "-b128-224px"))
    larger["extra_info"]["perfsuite"]["workload"] |= {"image_size": 224, "num_classes": 1000}
    content["benchmarks"].append(larger)
    path = write_result(content)
    small, large = decide([path]).rows
    assert small.projected.time_s is not None
    assert large.projected.time_s is None
    assert large.network.num_classes == 1000
    assert thesis_frame(collect([path]))["model"].tolist() == ["resnet18"]


def test_two_versions_on_one_gpu_are_one_price(write_result: Callable[..., Path]) -> None:
    later = dataclasses.replace(T4, torch="2.14.0+cu130")
    contents = [
        gpu_content({("resnet18", "fp32", 128): rounds(seconds, n)}, environment=gpu, run_id=str(n))
        for n, (seconds, gpu) in enumerate([(0.1, T4), (0.11, later), (0.03, A100), (0.02, V100)])
    ]
    paths = [write_result(content, f"{n}.json") for n, content in enumerate(contents)]
    (line,) = decision_lines(decide(paths, prices={"T4": 0.1, "A100": 1.1}))
    assert "cheapest of the 2 with a price" in line


def test_another_torch_is_said_where_the_labels_do_not(write_result: Callable[..., Path]) -> None:
    newer = dataclasses.replace(A100, torch="2.14.0+cu130")
    paths = [
        write_result(gpu_content(cells(1.0, 1), run_id="t"), "t4.json"),
        write_result(gpu_content(cells(0.3, 2), environment=newer, run_id="a"), "a100.json"),
    ]
    assert "torch differs too: 2.13.0+cu130 on T4, 2.14.0+cu130 on A100" in decision_notes(decide(paths))


def test_a_training_of_an_earlier_run_is_of_the_machine_that_fits(
    files: list[Path], write_result: Callable[..., Path]
) -> None:
    """A replayed training does not say on which host it was trained."""
    second = json.loads(files[4].read_text())
    second["machine_info"]["node"] = "another"
    files[4].write_text(json.dumps(second))
    record = make_training(
        "amp-bf16", environment=dataclasses.replace(T4), replayed=True, seconds=1800.0, weights_sha256="z"
    )
    replayed = write_result(make_content([make_training_entry(record)], environment=ENVIRONMENT), "replayed.json")
    decision = decide([*files, replayed])
    assert [one.label for one in decision.environments] == ["T4", "A100, host host", "A100, host another"]


def test_files_that_are_kept_apart_keep_their_memory_and_what_failed(write_result: Callable[..., Path]) -> None:
    contents = [gpu_content(cells(1.0, n), run_id=str(n), outcomes=(out_of_memory("fp32", 512),)) for n in range(2)]
    results = collect([write_result(content, f"run-{n}.json") for n, content in enumerate(contents)])
    together = decide_gpus(results)
    apart = decide_gpus(by_file(results))
    assert [one.label for one in apart.environments] == ["T4, run-0.json", "T4, run-1.json"]
    assert {one.capacity_bytes for one in apart.environments} == {together.environments[0].capacity_bytes}
    (row, *_) = apart.rows
    assert [one.batch_size for one in row.missing] == [512]


def test_foreign_or_missing_steps_give_no_rows(write_result: Callable[..., Path]) -> None:
    path = write_result(make_content([]))
    decision = decide([path])
    assert decision.rows == ()
    assert decision.baseline is None
    assert decision_notes(decision) == ()

"""The default matrix takes at most 180 s on a T4, by operations and data sheets: it cannot become longer unnoticed."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import pytest

from perfsuite.gpus import GPUS
from perfsuite.measure.budget import Effort
from perfsuite.measure.flops import count_work
from perfsuite.measure.time_plan import CellTimes, TimePlan, estimate_work, iteration_s, plan, sheet_for
from perfsuite.plugin.options import DEFAULT_MODELS, DEFAULT_PRECISIONS
from perfsuite.records.workload import PHASES, Workload

if TYPE_CHECKING:
    from perfsuite.gpu_sheet import Gpu

MAX_T4_S = 180.0


def matrix(*, phases: tuple[str, ...] = PHASES) -> list[Workload]:
    """Return the default matrix on CUDA, in the order in which it runs."""
    precisions = DEFAULT_PRECISIONS.replace("amp", "amp-fp16").split(",")
    return [
        Workload(model=model, precision=precision, phase=phase, batch_size=128, device_type="cuda")
        for phase, model, precision in itertools.product(phases, DEFAULT_MODELS.split(","), precisions)
    ]


def times(workloads: list[Workload], sheet: Gpu) -> list[CellTimes]:
    cells = []
    for one in workloads:
        step = dataclasses.replace(one, phase="train_step")
        once_s, step_s = iteration_s(one, count_work(one), sheet), iteration_s(step, count_work(step), sheet)
        cells.append(CellTimes(workload=one, iteration_s=once_s, step_s=step_s))
    return cells


def default_plan(gpu: str, effort: Effort = Effort(), phases: tuple[str, ...] = PHASES) -> TimePlan:  # noqa: B008 - frozen
    return plan(times(matrix(phases=phases), GPUS[gpu]), GPUS[gpu], effort)


@pytest.mark.parametrize(("gpu", "most_s"), [("t4", MAX_T4_S), ("h100", 145.0)])
def test_the_default_matrix_fits_its_time(gpu: str, most_s: float) -> None:
    expected = default_plan(gpu)
    print(f"{gpu}: {expected.seconds:.0f} s")  # noqa: T201 - the table of the closing note: pytest -s
    for name, seconds in expected.items.items():
        print(f"  {name:<20} {seconds:6.1f}")  # noqa: T201
    assert expected.seconds <= most_s
    assert expected.items["energy"] == 0.0  # read around the rounds themselves


def test_a_quick_run_takes_a_quarter_of_it() -> None:
    quick = default_plan("t4", Effort(quick=True), phases=("train_step",))
    assert quick.seconds <= default_plan("t4").seconds / 4


def test_the_estimate_of_the_head_is_that_of_the_counted_work() -> None:
    for workload in matrix():
        counted, estimated = count_work(workload), estimate_work(workload)
        assert estimated.flops == pytest.approx(counted.flops, rel=0.05)
        sheet = GPUS["t4"]
        assert iteration_s(workload, estimated, sheet) == pytest.approx(iteration_s(workload, counted, sheet), rel=0.15)


@pytest.mark.parametrize("size", [48, 64, 224])
def test_the_estimate_knows_the_size_of_the_image_and_the_stem(size: int) -> None:
    workload = dataclasses.replace(matrix(phases=("train_step",))[0], image_size=size, batch_size=4)
    counted, estimated = count_work(workload), estimate_work(workload)
    assert estimated.flops == pytest.approx(counted.flops, rel=0.15)


def test_long_steps_have_fewer_rounds_than_short_ones() -> None:
    """Steps of a slow GPU would otherwise take most of the run."""
    sheet = dataclasses.replace(GPUS["t4"], peak_flops={"fp32": 8.1e11}, bytes_per_second=32e9)
    cells = times(matrix(phases=("train_step",))[-2:-1], sheet)
    once = cells[0].iteration_s
    assert plan(cells, sheet, Effort()).items["rounds"] == pytest.approx(14 * once, rel=0.01)


def test_an_unknown_gpu_is_planned_as_a_t4_and_a_cpu_by_its_threads() -> None:
    assert sheet_for("cuda", "NVIDIA Imaginary", 1) == (GPUS["t4"], False)
    assert sheet_for("cuda", "Tesla T4", 1) == (GPUS["t4"], True)
    assert sheet_for("cpu", None, 4)[0].peak_flops["fp32"] == 2 * sheet_for("cpu", None, 2)[0].peak_flops["fp32"]

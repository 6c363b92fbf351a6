"""How long the step benchmarks of a run are expected to take: for the head of the run, and for the time left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from perfsuite.plugin.effort import effort_for
from perfsuite.plugin.matrix import PARAMETERS, is_step, num_classes_of, phase_of
from perfsuite.plugin.results import environment
from perfsuite.plugin.session import is_recording, suite
from perfsuite.records.workload import INFERENCE, PHASES, Workload

if TYPE_CHECKING:
    import torch

    from perfsuite.gpu_sheet import Gpu
    from perfsuite.measure.time_plan import CellTimes, TimePlan
    from perfsuite.plugin.session import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedTime:
    """Of the step benchmarks of a run.

    Attributes:
        cells: Their node names in pytest, in the order in which they run.
        workloads: Of each of them.
        plan: How long they take; None where that cannot be told before the first of them has run.
        is_known_device: Whether that is of this device; False where a T4's data sheet stands for an unknown GPU's.
    """

    cells: tuple[str, ...]
    workloads: tuple[Workload, ...]
    plan: TimePlan | None
    is_known_device: bool


_EXPECTED = pytest.StashKey["ExpectedTime | None"]()


def expected_time(config: pytest.Config) -> ExpectedTime | None:
    """Return how long the step benchmarks of this run take, computed once; None where there are none."""
    if _EXPECTED not in config.stash:
        config.stash[_EXPECTED] = _expect(config)
    return config.stash[_EXPECTED]


def _workload_of(cell: pytest.Item, phase: str, state: Suite) -> Workload:
    parameters = cell.callspec.params  # type: ignore[attr-defined]
    names = {name: parameters[name] for name in PARAMETERS}
    num_classes = num_classes_of(cell, state.options, names["model"])
    return Workload(phase=phase, device_type=state.device.type, num_classes=num_classes, **names)


def _expect(config: pytest.Config) -> ExpectedTime | None:
    state = suite(config)
    steps = [cell for cell in state.cells if is_step(cell)]
    if not steps or not is_recording(config):
        return None
    workloads = []
    for cell in steps:
        phase = phase_of(cell)
        if not isinstance(phase, str) or phase not in {*PHASES, INFERENCE}:
            return None  # the cell itself says so
        workloads.append(_workload_of(cell, phase, state))
    from perfsuite.measure.time_plan import plan, sheet_for

    where = environment(config)
    sheet, is_known = sheet_for(state.device.type, where.gpu, where.num_threads)
    times = [_cell_times(workload, state.device, sheet) for workload in workloads]
    known = [cell_times for cell_times in times if cell_times is not None]
    is_complete = len(known) == len(times)
    effort = effort_for(config, steps[0])
    return ExpectedTime(
        cells=tuple(cell.nodeid for cell in steps),
        workloads=tuple(workloads),
        plan=plan(known, sheet, effort, profiled=state.options.profiled) if is_complete else None,
        is_known_device=is_known or state.device.type != "cuda",
    )


def _cell_times(workload: Workload, device: torch.device, sheet: Gpu) -> CellTimes | None:
    """Return about how long iterations take; None where a network cannot be run before its benchmarks.

    On a GPU that is told by its data sheet for the suite's own networks, and by one timed pass for others; on a CPU by
    a timed pass for all of them. Compiling takes longer there than all else, and nothing tells how long.
    """
    from perfsuite.measure.time_plan import CellTimes
    from perfsuite.measure.timed_pass import cpu_iteration_s

    whole = workload if workload.phase == INFERENCE else replace(workload, phase="train_step")
    if device.type == "cuda":
        iteration_s, step_s = _gpu_iteration_s(workload, device, sheet), _gpu_iteration_s(whole, device, sheet)
    elif workload.is_compiled:
        return None
    else:
        iteration_s, step_s = cpu_iteration_s(workload), cpu_iteration_s(whole)
    if iteration_s is None or step_s is None:
        return None
    return CellTimes(workload=workload, iteration_s=iteration_s, step_s=step_s)


def _gpu_iteration_s(workload: Workload, device: torch.device, sheet: Gpu) -> float | None:
    """Return about how long an iteration takes on a GPU; None for a network that could not be run on the CPU.

    What fails on the CPU is not tried on the GPU: an error there may take the device from all other benchmarks.
    """
    from perfsuite.measure.sample_cost import UNKNOWN, sample_cost
    from perfsuite.measure.time_plan import estimate_work, iteration_s
    from perfsuite.measure.timed_pass import MAX_PASS_S, gpu_iteration_s
    from perfsuite.workloads.models import MODELS

    if sample_cost(workload.model, image_size=workload.image_size, num_classes=workload.num_classes) == UNKNOWN:
        return None
    by_sheet_s = iteration_s(workload, estimate_work(workload), sheet)
    is_in_table = MODELS[workload.model].cost is not None
    if is_in_table or by_sheet_s > MAX_PASS_S:
        return by_sheet_s
    timed_s = gpu_iteration_s(workload, device)
    return by_sheet_s if timed_s is None else timed_s

"""What to switch on here: one training step with some of torch's switches, interleaved with the eager FP32 step."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING

from perfsuite.measure.cell_setup import build_step, guard, memory_left_behind
from perfsuite.measure.clock import ClockStopwatch, device_synchronizer
from perfsuite.measure.memory import left_behind_bytes
from perfsuite.measure.paired import make_side, run_pair
from perfsuite.measure.step_memory import measure_step_memory
from perfsuite.precisions import BASELINE
from perfsuite.records.pair import SideCost
from perfsuite.records.schema import KEY
from perfsuite.records.workload import NOT_COMPILED
from perfsuite.workloads.precision import applied_to

if TYPE_CHECKING:
    from perfsuite.measure.cell_setup import BenchmarkFixture
    from perfsuite.measure.run_context import RunContext
    from perfsuite.records.pair import PairedRecord
    from perfsuite.records.workload import Workload


def eager(workload: Workload) -> Workload:
    """Return a workload with nothing switched on."""
    return dataclasses.replace(
        workload, memory_format="contiguous", precision=BASELINE, compile_mode=NOT_COMPILED, cuda_graphs=False
    )


def measure_switch(workload: Workload, benchmark: BenchmarkFixture, context: RunContext) -> PairedRecord | None:
    """Measure a workload against the same with nothing switched on, interleaved, with what each side costs.

    Arguments, result and errors are those of `perfsuite.measure.paired.measure_speedup`.
    """
    benchmark.group = f"{workload.model} switches"
    device = context.device
    with guard(benchmark, workload.label, device=device, clock=context.clock), contextlib.ExitStack() as undo:
        findings = memory_left_behind(device)
        steps, costs = [], []
        # The candidate first: what is not supported is then known before anything is measured.
        for one in (workload, eager(workload)):
            held_bytes = left_behind_bytes(device)
            built = build_step(one, device=device, report_stage=context.report_stage)
            step = built.step
            undo.callback(step.close)
            with applied_to(one):
                context.report_stage("measuring memory")
                peak_bytes = measure_step_memory(step).allocated_bytes - held_bytes
                begin = time.perf_counter()
                step.prepare()
                step.capture()
                device_synchronizer(device)()
            captured_s = time.perf_counter() - begin if one.cuda_graphs else 0.0
            costs.append(SideCost(peak_allocated_bytes=peak_bytes, start_s=built.start.seconds + captured_s))
            findings += [finding for finding in step.findings if finding not in findings]
            steps.append(step)
        steps.reverse()
        costs.reverse()
        sides = [make_side(step, step.phase, ClockStopwatch(context.clock)) for step in steps]
        record = run_pair("switch", sides, steps, benchmark, context, findings=findings)
        if record is None:
            return None
        record = dataclasses.replace(record, costs=tuple(costs))
        benchmark.extra_info[KEY] = record.to_json()
        return record

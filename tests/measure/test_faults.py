"""Errors of a GPU at every stage of a cell and of a pair, on a stand-in for `torch.cuda`."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import make_workload
from cuda_stand_in import CUDA, CudaStandIn, Fault, illegal_access, out_of_memory_errors
from test_harness import PROCESS, Counter, FakeBenchmark

from perfsuite.errors import DeviceLostError, OutOfMemoryError
from perfsuite.measure import harness
from perfsuite.measure.cell_setup import guard
from perfsuite.measure.clock import DeviceClock, device_synchronizer
from perfsuite.measure.overhead import measure_overhead
from perfsuite.measure.paired import measure_speedup
from perfsuite.measure.pipeline import measure_pipeline
from perfsuite.measure.run_context import RunContext
from perfsuite.workloads.device_errors import is_out_of_memory, why_device_is_lost

if TYPE_CHECKING:
    from collections.abc import Callable

MEASUREMENTS: dict[str, Callable[..., Any]] = {
    "cell": harness.measure,
    "speedup": lambda workload, *arguments, **how: measure_speedup(workload, "fp32", *arguments, **how),
    "overhead": functools.partial(measure_overhead, is_decided=lambda _record: True, extra_time_s=0.0),
    "pipeline": lambda workload, *arguments, **how: measure_pipeline(workload, "pipeline_step", *arguments, **how),
}
PAIR_STAGES = ("building", "verifying precision", "warming up", "timing")
CASES = [
    (name, stage)
    for name in MEASUREMENTS
    for stage in (*PAIR_STAGES, *(("measuring memory",) if name == "cell" else ()))
]
FORMS = sorted(out_of_memory_errors())


def run(gpu: CudaStandIn, measurement: str = "cell", **changes: Any) -> tuple[Any, FakeBenchmark]:
    clock = DeviceClock(device_synchronizer(CUDA), Counter(step_s=0.02))
    benchmark = FakeBenchmark(clock)
    workload = make_workload(**{"batch_size": 2, "precision": "amp-fp16", **changes})
    try:
        record = MEASUREMENTS[measurement](
            workload, benchmark, RunContext(device=CUDA, clock=clock, process=PROCESS, report_stage=gpu.begin_stage)
        )
    except Exception:
        assert benchmark.has_error  # what keeps a result out of the file
        raise
    return record, benchmark


def fault_in(stage: str, error: Exception, **options: Any) -> Fault:
    """Return a fault in the first work of a stage; building gives the device nothing but what it copies there."""
    return Fault(error=error, stage=stage, call="place" if stage == "building" else "work", **options)


def fail_for_want_of_memory(gpu: CudaStandIn, measurement: str, stage: str, form: str) -> None:
    gpu.fault = fault_in(stage, out_of_memory_errors()[form])
    with pytest.raises(OutOfMemoryError) as caught:
        run(gpu, measurement)
    assert gpu.stage.startswith(stage)
    assert str(caught.value).startswith("out of memory: resnet18 amp-fp16 train_step b2")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_out_of_memory_is_one_line_and_the_next_cell_is_measured(gpu: CudaStandIn, form: str) -> None:
    fail_for_want_of_memory(gpu, "cell", "timing", form)
    assert run(gpu)[0] is not None


@pytest.mark.parametrize(("measurement", "stage"), CASES)
def test_out_of_memory_at_any_stage_is_told_as_that(gpu: CudaStandIn, measurement: str, stage: str) -> None:
    fail_for_want_of_memory(gpu, measurement, stage, "driver")


@pytest.mark.parametrize(("measurement", "stage"), CASES)
def test_a_device_that_is_lost_at_any_stage_is_told_as_that(gpu: CudaStandIn, measurement: str, stage: str) -> None:
    gpu.fault = fault_in(stage, illegal_access(), is_sticky=True)
    with pytest.raises(DeviceLostError) as caught:
        run(gpu, measurement)
    assert str(caught.value) == (
        "the device was lost: CUDA error: an illegal memory access was encountered; a new process can use it again, "
        "this one cannot"
    )


@pytest.mark.parametrize(
    ("call", "stage"),
    [("synchronize", "timing"), ("read", "verifying precision"), ("read", "warming up"), ("empty_cache", "")],
)
def test_a_device_whose_loss_shows_in_a_wait_is_told_as_that(gpu: CudaStandIn, call: str, stage: str) -> None:
    gpu.fault = Fault(error=illegal_access(), call=call, stage=stage, is_sticky=True)
    with pytest.raises(DeviceLostError):
        run(gpu)


@pytest.mark.parametrize("stage", ["probing limits", "predicting memory"])
def test_a_device_that_is_lost_where_errors_cost_nothing_still_costs_the_cell(gpu: CudaStandIn, stage: str) -> None:
    call = {"probing limits": "work", "predicting memory": "synchronize"}[stage]
    gpu.fault = Fault(error=illegal_access(), call=call, stage=stage, is_sticky=True)
    with pytest.raises(DeviceLostError):
        run(gpu)


@pytest.mark.parametrize("form", FORMS)
def test_probes_that_do_not_fit_cost_no_number(gpu: CudaStandIn, form: str) -> None:
    gpu.fault = Fault(error=out_of_memory_errors()[form], stage="probing limits")
    record, _ = run(gpu)
    assert record.metrics["probe_gemm_flops_per_second"] is None
    assert record.absent["probe_gemm_flops_per_second"] == "not enough memory for the probes as well as the cell"
    assert record.metrics["peak_allocated_bytes"]


@pytest.mark.parametrize(("measurement", "stage"), [("cell", "measuring memory"), ("speedup", "timing")])
def test_an_error_that_comes_once_is_shown_as_it_is_and_the_next_cell_is_measured(
    gpu: CudaStandIn, measurement: str, stage: str
) -> None:
    gpu.fault = fault_in(stage, RuntimeError("CUDA error: invalid argument"))
    with pytest.raises(RuntimeError, match="CUDA error: invalid argument"):
        run(gpu, measurement)
    assert run(gpu)[0] is not None


def test_an_error_of_cleaning_up_does_not_hide_the_first_one(gpu: CudaStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.fault = Fault(error=ZeroDivisionError("as planned"), stage="timing")

    def fails_as_well() -> None:
        raise RuntimeError("CUDA error: invalid argument")

    monkeypatch.setattr(torch.cuda, "empty_cache", fails_as_well)
    gpu.begin_stage("timing")
    with pytest.raises(ZeroDivisionError, match="as planned"):
        run_guarded(gpu)


def run_guarded(gpu: CudaStandIn) -> None:
    clock = DeviceClock(device_synchronizer(CUDA), Counter(step_s=0.02))
    with guard(FakeBenchmark(clock), "a cell", device=CUDA, clock=clock):
        gpu.note("work")


def test_an_interrupt_asks_nothing_of_a_device_that_may_never_answer(gpu: CudaStandIn) -> None:
    gpu.fault = Fault(error=KeyboardInterrupt(), stage="timing")
    before = gpu.log.count("synchronize")
    gpu.begin_stage("timing")
    with pytest.raises(KeyboardInterrupt):
        run_guarded(gpu)
    assert gpu.log.count("synchronize") - before <= 1  # that of giving memory back


def test_only_an_error_that_stays_is_a_lost_device(gpu: CudaStandIn) -> None:
    assert why_device_is_lost(CUDA) is None
    gpu.fault = Fault(error=RuntimeError("CUDA error: invalid argument"), call="synchronize")
    assert why_device_is_lost(CUDA) is None
    gpu.lost = RuntimeError("CUDA error: out of memory")  # no context fits with the others on this GPU
    assert why_device_is_lost(CUDA) is None
    gpu.lost = illegal_access()
    assert why_device_is_lost(CUDA) == "CUDA error: an illegal memory access was encountered"
    assert why_device_is_lost(torch.device("cpu")) is None


def test_other_errors_are_not_out_of_memory() -> None:
    assert not is_out_of_memory(OutOfMemoryError("out of memory: told already"))
    assert not is_out_of_memory(illegal_access())
    assert not is_out_of_memory(ValueError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("CUDA error: unspecified launch failure"))


class FailingNvml:
    """A module with the interface of `pynvml` that starts, and then answers every question with an error."""

    class NVMLError(Exception):
        """As NVML has one."""

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's name
        pass

    def nvmlShutdown(self) -> None:  # noqa: N802 - NVML's name
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 - NVML's name
        return uuid

    def __getattr__(self, name: str) -> Callable[..., object]:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def fail(*_arguments: object) -> object:
            raise self.NVMLError("Unknown Error")

        return fail


def test_an_nvml_that_fails_after_its_start_costs_its_readings_and_no_number(
    gpu: CudaStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FailingNvml())
    record, _ = run(gpu)
    assert record.metrics["peak_allocated_bytes"]
    assert record.telemetry.sm_clock_mhz is None
    assert record.telemetry.absent["sm_clock_mhz"]

"""What bounds the iterations of a cell, and what its peak of memory is made of: counted and probed after its rounds."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.errors import MeasurementError, NotSupportedError
from perfsuite.formatting import first_line
from perfsuite.measure.dry_run import predict_memory
from perfsuite.measure.flops import count_work
from perfsuite.measure.microbenchmarks import probe_limits
from perfsuite.measure.operators import count_operators
from perfsuite.roofline import operator_costs
from perfsuite.workloads.device_errors import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.operators import OperatorCost
    from perfsuite.records.workload import Workload
    from perfsuite.workloads.measurable import Measurable

LIMITS = (
    "step_flops",
    "min_bytes",
    "probe_gemm_flops_per_second",
    "probe_conv_flops_per_second",
    "probe_copy_bytes_per_second",
    "roofline_s",
)
"""The metrics that say what bounds an iteration."""

MAX_OPERATORS = 10
"""How many a record keeps of those that lose most."""

NOT_IN_QUICK = "left out by --perf-quick"

LEDGER = (
    "parameters_bytes",
    "gradients_bytes",
    "optimizer_bytes",
    "activations_bytes",
    "autocast_bytes",
    "temporary_bytes",
    "other_bytes",
    "predicted_peak_bytes",
    "remainder_bytes",
)
"""The metrics that explain a peak: its parts at the moment of the peak, their sum, and what is unexplained."""


def measure_limits(
    step: Measurable, clock: Callable[[], float]
) -> tuple[dict[str, int | float | None], dict[str, str]]:
    """Return the least that an iteration has to do, what the device can do at most, and the reasons for what is absent.

    Nothing that goes wrong here may cost the cell, which is measured already.
    """
    found: dict[str, int | float | None] = dict.fromkeys(LIMITS)
    absent: dict[str, str] = {}
    try:
        work = count_work(step.workload)
        found.update(step_flops=work.flops, min_bytes=work.min_bytes)
    except (NotSupportedError, MeasurementError, RuntimeError) as error:
        absent.update(dict.fromkeys(("step_flops", "min_bytes"), first_line(error)[:200]))
    try:
        limits = dataclasses.asdict(probe_limits(step.workload, device=step.device, clock=clock))
        found.update({f"probe_{key}": value for key, value in limits.items()})
    except (MemoryError, RuntimeError) as error:
        reason = (
            "not enough memory for the probes as well as the cell"
            if is_out_of_memory(error)
            else first_line(error)[:200]
        )
        absent.update({key: reason for key in LIMITS if key.startswith("probe_")})
    return found, absent


def count_costs(
    workload: Workload, limits: dict[str, int | float | None], absent: dict[str, str]
) -> tuple[OperatorCost, ...]:
    """Return what the operators take at the roofline of the probes, and write their sum or its reason to the limits."""
    products = [limits.get(name) for name in ("probe_gemm_flops_per_second", "probe_conv_flops_per_second")]
    copied = limits.get("probe_copy_bytes_per_second")
    fastest = max((float(rate) for rate in products if rate), default=0.0)
    if not fastest or not copied:
        absent["roofline_s"] = absent.get("probe_copy_bytes_per_second", "the probes gave no rate")
        return ()
    try:
        operators = count_operators(workload)
    except (NotSupportedError, MeasurementError, RuntimeError) as error:
        absent["roofline_s"] = first_line(error)[:200]
        return ()
    costs = operator_costs(operators, flops_per_second=fastest, bytes_per_second=float(copied))
    limits["roofline_s"] = sum(cost.roofline_s for cost in costs)
    return costs


def explain_peak(workload: Workload, measured_bytes: int) -> tuple[dict[str, int | float | None], dict[str, str]]:
    """Return what the measured peak is made of by a dry run, what is unexplained, and why a part is absent."""
    try:
        prediction = predict_memory(workload)
    except (NotSupportedError, MeasurementError) as error:
        return dict.fromkeys(LEDGER), dict.fromkeys(LEDGER, str(error))
    parts: dict[str, int | float | None] = {**dataclasses.asdict(prediction)}
    del parts["peak_bytes"]
    return {
        **parts,
        "predicted_peak_bytes": prediction.peak_bytes,
        "remainder_bytes": measured_bytes - prediction.peak_bytes,
    }, {}

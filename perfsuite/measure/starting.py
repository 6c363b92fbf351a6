"""What the first iteration costs: compiling, where the network is compiled; never part of the rounds."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.measure.clock import device_synchronizer
from perfsuite.measure.memory import memory_meter
from perfsuite.workloads.models import called

if TYPE_CHECKING:
    from perfsuite.workloads.measurable import Measurable


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What it took until the first iteration was done.

    Attributes:
        seconds: Of the first iteration, what it compiles and loads included.
        peak_bytes: The most that was allocated on the device meanwhile; None where nothing keeps that account.
        num_graphs: Graphs that this process had compiled by then.
        num_graph_breaks: Places where torch.compile left its graph and went on in Python.
    """

    seconds: float
    peak_bytes: int | None
    num_graphs: int
    num_graph_breaks: int


def run_first_iteration(step: Measurable) -> Start:
    """Run the first iteration, until the loss scale has settled, and measure what it costs.

    Raises:
        NotSupportedError: It is to be compiled, and there is no compiler.
        ModelError: It cannot be compiled.
        PerfsuiteError: As from `settle`.
    """
    synchronize = device_synchronizer(step.device)
    meter = memory_meter(step.device)
    synchronize()
    meter.reset()
    breaks = num_graph_breaks()
    begin = time.perf_counter()
    if step.workload.is_compiled:
        called(step.workload.model, "torch.compile", step.settle)
    else:
        step.settle()
    synchronize()
    return Start(
        seconds=time.perf_counter() - begin,
        peak_bytes=meter.peak_bytes(),
        num_graphs=num_graphs(),
        num_graph_breaks=num_graph_breaks() - breaks,
    )


def num_graphs() -> int:
    """Return how many graphs torch.compile has made in this process."""
    return int(_counters().get("stats", {}).get("unique_graphs", 0))


def num_graph_breaks() -> int:
    """Return how often torch.compile has left a graph in this process."""
    return sum(_counters().get("graph_break", {}).values())


def _counters() -> Any:
    """Return torch.compile's own counts; nothing where it has not been loaded, which takes seconds."""
    utils = sys.modules.get("torch._dynamo.utils")
    return {} if utils is None else utils.counters


def compile_metrics(step: Measurable, start: Start) -> tuple[dict[str, int | float | None], dict[str, str]]:
    """Return what compiling took, and the reason for what is absent; nothing of what is not compiled.

    Called after the rounds: graphs that were compiled since the first iteration are recompilations.
    """
    if not step.workload.is_compiled:
        return {}, {}
    absent = {"compile_peak_bytes": "torch's CPU allocator keeps no account"} if start.peak_bytes is None else {}
    return {
        "compile_s": start.seconds,
        "compile_peak_bytes": start.peak_bytes,
        "num_graph_breaks": start.num_graph_breaks,
        "num_recompilations": num_graphs() - start.num_graphs,
    }, absent

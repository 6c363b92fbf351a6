"""What the first iteration costs: compiling, where the network is compiled; never part of the rounds."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.errors import ModelError, NotSupportedError, PerfsuiteError
from perfsuite.formatting import first_line
from perfsuite.measure.clock import device_synchronizer
from perfsuite.measure.memory import memory_meter
from perfsuite.workloads.device_errors import is_out_of_memory

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
    _settle(step)
    synchronize()
    return Start(
        seconds=time.perf_counter() - begin,
        peak_bytes=meter.peak_bytes(),
        num_graphs=num_graphs(),
        num_graph_breaks=num_graph_breaks() - breaks,
    )


def _settle(step: Measurable) -> None:
    if not step.workload.is_compiled:
        step.settle()
        return
    problem: PerfsuiteError
    try:
        step.settle()
    except PerfsuiteError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        text = first_line(error)[:300]
        if any(sign in f"{type(error).__name__}: {error}" for sign in NO_COMPILER):
            problem = NotSupportedError(f"torch.compile finds no compiler here: {text}")
        else:
            problem = ModelError(f"{step.workload.model} cannot be compiled: {type(error).__name__}: {text}")
    else:
        return
    raise problem  # outside of the handler, whose traceback holds tensors


NO_COMPILER = ("InvalidCxxCompiler", "No working C++ compiler", "TritonMissing", "Cannot find a working triton")
"""What torch says where a compiler is missing. Source: torch, torch/_inductor/exc.py."""


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

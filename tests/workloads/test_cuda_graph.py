"""Capturing an iteration, on a stand-in for CUDA that records what is asked of it."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import make_workload

from perfsuite.errors import ModelError, NotSupportedError
from perfsuite.workloads.cuda_graph import NUM_WARM_UP_PASSES, CapturedGraph, require_graph_support
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

CUDA = torch.device("cuda")
GRAPHS = make_workload(cuda_graphs=True)


class Stream:
    def __init__(self, log: list[str], name: str) -> None:
        self._log, self._name = log, name

    def wait_stream(self, other: Stream) -> None:
        self._log.append(f"{self._name} waits for {other._name}")


class Graph:
    def __init__(self, log: list[str]) -> None:
        self._log = log

    def replay(self) -> None:
        self._log.append("replay")

    def register_generator_state(self, generator: torch.Generator) -> None:
        self._log.append(f"generator seeded with {generator.initial_seed()}")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of CUDA, in order."""
    calls: list[str] = []
    side, current = Stream(calls, "side"), Stream(calls, "current")

    @contextlib.contextmanager
    def on_stream(stream: Stream) -> Iterator[None]:
        calls.append(f"on {stream._name}")
        yield

    @contextlib.contextmanager
    def capturing(graph: Graph, *, stream: Stream) -> Iterator[None]:
        del graph
        calls.append(f"capture on {stream._name}")
        yield
        calls.append("captured")

    monkeypatch.setattr(torch.cuda, "Stream", lambda _device: side)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: current)
    monkeypatch.setattr(torch.cuda, "stream", on_stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: Graph(calls))
    monkeypatch.setattr(torch.cuda, "graph", capturing)
    return calls


def test_an_iteration_is_warmed_up_on_the_side_captured_once_and_replayed(log: list[str]) -> None:
    graph = CapturedGraph(lambda: log.append("run"), GRAPHS, CUDA)
    runs = ["run"] * NUM_WARM_UP_PASSES
    before = ["side waits for current", "on side", *runs, "current waits for side"]
    assert log == [*before, "capture on side", "run", "captured"]
    log.clear()
    graph.replay()
    graph.replay()
    assert log == ["replay", "replay"]


@pytest.mark.usefixtures("tiny_networks")
def test_the_random_bits_of_stochastic_rounding_are_registered_before_the_capture(log: list[str]) -> None:
    """Otherwise every replay would draw the same."""
    workload = make_workload(precision="bf16-sr", batch_size=2, device_type="cpu")
    step = TrainingStep(workload, device=torch.device("cpu"), seed=7)
    CapturedGraph(lambda: None, GRAPHS, CUDA, generators=step.generators)
    assert log.index("generator seeded with 7") < log.index("capture on side")
    plain = TrainingStep(dataclasses.replace(workload, precision="bf16"), device=torch.device("cpu"))
    assert plain.generators == ()


def test_what_cannot_be_captured_is_one_line_and_memory_that_ran_out_is_not_that(log: list[str]) -> None:
    def run(error: Exception) -> Any:
        def iteration() -> None:
            if "on side" in log and len(log) > 4:
                raise error
            log.append("run")

        return iteration

    with pytest.raises(ModelError, match="resnet18 cannot be captured as a CUDA graph: operation not permitted"):
        CapturedGraph(run(RuntimeError("operation not permitted\nwhen capturing")), GRAPHS, CUDA)
    log.clear()
    with pytest.raises(torch.OutOfMemoryError):
        CapturedGraph(run(torch.OutOfMemoryError("CUDA out of memory")), GRAPHS, CUDA)


@pytest.mark.parametrize(
    ("device", "changes", "reason"),
    [
        ("cpu", {}, "CUDA graphs need a GPU; this is the CPU"),
        ("cuda", {"phase": "backward"}, "a backward pass alone cannot be captured"),
        ("cuda", {"compile_mode": "reduce-overhead"}, "torch.compile in mode reduce-overhead uses CUDA graphs itself"),
        ("cuda", {"compile_mode": "max-autotune"}, "max-autotune uses CUDA graphs itself"),
    ],
)
def test_what_has_no_graph_is_not_supported_and_says_why(device: str, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotSupportedError, match=reason):
        require_graph_support(make_workload(cuda_graphs=True, **changes), torch.device(device))


def test_a_step_with_a_graph_is_timed_by_its_replays_which_count_as_iterations(log: list[str]) -> None:
    """The step itself lives on the CPU; what is asked of CUDA goes to the stand-in."""
    step = TrainingStep(make_workload(batch_size=2, device_type="cpu"), device=torch.device("cpu"))
    step.settle()
    step.workload, step.device = GRAPHS, CUDA
    step._captured = CapturedGraph(lambda: None, GRAPHS, CUDA)
    before = step.num_iterations
    step.phase()
    step.phase()
    assert step.num_iterations == before + 2
    assert log.count("replay") == 2

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import make_workload

from perfsuite.errors import ModelError, NotSupportedError, OutOfMemoryError
from perfsuite.measure.starting import Start, compile_metrics, run_first_iteration
from perfsuite.workloads.build import build_workload
from perfsuite.workloads.model_sources import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfsuite.workloads.built_network import BuiltNetwork

CPU = torch.device("cpu")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., BuiltNetwork]]:
    """Build networks that are compiled, the graphs left to Python: what is counted is the same, and quick."""
    original, steps = torch.compile, []

    def without_inductor(model: Any, mode: str | None) -> Any:
        del mode
        return original(model, backend="eager")

    monkeypatch.setattr(torch, "compile", without_inductor)

    def build(name: str, **changes: Any) -> BuiltNetwork:
        spec = load_model(f"own_networks:{name}")
        workload = make_workload(model=spec.name, batch_size=3, device_type="cpu", **changes)
        steps.append(build_workload(workload, CPU))
        return steps[-1]

    yield build
    for step in steps:
        step.close()


def test_what_is_not_compiled_has_no_metrics_of_compiling(built: Callable[..., BuiltNetwork]) -> None:
    step = built("sound")
    start = run_first_iteration(step)
    assert start.seconds > 0
    assert compile_metrics(step, start) == ({}, {})


def test_a_network_that_is_one_graph_has_no_break_and_is_compiled_once(built: Callable[..., BuiltNetwork]) -> None:
    step = built("sound", compile_mode="default")
    start = run_first_iteration(step)
    for _ in range(3):
        step.body()
    metrics, absent = compile_metrics(step, start)
    assert metrics["compile_s"] == start.seconds
    assert (metrics["num_graph_breaks"], metrics["num_recompilations"]) == (0, 0)
    assert metrics["compile_peak_bytes"] is None
    assert absent == {"compile_peak_bytes": "torch's CPU allocator keeps no account"}


def test_a_branch_on_a_value_breaks_the_graph_and_another_shape_is_compiled_again(
    built: Callable[..., BuiltNetwork],
) -> None:
    step = built("asks_the_host", compile_mode="default")
    start = run_first_iteration(step)
    assert start.num_graph_breaks >= 1
    step.inputs, step.targets = step.inputs[:2], step.targets[:2]
    step.body()
    recompilations = compile_metrics(step, start)[0]["num_recompilations"]
    assert recompilations is not None
    assert recompilations >= 1


class Failing:
    """Something whose first iteration fails."""

    def __init__(self, error: Exception, compile_mode: str = "default") -> None:
        self.workload, self.device = make_workload(compile_mode=compile_mode), CPU
        self._error = error

    def settle(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            RuntimeError("InvalidCxxCompiler: No working C++ compiler found"),
            NotSupportedError,
            "resnet18: torch.compile raised RuntimeError: ",
        ),
        (
            RuntimeError("Cannot find a working triton installation"),
            NotSupportedError,
            "resnet18: torch.compile raised RuntimeError: ",
        ),
        (TypeError("no lowering\nfor this"), ModelError, "resnet18: torch.compile raised TypeError: no lowering$"),
        (OutOfMemoryError("too large"), OutOfMemoryError, "too large"),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError, "out of memory"),
    ],
)
def test_what_cannot_be_compiled_is_one_line(error: Exception, kind: type[Exception], text: str) -> None:
    step: Any = Failing(error)
    with pytest.raises(kind, match=text):
        run_first_iteration(step)


def test_an_error_of_what_is_not_compiled_stays_as_it_is() -> None:
    step: Any = Failing(TypeError("own"), compile_mode="off")
    with pytest.raises(TypeError, match="own"):
        run_first_iteration(step)


def test_compiling_is_no_part_of_a_record_that_was_not_compiled() -> None:
    start = Start(seconds=1.0, peak_bytes=5, num_graphs=0, num_graph_breaks=0)
    step: Any = Failing(TypeError(), compile_mode="off")
    assert compile_metrics(step, start) == ({}, {})
    compiled: Any = Failing(TypeError())
    assert compile_metrics(compiled, start)[0]["compile_peak_bytes"] == 5

"""The fixture `perf`: a user's own test measures any callable as the suite measures its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.errors import InvalidChoiceError, ModelError
from perfsuite.plugin.cells import measured
from perfsuite.plugin.outcomes import fail_in_one_line, in_one_line
from perfsuite.plugin.session import suite
from perfsuite.records.workload import CALL, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.cell import Record
    from perfsuite.testing import Perf
    from perfsuite.workloads.model_spec import Tensors

_USED = pytest.StashKey[bool]()


@pytest.fixture
def perf(request: pytest.FixtureRequest, benchmark: Any) -> Perf:
    """Measure a callable: `perf(run, batch)`; see `perfsuite.testing.Perf`."""
    from perfsuite.testing import Perf

    def measure(run: Callable[..., object], batch: Tensors, *, precision: str, name: str | None) -> Record | None:
        return _measure(request, benchmark, run, batch, precision=precision, name=name)

    return Perf(suite(request.config).device, measure)


def _measure(
    request: pytest.FixtureRequest,
    benchmark: Any,
    run: Callable[..., object],
    batch: Tensors,
    *,
    precision: str,
    name: str | None,
) -> Record | None:
    from perfsuite.measure.harness import measure
    from perfsuite.workloads.call import Call

    node = request.node
    if node.stash.get(_USED, False):
        fail_in_one_line(node, ModelError(f"{node.name}: perf was called before in this test; one test measures once"))
    node.stash[_USED] = True
    workload = in_one_line(node, lambda: _workload(request, run, batch, precision=precision, name=name))
    return measured(
        request,
        benchmark,
        workload,
        lambda context: measure(
            workload,
            benchmark,
            context,
            make=lambda workload, device: Call(workload, device=device, run=run, batch=batch),
        ),
    )


def _workload(
    request: pytest.FixtureRequest, run: object, batch: Tensors, *, precision: str, name: str | None
) -> Workload:
    from perfsuite.workloads.model_spec import tensors_in
    from perfsuite.workloads.precision import resolve_precision

    if not callable(run):
        raise InvalidChoiceError(f"perf: {type(run).__name__} is not callable; give it what is to be timed")
    device = suite(request.config).device
    first = next(tensors_in(batch), None)
    if batch is not None and first is None:
        raise InvalidChoiceError(f"perf: a batch of type {type(batch).__name__} contains no tensor; leave it out")
    return Workload(
        model=name or request.node.name.removeprefix("test_"),
        precision=resolve_precision(precision, device.type),
        phase=CALL,
        batch_size=1 if first is None or first.dim() == 0 else max(first.shape[0], 1),
        device_type=device.type,
        cudnn_benchmark=suite(request.config).options.cudnn_benchmark,
    )

"""Cells and fixtures: plain strings and ints become a frozen Workload, which is measured into a Record."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.errors import NotSupportedError, OutOfMemoryError, PerfsuiteError
from perfsuite.plugin.options import given
from perfsuite.plugin.outcomes import BENCHMARK, OUTCOME_KIND, WORKLOAD
from perfsuite.plugin.progress import report_stage
from perfsuite.plugin.session import Suite, hide_benchmark_table, suite
from perfsuite.records import Record, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = ("model", "precision", "batch_size", "memory_format", "gradients", "compiled")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that asks for a workload its cells: the matrix of the options."""
    if "workload" not in metafunc.fixturenames:
        return
    from perfsuite.workloads.precision import resolve_precision

    state = suite(metafunc.config)
    options = state.options
    precisions = dict.fromkeys(resolve_precision(name, state.device.type) for name in options.precisions)
    sizes = options.batch_sizes or (state.budget.batch_size,)
    cases = list(itertools.product(options.models, sizes, options.memory_formats, options.gradients, precisions))
    metafunc.parametrize(
        PARAMETERS,
        [
            (model, precision, size, layout, gradients, options.compiled)
            for model, size, layout, gradients, precision in cases
        ],
        ids=[
            f"{model}-{precision}-b{size}{_suffix(layout, gradients, compiled=options.compiled)}"
            for model, size, layout, gradients, precision in cases
        ],
    )


def _suffix(layout: str, gradients: str, *, compiled: bool) -> str:
    """Name what is not the default."""
    parts = [layout] if layout != "contiguous" else []
    parts += [gradients] if gradients != "freed" else []
    parts += ["compiled"] if compiled else []
    return "".join(f"-{part}" for part in parts)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every cell the device's clock and our defaults, where the user has not set others."""
    cells = [item for item in items if "workload" in getattr(item, "fixturenames", ())]
    if not cells:
        return
    state = suite(config)
    if state.error is not None:
        raise pytest.UsageError(str(state.error))
    if given(config, "--benchmark-timer"):
        raise pytest.UsageError(
            "--benchmark-timer cannot be used with the suite's cells: their timer has to wait for the device before it "
            "reads; leave the option out"
        )
    if not hasattr(cells[0], "_nodeid") and not hasattr(config.option, "benchmark_precision"):
        # pytest-benchmark before 5.3 reads an attribute that pytest 9.2 no longer has.
        raise pytest.UsageError(f"pytest {pytest.__version__} needs pytest-benchmark 5.3 or newer; upgrade it")
    state.cells = cells  # only now: pytest goes on to the end of the collection after an error above
    defaults = _benchmark_defaults(config, state)
    for item in cells:
        marker = item.get_closest_marker("benchmark")
        merged = {**defaults, **(marker.kwargs if marker else {}), "timer": state.clock}
        item.add_marker(pytest.mark.benchmark(**merged), append=False)
        # A cell that is skipped or fails before it is timed says so itself.
        item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all"))
    hide_benchmark_table(config)


def _benchmark_defaults(config: pytest.Config, state: Suite) -> dict[str, Any]:
    from perfsuite.measure.harness import CONFIDENCE, PRECISION_TARGET

    budget = state.budget
    ours: dict[str, float] = {
        "min_rounds": budget.min_rounds,
        "min_time": budget.min_round_s,
        "max_time": budget.max_time_s,
        # From which share of a round's length on the number of iterations is estimated instead of multiplied by ten:
        # 5 / this. At pytest-benchmark's 10 a round might become ten times too long.
        "calibration_precision": 100,
    }
    if hasattr(config.option, "benchmark_precision"):  # pytest-benchmark 5.3; before it, the whole time is spent
        ours.update(precision=PRECISION_TARGET, confidence=CONFIDENCE)
    return {name: value for name, value in ours.items() if not given(config, f"--benchmark-{name.replace('_', '-')}")}


@pytest.fixture
def workload(
    request: pytest.FixtureRequest,
    model: str,
    precision: str,
    batch_size: int,
    memory_format: str,
    gradients: str,
    compiled: bool,  # noqa: FBT001 - a parameter of the matrix
) -> Workload:
    """The identity of the cell, from the test's parameters and the phase in its marker `step`."""
    marker = request.node.get_closest_marker("step")
    if marker is None or not isinstance(marker.kwargs.get("phase"), str):
        raise pytest.UsageError(f"{request.node.nodeid}: a test with a workload needs @pytest.mark.step(phase=...)")
    return Workload(
        model=model,
        precision=precision,
        phase=marker.kwargs["phase"],
        batch_size=batch_size,
        memory_format=memory_format,
        gradients=gradients,
        compiled=compiled,
        device_type=suite(request.config).device.type,
    )


@pytest.fixture
def measure(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[Workload], Record | None]:
    """Measure a workload with the `benchmark` fixture; skips and fails the cell with one line."""
    from perfsuite.measure import harness

    request.node.stash[BENCHMARK] = benchmark

    def run(workload: Workload) -> Record | None:
        state = suite(request.config)
        request.node.stash[WORKLOAD] = workload
        try:
            return harness.measure(
                workload,
                benchmark,
                device=state.device,
                clock=state.clock,
                process=state.process,
                report_stage=lambda stage: report_stage(request.config, stage),
            )
        except (KeyboardInterrupt, SystemExit):
            benchmark.skipped = True  # else pytest-benchmark complains that its fixture was not used
            raise
        except PerfsuiteError as error:
            problem: PerfsuiteError = error.with_traceback(None)  # its frames hold the cell's tensors
        # Outside of the handler: pytest would show the error twice, as one during the handling of the other.
        if isinstance(problem, NotSupportedError):
            pytest.skip(str(problem))
        request.node.stash[OUTCOME_KIND] = "out_of_memory" if isinstance(problem, OutOfMemoryError) else "failed"
        pytest.fail(str(problem), pytrace=False)

    return run

"""Steps on several devices as pytest sees them: world sizes, strategies, and the fixture `measure_scaling`."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from perfsuite.errors import NotSupportedError
from perfsuite.formatting import plural
from perfsuite.plugin.cells import measured
from perfsuite.plugin.matrix import is_scaling
from perfsuite.plugin.session import suite

if TYPE_CHECKING:
    from perfsuite.measure.run_context import RunContext
    from perfsuite.records.scaling import Compression, ScalingRecord, Strategy
    from perfsuite.records.workload import Workload

PARAMETERS = ("world_size", "strategy", "compression")


class MeasureScaling(Protocol):
    """Measures a step on several devices; skips and fails the cell with one line."""

    def __call__(
        self, workload: Workload, world_size: int, strategy: Strategy, compression: Compression
    ) -> ScalingRecord | None:
        """Measure it.

        Args:
            workload: The step; its batch size is that of a rank, or with `--perf-global-batch-size` of all of them.
            world_size: Ranks, one a device.
            strategy: How the step is spread.
            compression: Of the gradients.
        """


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every cell of the matrix one for each world size, strategy and compression."""
    if not is_scaling(metafunc.definition) or "world_size" not in metafunc.fixturenames:
        return
    options = suite(metafunc.config).options
    is_strong = options.global_batch_size is not None
    cases = list(itertools.product(options.strategies, options.compressions, world_sizes(metafunc.config)))
    values = [(world_size, strategy, compression) for strategy, compression, world_size in cases]
    ids = []
    for world_size, strategy, compression in values:
        parts = [plural(world_size, "rank").replace(" ", "")]
        parts += [strategy] if strategy != "ddp" else []
        parts += [f"{compression}_gradients"] if compression != "none" else []
        parts += ["strong"] if is_strong else []
        ids.append("-".join(parts))
    metafunc.parametrize(PARAMETERS, values, ids=ids)


def world_sizes(config: pytest.Config) -> tuple[int, ...]:
    """Return the numbers of devices of this run."""
    import torch

    from perfsuite.measure.scaling.cell import default_world_sizes

    state = suite(config)
    num_gpus = torch.cuda.device_count() if state.device.type == "cuda" else 0
    return state.options.world_sizes or default_world_sizes(state.device.type, num_gpus)


@pytest.fixture
def measure_scaling(request: pytest.FixtureRequest, benchmark: Any) -> MeasureScaling:
    """Measure a step on several devices; what goes wrong, in whichever rank, is one line."""

    def run(workload: Workload, world_size: int, strategy: Strategy, compression: Compression) -> ScalingRecord | None:
        def measure(context: RunContext) -> ScalingRecord | None:
            from perfsuite.measure.scaling.cell import ScalingCell, measure_scaling

            cell = ScalingCell(
                workload=of_rank(workload, world_size, is_global=options.global_batch_size is not None),
                models=model_texts(request.config),
                world_size=world_size,
                largest_world_size=max(world_sizes(request.config)),
                strategy=strategy,
                compression=compression,
                scaling="weak" if options.global_batch_size is None else "strong",
                timeout_s=float(options.rank_timeout_s),
            )
            return measure_scaling(cell, benchmark, context)

        options = suite(request.config).options
        return measured(request, benchmark, workload, measure)

    return run


def model_texts(config: pytest.Config) -> tuple[str, ...]:
    """Return networks of others as the user names them: each rank loads them for itself."""
    from perfsuite.parsing import split_names

    return split_names("--perf-models", str(config.getoption("perf_models")))


def of_rank(workload: Workload, world_size: int, *, is_global: bool) -> Workload:
    """Return the workload of one rank.

    Args:
        workload: Its batch size is that of a rank, or of all ranks.
        world_size: Ranks.
        is_global: Whether it is that of all ranks.

    Raises:
        NotSupportedError: The ranks cannot share the batch equally.
    """
    if not is_global:
        return workload
    batch_size, rest = divmod(workload.batch_size, world_size)
    if rest or not batch_size:
        raise NotSupportedError(
            f"--perf-global-batch-size {workload.batch_size}: {plural(world_size, 'rank')} cannot share it equally; "
            f"take a multiple of {world_size}"
        )
    return dataclasses.replace(workload, batch_size=batch_size)

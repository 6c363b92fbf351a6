"""What becomes of the cells that were collected: which stay, which are refused, and how each is timed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.measure.active_clock import ActiveClock
from perfsuite.plugin.distribution import is_worker, refuse_cells
from perfsuite.plugin.given import given
from perfsuite.plugin.matrix import is_of_trainings, is_step, phase_of
from perfsuite.plugin.outcomes import is_cell, is_own_test, is_study
from perfsuite.plugin.selection import ON_REQUEST, is_training
from perfsuite.plugin.session import hide_benchmark_table, suite
from perfsuite.precisions import BASELINE
from perfsuite.records.workload import IMAGE_SIZE, NUM_CLASSES

if TYPE_CHECKING:
    from perfsuite.plugin.options import Options
    from perfsuite.plugin.session import Suite

ACTIVE_CLOCK = pytest.StashKey[ActiveClock]()
"""The timer of a full training, on its item."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every cell the device's clock and our defaults, where the user has not set others."""
    cells = [item for item in items if is_cell(item)]
    if not cells:
        return
    if is_worker(config):
        refuse_cells(config, items, cells)
        return
    state = suite(config)
    if state.error is not None:
        raise pytest.UsageError(str(state.error))
    cells = _without_empty_matrices(config, cells, items)
    if state.options.quick:
        cells = _whole_steps_only(config, cells, items)
    if given(config, "--benchmark-timer"):
        raise pytest.UsageError(
            "--benchmark-timer cannot be used with the suite's cells: their timer has to wait for the device before it "
            "reads; leave the option out"
        )
    if not hasattr(cells[0], "_nodeid") and not hasattr(config.option, "benchmark_precision"):
        # pytest-benchmark before 5.3 reads an attribute that pytest 9.2 no longer has.
        raise pytest.UsageError(f"pytest {pytest.__version__} needs pytest-benchmark 5.3 or newer; upgrade it")
    _refuse_images_of_steps_alone(state.options, cells)
    _refuse_trainings_of_other_networks(state.options, cells)
    _refuse_other_cells_side_by_side(state, cells)
    state.cells = cells  # only now: pytest goes on to the end of the collection after an error above
    for item in cells:
        defaults = _benchmark_defaults(config, state, item)
        marker = item.get_closest_marker("benchmark")
        timer: object = state.clock
        if is_training(item):
            timer = item.stash[ACTIVE_CLOCK] = ActiveClock()
        merged = {**defaults, **(marker.kwargs if marker else {}), "timer": timer}
        item.add_marker(pytest.mark.benchmark(**merged), append=False)
        # A cell that is skipped or fails before it is timed says so itself.
        item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all"))
    hide_benchmark_table(config)


def _without_empty_matrices(
    config: pytest.Config, cells: list[pytest.Item], items: list[pytest.Item]
) -> list[pytest.Item]:
    """Deselect speed-ups that have nothing to be measured against FP32, or say so where nothing else is left."""
    empty = [cell for cell in cells if _is_without_cases(cell)]
    if not empty:
        return cells
    if len(empty) == len(cells):
        raise pytest.UsageError(
            f"--perf-precisions {','.join(suite(config).options.precisions)}: a speed-up is relative to "
            f"{BASELINE}; name another precision too, amp for instance"
        )
    config.hook.pytest_deselected(items=empty)
    items[:] = [item for item in items if item not in empty]
    return [cell for cell in cells if cell not in empty]


def _is_without_cases(cell: pytest.Item) -> bool:
    """Whether pytest made a cell of an empty matrix, which it skips: it has a sign in place of every value."""
    if "workload" not in cell.fixturenames:  # type: ignore[attr-defined]
        return False
    return not isinstance(cell.callspec.params["model"], str)  # type: ignore[attr-defined]


def _refuse_images_of_steps_alone(options: Options, cells: list[pytest.Item]) -> None:
    """Refuse options of synthetic images where nothing is measured with them: they would be ignored."""
    if set(options.image_sizes) <= {IMAGE_SIZE} and options.num_classes in {None, NUM_CLASSES}:
        return
    if all(is_of_trainings(cell) or is_study(cell) for cell in cells):
        raise pytest.UsageError(
            "--perf-image-size, --perf-classes: full trainings and -m numerics take size and classes of their images "
            "(--perf-data), and the input pipeline is measured with those of CIFAR-10; leave the options out, or "
            "select -m step (`perfsuite data import PATH --image-size N` makes images of another size)"
        )


def _refuse_trainings_of_other_networks(options: Options, cells: list[pytest.Item]) -> None:
    """Refuse a network that has another batch or loss than images and their classes, where images are trained on."""
    from perfsuite.workloads.models import MODELS

    if not any(is_of_trainings(cell) or is_study(cell) for cell in cells):
        return
    for name in options.models:
        if not MODELS[name].classifies_images:
            raise pytest.UsageError(
                f"--perf-models: {name}: full trainings and -m numerics are of networks that classify images; leave it "
                "out, or select -m step"
            )


def _refuse_other_cells_side_by_side(state: Suite, cells: list[pytest.Item]) -> None:
    """Refuse to spread over several devices what is measured: steps that run side by side slow each other down."""
    others = [cell for cell in cells if not is_training(cell)]
    if state.devices and others:
        option = "--perf-world-size" if state.options.world_size > 1 else "--perf-devices"
        raise pytest.UsageError(
            f"{option}: only full trainings are spread over devices, and {others[0].name} is none; select "
            f"-m {ON_REQUEST}, or leave the option out"
        )


def _whole_steps_only(config: pytest.Config, cells: list[pytest.Item], items: list[pytest.Item]) -> list[pytest.Item]:
    """Deselect the parts of a step, unless nothing else is asked for: a first answer is that of the whole step."""
    parts = [cell for cell in cells if phase_of(cell) in {"forward", "backward"}]
    if len(parts) in {0, len(cells)}:
        return cells
    config.hook.pytest_deselected(items=parts)
    items[:] = [item for item in items if item not in parts]
    return [cell for cell in cells if cell not in parts]


def _benchmark_defaults(config: pytest.Config, state: Suite, item: pytest.Item) -> dict[str, Any]:
    """Return how pytest-benchmark runs the rounds of a cell, or the blocks of a pair.

    The suite itself decides whether more of them follow: pytest-benchmark's own rule takes rounds for independent.
    """
    from perfsuite.measure.budget import MIN_SUSTAINED_BLOCKS

    budget, is_pair = state.budget, not (is_step(item) or is_own_test(item))
    min_blocks = budget.min_blocks if state.options.turn_time_s is None else MIN_SUSTAINED_BLOCKS
    ours: dict[str, Any] = {
        "min_rounds": min_blocks if is_pair else budget.min_rounds,
        "min_time": budget.min_round_s,
        "max_time": budget.rounds_s,
        # From which share of a round's length on the number of iterations is estimated instead of multiplied by ten:
        # 5 / this. At pytest-benchmark's 10 a round might become ten times too long.
        "calibration_precision": 100,
    }
    kept = {name: value for name, value in ours.items() if not given(config, f"--benchmark-{name.replace('_', '-')}")}
    if hasattr(config.option, "benchmark_precision"):  # pytest-benchmark 5.3
        kept.update(precision=None)
    return kept

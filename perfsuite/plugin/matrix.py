"""The matrix of the options: which cells there are, what each is called, and how it is timed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.measure.active_clock import ActiveClock
from perfsuite.plugin.distribution import is_worker, refuse_cells
from perfsuite.plugin.given import given
from perfsuite.plugin.selection import ON_REQUEST
from perfsuite.plugin.session import Suite, hide_benchmark_table, suite
from perfsuite.precisions import BASELINE
from perfsuite.records.workload import IMAGE_SIZE, NUM_CLASSES, Workload

if TYPE_CHECKING:
    from perfsuite.plugin.options import Options


WHOLE = dict.fromkeys(("interleaved", "overhead", "input_pipeline"), "train_step") | {ON_REQUEST: ON_REQUEST}
"""Phase of tests that have no marker `step`, by their marker."""

ACTIVE_CLOCK = pytest.StashKey[ActiveClock]()
"""The timer of a full training, on its item."""

PARAMETERS = (
    "model",
    "precision",
    "batch_size",
    "image_size",
    "memory_format",
    "gradients",
    "compiled",
)

OF_TRAININGS = {ON_REQUEST, "input_pipeline"}
"""Markers of what is done with the images of a full training, whatever images steps are measured with."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that asks for a workload its cells: the matrix of the options."""
    if "workload" not in metafunc.fixturenames:
        return
    from perfsuite.workloads.precision import resolve_precision

    state = suite(metafunc.config)
    options = state.options
    precisions = dict.fromkeys(resolve_precision(name, state.device.type) for name in options.precisions)
    sizes = options.batch_sizes or (state.budget.batch_size,)
    if _is_speedup(metafunc.definition):
        precisions.pop(BASELINE, None)
    is_training = metafunc.definition.get_closest_marker(ON_REQUEST) is not None
    seeds: tuple[int | None, ...] = tuple(range(options.num_seeds)) if is_training else (None,)
    if is_training:
        sizes = (options.recipe.batch_size,)
    image_sizes = (IMAGE_SIZE,) if _is_of_trainings(metafunc.definition) else options.image_sizes
    num_classes = num_classes_of(metafunc.definition, options)
    cases = itertools.product(
        options.models,
        image_sizes,
        sizes,
        options.memory_formats,
        options.gradients,
        precisions,
        (options.compiled,),
        seeds,
    )
    names, values, ids = PARAMETERS + (("seed",) if is_training else ()), [], []
    for model, image_size, size, layout, gradients, precision, compiled, seed in cases:
        own = (model, precision, size, image_size, layout, gradients, compiled)
        values.append(own if seed is None else (*own, seed))
        suffix = f"-{image_size}px" if image_size != IMAGE_SIZE else ""
        suffix += f"-{num_classes}classes" if num_classes != NUM_CLASSES else ""
        suffix += _suffix(layout, gradients, compiled=compiled, cudnn_benchmark=options.cudnn_benchmark)
        suffix += "" if not seed else f"-seed{seed}"
        ids.append(f"{model}-{precision}-b{size}{suffix}")
    metafunc.parametrize(names, values, ids=ids)


def _is_of_trainings(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in OF_TRAININGS)


def num_classes_of(item: pytest.Item, options: Options) -> int:
    """Return how many outputs the network of a test has."""
    return NUM_CLASSES if _is_of_trainings(item) else options.num_classes


def _is_speedup(item: pytest.Item) -> bool:
    """Whether the test holds its workload against FP32 itself."""
    return item.get_closest_marker("interleaved") is not None


def _suffix(layout: str, gradients: str, *, compiled: bool, cudnn_benchmark: bool) -> str:
    """Name what is not the default."""
    parts = [layout] if layout != "contiguous" else []
    parts += [gradients] if gradients != "freed" else []
    parts += ["compiled"] if compiled else []
    parts += ["cudnn_benchmark"] if cudnn_benchmark else []
    return "".join(f"-{part}" for part in parts)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every cell the device's clock and our defaults, where the user has not set others."""
    cells = [item for item in items if "workload" in getattr(item, "fixturenames", ())]
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
    state.cells = cells  # only now: pytest goes on to the end of the collection after an error above
    for item in cells:
        defaults = _benchmark_defaults(config, state, item)
        marker = item.get_closest_marker("benchmark")
        timer: object = state.clock
        if item.get_closest_marker(ON_REQUEST) is not None:
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
    empty = [cell for cell in cells if not isinstance(cell.callspec.params["model"], str)]  # type: ignore[attr-defined]
    if len(empty) == len(cells):
        raise pytest.UsageError(
            f"--perf-precisions {','.join(suite(config).options.precisions)}: a speed-up is relative to "
            f"{BASELINE}; name another precision too, amp for instance"
        )
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if item not in empty]
    return [cell for cell in cells if cell not in empty]


def _refuse_images_of_steps_alone(options: Options, cells: list[pytest.Item]) -> None:
    """Refuse options of synthetic images where nothing is measured with them: they would be ignored."""
    if (options.image_sizes, options.num_classes) == ((IMAGE_SIZE,), NUM_CLASSES):
        return
    if all(_is_of_trainings(cell) for cell in cells):
        raise pytest.UsageError(
            f"--perf-image-size, --perf-classes: full trainings are of CIFAR-10, {IMAGE_SIZE}x{IMAGE_SIZE} pixels and "
            f"{NUM_CLASSES} classes; leave the options out, or select -m step"
        )


def _whole_steps_only(config: pytest.Config, cells: list[pytest.Item], items: list[pytest.Item]) -> list[pytest.Item]:
    """Deselect the parts of a step, unless nothing else is asked for: a first answer is that of the whole step."""
    parts = [cell for cell in cells if phase_of(cell) in {"forward", "backward"}]
    if len(parts) in {0, len(cells)}:
        return cells
    config.hook.pytest_deselected(items=parts)
    items[:] = [item for item in items if item not in parts]
    return [cell for cell in cells if cell not in parts]


def phase_of(item: pytest.Item) -> object:
    """Return the phase in the marker `step` of a test, or None."""
    marker = item.get_closest_marker("step")
    return None if marker is None else marker.kwargs.get("phase")


def _benchmark_defaults(config: pytest.Config, state: Suite, item: pytest.Item) -> dict[str, Any]:
    """Return how pytest-benchmark runs the rounds of a cell, or the blocks of a pair.

    The suite itself decides whether more of them follow: pytest-benchmark's own rule takes rounds for independent.
    """
    from perfsuite.measure.budget import MIN_SUSTAINED_BLOCKS

    budget, is_pair = state.budget, item.get_closest_marker("step") is None
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


@pytest.fixture
def workload(
    request: pytest.FixtureRequest,
    *,
    model: str,
    precision: str,
    batch_size: int,
    image_size: int,
    memory_format: str,
    gradients: str,
    compiled: bool,
) -> Workload:
    """The identity of the cell, from the parameters and the phase in its marker `step`; a pair is of whole steps."""
    marker = request.node.get_closest_marker("step")
    phase = next((phase for name, phase in WHOLE.items() if request.node.get_closest_marker(name)), None)
    phase = marker.kwargs.get("phase") if marker is not None else phase
    if not isinstance(phase, str):
        raise pytest.UsageError(f"{request.node.nodeid}: a test with a workload needs @pytest.mark.step(phase=...)")
    state = suite(request.config)
    return Workload(
        model=model,
        precision=precision,
        phase=phase,
        batch_size=batch_size,
        image_size=image_size,
        num_classes=num_classes_of(request.node, state.options),
        memory_format=memory_format,
        gradients=gradients,
        compiled=compiled,
        device_type=state.device.type,
        cudnn_benchmark=state.options.cudnn_benchmark,
    )

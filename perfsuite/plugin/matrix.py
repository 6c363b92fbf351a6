"""The matrix of the options: which cells there are, what each is called, and how it is timed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.measure.active_clock import ActiveClock
from perfsuite.plugin.distribution import is_worker, refuse_cells
from perfsuite.plugin.given import given
from perfsuite.plugin.outcomes import in_one_line, is_cell, is_own_test, is_study
from perfsuite.plugin.selection import ON_REQUEST, is_training
from perfsuite.plugin.session import IMAGES, Suite, hide_benchmark_table, suite
from perfsuite.precisions import BASELINE
from perfsuite.records.workload import IMAGE_SIZE, INFERENCE, NOT_COMPILED, NUM_CLASSES, Workload, compile_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfsuite.plugin.options import Options


SCALING = "scaling"
"""The marker of steps on several devices."""

WHOLE = dict.fromkeys(("interleaved", "switches", "overhead", "input_pipeline", SCALING), "train_step") | {
    ON_REQUEST: ON_REQUEST,
    INFERENCE: INFERENCE,
}
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
    "compile_mode",
    "cuda_graphs",
)

OF_TRAININGS = {ON_REQUEST, "input_pipeline"}
"""Markers of what is done with the images of a full training, whatever images steps are measured with."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that asks for a workload its cells: the matrix of the options."""
    if "workload" not in metafunc.fixturenames:
        return
    definition, options = metafunc.definition, suite(metafunc.config).options
    has_seeds = is_training(definition)
    seeds: tuple[int | None, ...] = tuple(range(options.num_seeds)) if has_seeds else (None,)
    is_inference = definition.get_closest_marker(INFERENCE) is not None
    gradients_names = ("freed",) if is_inference else options.gradients  # inference has none
    sizes, ways = _batch_sizes_of(metafunc), _ways_of(metafunc)
    values, ids = [], []
    for model in _models_of(metafunc):
        num_classes = num_classes_of(definition, options, model)
        image_sizes = image_sizes_of(definition, options, model)
        cases = itertools.product(image_sizes, sizes, gradients_names, ways, seeds)
        for image_size, size, gradients, (layout, precision, mode, graphs), seed in cases:
            own = (model, precision, size, image_size, layout, gradients, mode, graphs)
            values.append(own if seed is None else (*own, seed))
            parameters = dict(zip(PARAMETERS, own, strict=True))
            ids.append(_id_of(parameters, num_classes, seed, cudnn_benchmark=options.cudnn_benchmark))
    metafunc.parametrize((*PARAMETERS, "seed") if has_seeds else PARAMETERS, values, ids=ids)


def _batch_sizes_of(metafunc: pytest.Metafunc) -> tuple[int, ...]:
    """Return the batch sizes of a test; where the user names none, inference is measured of one image as well."""
    state, definition = suite(metafunc.config), metafunc.definition
    options = state.options
    if is_training(definition):
        return (options.recipe.batch_size,)
    if is_scaling(definition) and options.global_batch_size is not None:
        return (options.global_batch_size,)
    if options.batch_sizes:
        return options.batch_sizes
    if definition.get_closest_marker(INFERENCE) is not None:
        return (1, state.budget.batch_size)
    return (state.budget.batch_size,)


def _ways_of(metafunc: pytest.Metafunc) -> list[tuple[str, str, str, bool]]:
    """Return how a test computes: memory format, precision, mode of torch.compile, CUDA graphs."""
    from perfsuite.workloads.precision import resolve_precision

    state, definition = suite(metafunc.config), metafunc.definition
    options = state.options
    precisions = dict.fromkeys(resolve_precision(name, state.device.type) for name in options.precisions)
    if _is_speedup(definition):
        precisions.pop(BASELINE, None)
    if definition.get_closest_marker("switches") is not None:
        return switch_combinations(options, precisions)
    return list(itertools.product(options.memory_formats, precisions, options.compile_modes, options.cuda_graphs))


def _id_of(parameters: Mapping[str, Any], num_classes: int, seed: int | None, *, cudnn_benchmark: bool) -> str:
    """Name a cell by network, precision and batch size, and by what is not the default."""
    parts = [parameters["model"], parameters["precision"], f"b{parameters['batch_size']}"]
    if parameters["image_size"] != IMAGE_SIZE:
        parts.append(f"{parameters['image_size']}px")
    if num_classes != NUM_CLASSES:
        parts.append(f"{num_classes}classes")
    if parameters["memory_format"] != "contiguous":
        parts.append(parameters["memory_format"])
    if parameters["gradients"] != "freed":
        parts.append(parameters["gradients"])
    if parameters["compile_mode"] != NOT_COMPILED:
        parts.append(compile_in_words(parameters["compile_mode"]).replace(" ", "_"))
    if cudnn_benchmark:
        parts.append("cudnn_benchmark")
    if parameters["cuda_graphs"]:
        parts.append("cuda_graphs")
    if seed:
        parts.append(f"seed{seed}")
    return "-".join(parts)


def _models_of(metafunc: pytest.Metafunc) -> tuple[str, ...]:
    """Return the networks of a test; of steps on several devices a narrow one on a CPU, where the user names none."""
    state = suite(metafunc.config)
    is_narrow = is_scaling(metafunc.definition) and state.device.type == "cpu"
    if not is_narrow or given(metafunc.config, "--perf-models"):
        return state.options.models
    from perfsuite.workloads.models import NARROW

    return (NARROW,)


def switch_combinations(options: Options, precisions: Iterable[str]) -> list[tuple[str, str, str, bool]]:
    """Return what is switched on, singly and together: memory format, precision, mode of torch.compile, CUDA graphs.

    AMP is the first precision other than FP32 that the user asks for, and torch.compile runs in the first mode.
    """
    amp = next((name for name in precisions if name != BASELINE), None)
    mode = next((name for name in options.compile_modes if name != NOT_COMPILED), "default")
    channels_last = ("channels_last", BASELINE, NOT_COMPILED, False)
    singly = [channels_last, ("contiguous", BASELINE, mode, False), ("contiguous", BASELINE, NOT_COMPILED, True)]
    if amp is None:
        return [*singly, ("channels_last", BASELINE, mode, False), ("channels_last", BASELINE, mode, True)]
    singly.insert(1, ("contiguous", amp, NOT_COMPILED, False))
    together = [(NOT_COMPILED, False), (mode, False), (mode, True)]
    return [*singly, *(("channels_last", amp, mode, graphs) for mode, graphs in together)]


def _is_of_trainings(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in OF_TRAININGS)


def image_sizes_of(item: pytest.Item, options: Options, model: str) -> tuple[int, ...]:
    """Return the sizes of the images of a test, in pixels."""
    if _is_of_trainings(item):
        return (IMAGE_SIZE,)
    from perfsuite.workloads.models import MODELS

    return options.image_sizes or (MODELS[model].image_size,)


def num_classes_of(item: pytest.Item, options: Options, model: str) -> int:
    """Return how many outputs the network of a test has."""
    if _is_of_trainings(item):
        return NUM_CLASSES
    from perfsuite.workloads.models import MODELS

    return MODELS[model].num_classes if options.num_classes is None else options.num_classes


def is_scaling(item: pytest.Item) -> bool:
    """Whether a test measures a step on several devices."""
    return item.get_closest_marker(SCALING) is not None


def _is_speedup(item: pytest.Item) -> bool:
    """Whether the test holds its workload against FP32 itself."""
    return item.get_closest_marker("interleaved") is not None


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
    if all(_is_of_trainings(cell) or is_study(cell) for cell in cells):
        raise pytest.UsageError(
            "--perf-image-size, --perf-classes: full trainings and -m numerics take size and classes of their images "
            "(--perf-data), and the input pipeline is measured with those of CIFAR-10; leave the options out, or "
            "select -m step (`perfsuite data import PATH --image-size N` makes images of another size)"
        )


def _refuse_trainings_of_other_networks(options: Options, cells: list[pytest.Item]) -> None:
    """Refuse a network that has another batch or loss than images and their classes, where images are trained on."""
    from perfsuite.workloads.models import MODELS

    if not any(_is_of_trainings(cell) or is_study(cell) for cell in cells):
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


def phase_of(item: pytest.Item) -> object:
    """Return the phase of a test that measures one thing by itself, or None where it measures a pair or a training."""
    if item.get_closest_marker(INFERENCE) is not None:
        return INFERENCE
    marker = item.get_closest_marker("step")
    return None if marker is None else marker.kwargs.get("phase")


def is_step(item: pytest.Item) -> bool:
    """Whether a test of the suite measures one thing by itself: a phase of a training step, or inference."""
    return any(item.get_closest_marker(name) is not None for name in ("step", INFERENCE))


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


@pytest.fixture
def workload(  # noqa: PLR0913 - one for each part of the matrix
    request: pytest.FixtureRequest,
    *,
    model: str,
    precision: str,
    batch_size: int,
    image_size: int,
    memory_format: str,
    gradients: str,
    compile_mode: str,
    cuda_graphs: bool,
) -> Workload:
    """The identity of the cell, from the parameters and the phase in its marker `step`; a pair is of whole steps."""
    values = (model, precision, batch_size, image_size, memory_format, gradients, compile_mode, cuda_graphs)
    parameters = dict(zip(PARAMETERS, values, strict=True))
    return in_one_line(request.node, lambda: workload_of(request.node, parameters))


def workload_of(item: pytest.Item, parameters: Mapping[str, Any]) -> Workload:
    """Return the identity of a cell.

    Args:
        item: Its test, with the phase in its markers.
        parameters: Its part of the matrix, by the names in `PARAMETERS`.

    Raises:
        ModelError: The network cannot be built.
    """
    from perfsuite.workloads.models import model_digest

    marker = item.get_closest_marker("step")
    phase = next((phase for name, phase in WHOLE.items() if item.get_closest_marker(name)), None)
    phase = marker.kwargs.get("phase") if marker is not None else phase
    if not isinstance(phase, str):
        raise pytest.UsageError(f"{item.nodeid}: a test with a workload needs @pytest.mark.step(phase=...)")
    state = suite(item.config)
    model, image_size = parameters["model"], parameters["image_size"]
    num_classes = num_classes_of(item, state.options, model)
    if phase == ON_REQUEST:
        images = item.config.stash[IMAGES]
        image_size, num_classes = images.image_size, images.num_classes
    known = {name: parameters[name] for name in PARAMETERS if name not in {"model", "image_size"}}
    return Workload(
        model=model,
        model_digest=model_digest(model, image_size=image_size, num_classes=num_classes),
        phase=phase,
        image_size=image_size,
        num_classes=num_classes,
        device_type=state.device.type,
        cudnn_benchmark=state.options.cudnn_benchmark,
        **known,
    )

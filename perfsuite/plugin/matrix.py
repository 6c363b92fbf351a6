"""The matrix of the options: which cells there are, what each is called, and the workload of each."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.plugin.given import given
from perfsuite.plugin.outcomes import in_one_line
from perfsuite.plugin.selection import ON_REQUEST, is_training
from perfsuite.plugin.session import IMAGES, suite
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


def is_of_trainings(item: pytest.Item) -> bool:
    """Whether a test uses the images of a full training."""
    return any(item.get_closest_marker(name) for name in OF_TRAININGS)


def image_sizes_of(item: pytest.Item, options: Options, model: str) -> tuple[int, ...]:
    """Return the sizes of the images of a test, in pixels."""
    if is_of_trainings(item):
        return (IMAGE_SIZE,)
    from perfsuite.workloads.models import MODELS

    return options.image_sizes or (MODELS[model].image_size,)


def num_classes_of(item: pytest.Item, options: Options, model: str) -> int:
    """Return how many outputs the network of a test has."""
    if is_of_trainings(item):
        return NUM_CLASSES
    from perfsuite.workloads.models import MODELS

    return MODELS[model].num_classes if options.num_classes is None else options.num_classes


def is_scaling(item: pytest.Item) -> bool:
    """Whether a test measures a step on several devices."""
    return item.get_closest_marker(SCALING) is not None


def _is_speedup(item: pytest.Item) -> bool:
    """Whether the test holds its workload against FP32 itself."""
    return item.get_closest_marker("interleaved") is not None


def phase_of(item: pytest.Item) -> object:
    """Return the phase of a test that measures one thing by itself, or None where it measures a pair or a training."""
    if item.get_closest_marker(INFERENCE) is not None:
        return INFERENCE
    marker = item.get_closest_marker("step")
    return None if marker is None else marker.kwargs.get("phase")


def is_step(item: pytest.Item) -> bool:
    """Whether a test of the suite measures one thing by itself: a phase of a training step, or inference."""
    return any(item.get_closest_marker(name) is not None for name in ("step", INFERENCE))


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

"""What the user asked for: options read once, checked before anything is collected, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfsuite.errors import InvalidChoiceError, PerfsuiteError
from perfsuite.parsing import (
    MAX_DEVICES,
    choose,
    parse_batch_sizes,
    parse_devices,
    parse_image_sizes,
    parse_num_classes,
    parse_whole_number,
    require_device_name,
    split_names,
)
from perfsuite.paths import expanded
from perfsuite.plugin.early import require_one_word
from perfsuite.recipes import read_recipe
from perfsuite.records.scaling import COMPRESSIONS, STRATEGIES
from perfsuite.records.workload import COMPILE_MODES, NOT_COMPILED

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.scaling import Compression, Strategy
    from perfsuite.records.workload import Recipe

DEFAULT_MODELS = "resnet18,resnet34,resnet50"
DEFAULT_PRECISIONS = "fp32,amp"
GRADIENTS = {"freed": True, "kept": False}
"""Whether zero_grad sets gradients to None, by name."""

MAX_BATCH_SIZE = 65_536
"""Larger than any batch of 32x32 images that fits a GPU today; beyond it lies a typing error."""


MAX_TURN_TIME_S = 600
"""Ten minutes; longer turns of a pair show nothing that shorter ones do not."""

MAX_PREHEAT_S = 3600
"""An hour; a GPU has reached its final temperature long before."""

MAX_SEEDS = 1000
"""More trainings of one cell than this nobody has the time for."""

MAX_WORLD_SIZE = 1024
"""More than the GPUs of any one machine; beyond it lies a typing error."""

RANK_TIMEOUT_S = 300
"""How long ranks may make no progress: the longest single things that they do are building a large network, and a step
in a precision that a CPU emulates."""

MAX_RANK_TIMEOUT_S = 86_400
"""A day; beyond it lies a typing error."""

MAX_OVERHEAD_TIME_S = 86_400
"""A day; beyond it lies a typing error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for.

    Attributes:
        device: `auto`, `cuda`, `cuda:1` or `cpu`.
        devices: Those over which full trainings are spread, `cuda:1` or `cpu:1`; empty where they run one by one.
        world_size: Devices that share each full training.
        model_texts: Networks as the user wrote them.
        models: Names of networks, all of which are known.
        precisions: Names of precisions, `amp` not yet resolved.
        batch_sizes: N, or empty for the default of the device.
        image_sizes: H and W of the images in pixels, or empty for what each network is made for.
        num_classes: K, outputs of the networks, or None for what each network is made for.
        memory_formats: Names of memory formats.
        gradients: `freed` or `kept`, or both.
        compile_modes: Whether and how networks go through `torch.compile`.
        cuda_graphs: Whether iterations are captured as CUDA graphs, or not, or both.
        cudnn_benchmark: Whether cuDNN times its algorithms and takes the fastest.
        recipe: How full trainings are done.
        num_seeds: How many trainings of each cell.
        data: Path of the data set, or None for where it is kept.
        run_dir: Where checkpoints and finished trainings lie, or None for `results/trainings`.
        restart: Whether to start trainings over.
        deterministic: Whether trainings choose the same algorithms every time.
        profiled: Whether cells are profiled once all of them are timed.
        overhead_time_s: How long a check of the harness overhead goes on after its rounds while it cannot tell.
        quick: Whether a first answer is enough.
        turn_time_s: How long each turn of an interleaved speed-up lasts, or None for the shortest that can be timed.
        preheat_s: How long the device is loaded before the first cell at least, or None for the default.
        world_sizes: Numbers of devices of `-m scaling`, or empty for the default of the machine.
        global_batch_size: Of all ranks together, or None where the batch of each rank is given.
        strategies: How steps are spread over ranks.
        compressions: What gradients are compressed to for their exchange.
        rank_timeout_s: How long no rank may make progress before its cell is ended.
    """

    device: str
    devices: tuple[str, ...]
    world_size: int
    model_texts: tuple[str, ...]
    models: tuple[str, ...]
    precisions: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    image_sizes: tuple[int, ...]
    num_classes: int | None
    memory_formats: tuple[str, ...]
    gradients: tuple[str, ...]
    compile_modes: tuple[str, ...]
    cuda_graphs: tuple[bool, ...]
    cudnn_benchmark: bool
    recipe: Recipe
    num_seeds: int
    data: Path | None
    run_dir: Path | None
    restart: bool
    deterministic: bool
    profiled: bool
    overhead_time_s: int
    quick: bool
    turn_time_s: int | None
    preheat_s: int | None
    world_sizes: tuple[int, ...]
    global_batch_size: int | None
    strategies: tuple[Strategy, ...]
    compressions: tuple[Compression, ...]
    rank_timeout_s: int


OPTIONS = pytest.StashKey[Options]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read and check the options; one bad value gives one line."""
    if not hasattr(config.option, "benchmark_json"):
        raise pytest.UsageError("perfsuite needs the plugin pytest-benchmark (5.1 or newer), which is not loaded")
    require_one_word(config.invocation_params.args, config.invocation_params.dir)
    try:
        config.stash[OPTIONS] = read_options(config.getoption)
    except PerfsuiteError as error:
        raise pytest.UsageError(str(error)) from None


def read_options(get: Callable[[str], object]) -> Options:
    """Return the options as a frozen record.

    Args:
        get: Gives an option's raw value by its destination.

    Raises:
        InvalidChoiceError: A value that is not allowed; the message names the option.
    """
    options = Options(
        device=str(get("perf_device")),
        devices=_devices(get("perf_devices")),
        world_size=_world_size(get("perf_world_size")),
        model_texts=split_names("--perf-models", str(get("perf_models"))),
        models=_models(str(get("perf_models"))),
        precisions=split_names("--perf-precisions", str(get("perf_precisions"))),
        batch_sizes=_batch_sizes(get("perf_batch_size")),
        image_sizes=_image_sizes(get("perf_image_size")),
        num_classes=_num_classes(get("perf_classes")),
        memory_formats=split_names("--perf-memory-format", str(get("perf_memory_format"))),
        gradients=split_names("--perf-gradients", str(get("perf_gradients"))),
        compile_modes=split_names("--perf-compile", str(get("perf_compile"))),
        cuda_graphs=_on_or_off("--perf-cuda-graphs", str(get("perf_cuda_graphs"))),
        cudnn_benchmark=bool(get("perf_cudnn_benchmark")),
        recipe=read_recipe(str(get("perf_recipe")), Path.cwd()),
        num_seeds=parse_whole_number(
            "--perf-seeds", str(get("perf_seeds")), "a number of seeds", least=1, most=MAX_SEEDS
        ),
        data=_path("--perf-data", get("perf_data")),
        run_dir=_path("--perf-run-dir", get("perf_run_dir")),
        restart=bool(get("perf_restart")),
        deterministic=bool(get("perf_deterministic")),
        profiled=not get("perf_no_profile"),
        overhead_time_s=_whole_seconds(
            "--perf-overhead-time", str(get("perf_overhead_time")), MAX_OVERHEAD_TIME_S, least=0
        ),
        quick=bool(get("perf_quick")),
        turn_time_s=_seconds_or_none("--perf-turn-time", get("perf_turn_time"), MAX_TURN_TIME_S),
        preheat_s=_seconds_or_none("--perf-preheat", get("perf_preheat"), MAX_PREHEAT_S),
        world_sizes=_world_sizes(get("perf_world_sizes")),
        global_batch_size=_global_batch_size(get("perf_global_batch_size")),
        strategies=_chosen("--perf-strategy", get("perf_strategy"), STRATEGIES, "strategy"),  # type: ignore[arg-type]
        compressions=_chosen(  # type: ignore[arg-type]
            "--perf-gradient-compression", get("perf_gradient_compression"), COMPRESSIONS, "compression"
        ),
        rank_timeout_s=_whole_seconds(
            "--perf-rank-timeout", str(get("perf_rank_timeout")), MAX_RANK_TIMEOUT_S, least=1
        ),
    )
    _refuse_contradictions(options)
    for name in options.gradients:
        _at("--perf-gradients", lambda name=name: choose(GRADIENTS, name, kind="state of gradients"))  # type: ignore[misc]
    for mode in options.compile_modes:
        _at("--perf-compile", lambda mode=mode: choose(dict.fromkeys(COMPILE_MODES), mode, kind="mode"))  # type: ignore[misc]
    # The registries are in modules that import torch; a plain run need not wait for that here.
    if options.memory_formats != ("contiguous",):
        from perfsuite.workloads.models import MEMORY_FORMATS

        for name in options.memory_formats:
            _at("--perf-memory-format", lambda name=name: choose(MEMORY_FORMATS, name, kind="memory format"))  # type: ignore[misc]
    if options.precisions != tuple(DEFAULT_PRECISIONS.split(",")):
        from perfsuite.workloads.precision import resolve_precision

        for name in options.precisions:
            _at("--perf-precisions", lambda name=name: resolve_precision(name, "cpu"))  # type: ignore[misc]
    require_device_name("--perf-device", options.device)
    _check_ranks(options)
    data = options.data
    if data is not None:
        from perfsuite.workloads.image_files import check_data_path

        _at("--perf-data", lambda: check_data_path(data))
    return options


def _refuse_contradictions(options: Options) -> None:
    """Refuse options of which one says otherwise than the other.

    Raises:
        InvalidChoiceError: Two are given.
    """
    if options.batch_sizes and options.global_batch_size is not None:
        raise InvalidChoiceError(
            "--perf-batch-size, --perf-global-batch-size: the one is of each rank, the other of all ranks together; "
            "leave one of them out"
        )
    if options.deterministic and options.cudnn_benchmark:
        raise InvalidChoiceError(
            "--perf-deterministic, --perf-cudnn-benchmark: a search may choose other algorithms in each process; leave "
            "one of them out"
        )
    if options.devices and options.device != "auto":
        raise InvalidChoiceError(
            f"--perf-device {options.device}, --perf-devices: one device for all benchmarks, or several for full "
            "trainings; leave one of them out"
        )


def _at(option: str, check: Callable[[], object]) -> None:
    try:
        check()
    except PerfsuiteError as error:
        raise InvalidChoiceError(f"{option}: {error}") from None


def _models(value: str) -> tuple[str, ...]:
    """Load the networks, and return their names."""
    names = split_names("--perf-models", value)
    if value == DEFAULT_MODELS:
        return names
    from perfsuite.workloads.model_sources import load_model

    try:
        return tuple(dict.fromkeys(load_model(name).name for name in names))
    except PerfsuiteError as error:
        raise InvalidChoiceError(f"--perf-models: {error}") from None


def _world_size(value: object) -> int:
    text = "1" if value is None else str(value)
    return parse_whole_number("--perf-world-size", text, "a number of devices", least=1, most=MAX_DEVICES)


def _check_ranks(options: Options) -> None:
    """Refuse a training on several devices that cannot be the one that the recipe describes.

    Raises:
        InvalidChoiceError: The batch cannot be shared evenly, or the devices cannot.
    """
    size, batch_size = options.world_size, options.recipe.batch_size
    if size == 1:
        return
    if batch_size % size:
        raise InvalidChoiceError(
            f"--perf-world-size {size}: the recipe's batch of {batch_size} images cannot be shared evenly by {size} "
            "devices; choose a number that divides it"
        )
    if len(options.devices) % size:
        raise InvalidChoiceError(
            f"--perf-devices, --perf-world-size {size}: {len(options.devices)} devices are not so many groups "
            f"of {size}; name a multiple of {size}"
        )
    if ":" in options.device:
        raise InvalidChoiceError(
            f"--perf-device {options.device}, --perf-world-size {size}: {size} devices are needed; name them with "
            "--perf-devices, or leave the first option out"
        )
    if options.compile_modes != (NOT_COMPILED,):
        raise InvalidChoiceError(
            "--perf-compile, --perf-world-size: compiled networks are trained on one device; leave one of them out"
        )


def _devices(value: object) -> tuple[str, ...]:
    return () if value is None else parse_devices("--perf-devices", str(value))


def _image_sizes(value: object) -> tuple[int, ...]:
    return () if value is None else parse_image_sizes("--perf-image-size", str(value))


def _num_classes(value: object) -> int | None:
    return None if value is None else parse_num_classes("--perf-classes", str(value))


def _on_or_off(option: str, value: str) -> tuple[bool, ...]:
    names = split_names(option, value)
    _at(option, lambda: [choose({"off": False, "on": True}, name, kind="value") for name in names])
    return tuple(name == "on" for name in names)


def _world_sizes(value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    option = "--perf-world-sizes"
    sizes = (
        parse_whole_number(option, part, "a number of devices", least=1, most=MAX_WORLD_SIZE)
        for part in split_names(option, str(value))
    )
    return tuple(dict.fromkeys(sizes))


def _global_batch_size(value: object) -> int | None:
    if value is None:
        return None
    return parse_whole_number("--perf-global-batch-size", str(value), "a batch size", least=1, most=MAX_BATCH_SIZE)


def _chosen(option: str, value: object, allowed: tuple[str, ...], kind: str) -> tuple[str, ...]:
    names = split_names(option, str(value))
    _at(option, lambda: [choose(dict.fromkeys(allowed), name, kind=kind) for name in names])
    return names


def _path(option: str, value: object) -> Path | None:
    return None if value is None else expanded(option, str(value))


def _whole_seconds(option: str, value: str, most: int, *, least: int) -> int:
    return parse_whole_number(option, value, "a time", least=least, most=most, unit="whole seconds")


def _seconds_or_none(option: str, value: object, most: int) -> int | None:
    return None if value is None else _whole_seconds(option, str(value), most, least=1)


def _batch_sizes(value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    return parse_batch_sizes("--perf-batch-size", str(value), MAX_BATCH_SIZE)

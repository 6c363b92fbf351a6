"""Studies of mixed precision as pytest sees them: their networks, their images, and the fixture `study`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

from perfsuite.errors import ClaimError, PerfsuiteError
from perfsuite.formatting import plural
from perfsuite.plugin.given import given
from perfsuite.plugin.options import DEFAULT_MODELS
from perfsuite.plugin.outcomes import BENCHMARK, KEPT, WORKLOAD, fail_in_one_line, in_one_line, is_study
from perfsuite.plugin.progress import report_stage
from perfsuite.plugin.session import suite
from perfsuite.precisions import BASELINE
from perfsuite.records.schema import KEY
from perfsuite.records.workload import Workload

if TYPE_CHECKING:
    from perfsuite.measure.numerics.registry import ImagesOfStudy
    from perfsuite.records.numerics import NumericsRecord, Study
    from perfsuite.workloads.images import ImageSet

BATCH_SIZE = 128
"""Where the user asks for none. Source: the thesis."""

CPU_BATCH_SIZE = 16
"""The same, of trainings on a CPU."""

TRAININGS = {"weights", "scaling", "scales"}
"""Studies that train: on a CPU a narrow network, where the user names none: a minute instead of an hour."""

NUM_SEEDS = 3
"""Of an ablation, where the user asks for none: the fewest whose interval is of use."""

NUM_SYNTHETIC = 4096

SYNTHETIC = (
    "synthetic images: no data set is stored here; `--perf-data=PATH` names one, `perfsuite data import` or `perfsuite "
    "data download` stores one"
)


class RunStudy(Protocol):
    """Runs a study of mixed precision; skips and fails the cell with one line."""

    def __call__(self, name: Study, model: str | None = None) -> NumericsRecord | None:
        """Run it.

        Args:
            name: A name from `STUDIES`.
            model: Of the network that it is of, or None where it is of none.
        """


_IMAGES = pytest.StashKey["tuple[ImageSet, ImagesOfStudy]"]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give studies of a network one cell for each network: the first that is asked for, or all that are named."""
    if not is_study(metafunc.definition) or "model" not in metafunc.fixturenames:
        return
    from perfsuite.workloads.models import NARROW

    state = suite(metafunc.config)
    name = metafunc.function.__name__.removeprefix("test_")
    models = state.options.models
    if not given(metafunc.config, "--perf-models") and name != "types":  # these are of fake tensors, and take a moment
        is_narrow = name in TRAININGS and state.device.type == "cpu"
        models = (NARROW if is_narrow else DEFAULT_MODELS.partition(",")[0],)
    metafunc.parametrize("model", models)


@pytest.fixture
def study(request: pytest.FixtureRequest, benchmark: Any) -> RunStudy:
    """Run a study, and keep its record; a claim that does not hold fails the cell, and the record stays."""

    def run(name: Study, model: str | None = None) -> NumericsRecord | None:
        request.node.stash[BENCHMARK] = benchmark
        benchmark.group = "numerics"
        try:
            record = in_one_line(request.node, lambda: _run(request, benchmark, name, model))
        except (KeyboardInterrupt, SystemExit):
            benchmark.skipped = True
            benchmark.has_error = True
            raise
        problem = _problem(record)
        if problem is not None:
            request.node.stash[KEPT] = True
            fail_in_one_line(request.node, problem)
        return record

    return run


def _run(request: pytest.FixtureRequest, benchmark: Any, name: Study, model: str | None) -> NumericsRecord:
    from perfsuite.measure.cell_setup import guard
    from perfsuite.measure.numerics.registry import NO_IMAGES, run_study
    from perfsuite.measure.numerics.study import StudyContext

    config, state = request.config, suite(request.config)
    images, about = (None, NO_IMAGES) if model is None else _images(config)
    workload = None if model is None or images is None else _workload(config, name, model, images)
    if workload is not None:
        request.node.stash[WORKLOAD] = workload
    context = StudyContext(
        device=state.device,
        workload=workload,
        images=images,
        recipe=state.options.recipe,
        seeds=tuple(range(_num_seeds(config))),
        report_stage=lambda stage: report_stage(config, stage),
    )
    found: list[NumericsRecord] = []

    def body() -> None:
        # Types are counted without looking at an image.
        found.append(run_study(name, context, state.process, NO_IMAGES if name == "types" else about))

    with guard(benchmark, request.node.name, device=state.device, clock=state.clock):
        benchmark.pedantic(body, rounds=1, iterations=1)
    (record,) = found
    if not benchmark.disabled:
        benchmark.extra_info[KEY] = record.to_json()
    return record


def _num_seeds(config: pytest.Config) -> int:
    options = suite(config).options
    if given(config, "--perf-seeds"):
        return options.num_seeds
    return 1 if options.quick else NUM_SEEDS


def _workload(config: pytest.Config, name: Study, model: str, images: ImageSet) -> Workload:
    from perfsuite.workloads.models import model_digest

    state = suite(config)
    usual = CPU_BATCH_SIZE if name in TRAININGS and state.device.type == "cpu" else BATCH_SIZE
    return Workload(
        model=model,
        model_digest=model_digest(model, image_size=images.image_size, num_classes=images.num_classes),
        precision=BASELINE,
        phase="train_step",
        batch_size=state.options.batch_sizes[0] if state.options.batch_sizes else usual,
        device_type=state.device.type,
        cudnn_benchmark=state.options.cudnn_benchmark,
        image_size=images.image_size,
        num_classes=images.num_classes,
    )


def _images(config: pytest.Config) -> tuple[ImageSet, ImagesOfStudy]:
    """Return the images that are stored or named, or synthetic ones; read once."""
    if _IMAGES not in config.stash:
        config.stash[_IMAGES] = _find_images(config)
    return config.stash[_IMAGES]


def _find_images(config: pytest.Config) -> tuple[ImageSet, ImagesOfStudy]:
    from perfsuite.measure.numerics.registry import ImagesOfStudy
    from perfsuite.plugin.trainings import find_images
    from perfsuite.workloads import image_store
    from perfsuite.workloads.images import patterned_images

    given_path = suite(config).options.data
    if given_path is None and not image_store.default_path().exists():
        return patterned_images(NUM_SYNTHETIC), ImagesOfStudy(words="synthetic images", findings=(SYNTHETIC,))
    images = find_images(config).images
    return images, ImagesOfStudy(words=f"{images.name}, {len(images.train_labels):,} images", findings=())


def _problem(record: NumericsRecord) -> PerfsuiteError | None:
    """Return which claims do not hold, or None where all do."""
    failed = record.failed
    if not failed:
        return None
    first = failed[0]
    more = f", and {plural(len(failed) - 1, 'more claim')}" if len(failed) > 1 else ""
    return ClaimError(
        f"{len(failed)} of {len(record.claims)} claims do not hold: {first.name}: measured {first.measured:.6g}, "
        f"{first.relation} {first.expected:.6g} (tolerance {first.tolerance:.3g}) expected{more}"
    )

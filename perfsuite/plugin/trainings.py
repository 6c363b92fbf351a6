"""Full trainings as pytest sees them: the images, the fixture `train`, its timer, and a line per epoch."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.errors import DataError, DeviceLostError, FolderInUseError, MeasurementError, PerfsuiteError
from perfsuite.formatting import MIB_BYTES
from perfsuite.measure.training_task import TrainingLine, epoch_line
from perfsuite.plugin.collected_cells import ACTIVE_CLOCK
from perfsuite.plugin.outcomes import BENCHMARK, KEPT, WORKLOAD, fail_in_one_line
from perfsuite.plugin.progress import report_epoch, report_stage
from perfsuite.plugin.results import environment
from perfsuite.plugin.selection import is_training
from perfsuite.plugin.session import IMAGES, has_cells, suite
from perfsuite.recipes import missed_target, recipe_for
from perfsuite.records.reading import read_record
from perfsuite.records.schema import KEY
from perfsuite.records.training import TrainingRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from perfsuite.measure.device_pool import TaskEnded
    from perfsuite.records.workload import Recipe, Workload
    from perfsuite.workloads.images import ImageSet


@pytest.hookimpl(wrapper=True)
def pytest_collection_finish(session: pytest.Session) -> Generator[None, object, object]:
    """Set what cuBLAS needs before anybody reads the environment, and have the images ready before the first cell."""
    config = session.config
    if not has_cells(config) or config.option.collectonly or not any(map(is_training, suite(config).cells)):
        return (yield)
    if suite(config).options.deterministic:
        # Read by cuBLAS when it starts. Source: PyTorch, Reproducibility.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    result = yield
    try:
        config.stash[STORED_IMAGES] = find_images(config)
        config.stash[IMAGES] = config.stash[STORED_IMAGES].images
        if suite(config).devices:
            image_file(config)
    except PerfsuiteError as error:
        raise pytest.UsageError(str(error)) from None
    return result


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredImages:
    """Images, and where another process can read them.

    Attributes:
        images: Them.
        path: The file that `image_store` keeps them in; None where it could not be written.
    """

    images: ImageSet
    path: Path | None


STORED_IMAGES: pytest.StashKey[StoredImages] = pytest.StashKey()
"""What full trainings are of, once the cells are collected."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrainedElsewhere:
    """What came of a cell in a process of its own.

    Attributes:
        workload: What was trained.
        seed: With which seed.
        ended: How that ended.
    """

    workload: Workload
    seed: int
    ended: TaskEnded


TRAINED: pytest.StashKey[TrainedElsewhere] = pytest.StashKey()
"""On the item of such a cell, once it has ended."""


def find_images(config: pytest.Config) -> StoredImages:
    """Return the images that the user names, those that are stored, or CIFAR-10, which is downloaded.

    Raises:
        DataError: They cannot be found or read.
    """
    from perfsuite.workloads import image_store

    path = suite(config).options.data or image_store.default_path()
    if path.suffix == ".npz":
        if path.exists() or suite(config).options.data is not None or os.environ.get(image_store.DATA_VARIABLE):
            return StoredImages(images=image_store.load_image_set(path), path=path)
        return StoredImages(images=_downloaded(config, path), path=path)
    return _imported(config, path)


def image_file(config: pytest.Config) -> Path:
    """Return where other processes read the images.

    Raises:
        DataError: They are in the memory of this process alone.
    """
    path = config.stash[STORED_IMAGES].path
    if path is None:
        raise DataError(
            "--perf-devices: each process reads the images from a file, and they could not be stored: `perfsuite data "
            "import PATH --data FILE.npz` stores them where there is room, then --perf-data=FILE.npz"
        )
    return path.absolute()


def _downloaded(config: pytest.Config, path: Path) -> ImageSet:
    from perfsuite.workloads.download import download_images
    from perfsuite.workloads.image_store import save_image_set

    _say(config, f"no images at {path}: downloading CIFAR-10")
    found = download_images()
    save_image_set(found, path)
    return found


def _imported(config: pytest.Config, path: Path) -> StoredImages:
    """Import a folder or archive once, and keep it next to the default data set."""
    from perfsuite.workloads.image_import import import_images
    from perfsuite.workloads.image_store import default_path, load_image_set, save_image_set
    from perfsuite.workloads.images import class_counts_in_words

    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"--perf-data {path}: {error.strerror}") from None
    mark = hashlib.sha256(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:12]
    kept = default_path().parent / f"imported-{mark}.npz"
    if kept.exists() and path.is_file():
        return StoredImages(images=load_image_set(kept), path=kept)
    _say(config, f"importing {path}")
    found = import_images(path)
    _say(config, "; ".join(class_counts_in_words(found)))
    try:
        save_image_set(found, kept)
    except DataError as error:
        _say(config, f"WARNING: imported again the next time: {error}")
        return StoredImages(images=found, path=None)
    return StoredImages(images=found, path=kept)


def _say(config: pytest.Config, text: str) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(text)


def run_folder(config: pytest.Config) -> Path:
    """Return where the trainings of this run lie."""
    return suite(config).options.run_dir or config.rootpath / "results" / "trainings"


def kept_in_words(config: pytest.Config) -> list[str]:
    """Return a line on what trainings have left on the disk, and one on how to free what no replay needs."""
    from perfsuite.measure.training_job import kept_in

    folder = run_folder(config)
    try:
        kept = kept_in(folder)
    except OSError:
        return []
    lines = [f"Trainings: {kept.num_finished} finished in {folder}, replayed by the same command"]
    if kept.unfinished:
        names = ", ".join(path.name for path in kept.unfinished[:3])
        more = f" and {len(kept.unfinished) - 3} more" if len(kept.unfinished) > 3 else ""  # noqa: PLR2004 - names shown
        lines.append(
            f"{len(kept.unfinished)} unfinished, {kept.unfinished_bytes / MIB_BYTES:,.0f} MiB of checkpoints: the same "
            f"command resumes them; to free the disk instead, remove {names}{more} there"
        )
    return lines


@pytest.fixture
def train(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[Workload, int], TrainingRecord | None]:
    """Train a workload with a seed to the end; skips and fails the cell with one line."""

    def run(workload: Workload, seed: int) -> TrainingRecord | None:
        request.node.stash[BENCHMARK] = benchmark
        request.node.stash[WORKLOAD] = workload
        benchmark.group = f"{workload.model} full_training"
        try:
            return _train(request, benchmark, workload, seed)
        except (KeyboardInterrupt, SystemExit):
            benchmark.skipped = True
            benchmark.has_error = True
            raise
        except FolderInUseError as error:
            # The cells that follow would be trained by both processes in turn: the run ends here.
            benchmark.skipped = True  # where another process was to train, the fixture was not used yet
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
        except PerfsuiteError as error:
            problem: PerfsuiteError = error.with_traceback(None)  # its frames hold the training's tensors
        return fail_in_one_line(request.node, problem)

    return run


def recipe_of(config: pytest.Config, workload: Workload) -> Recipe:
    """Return how a cell is trained: the recipe that the user asks for, as it is for this network and these images."""
    is_of_cifar10 = config.stash[IMAGES].is_of_cifar10
    return recipe_for(suite(config).options.recipe, workload.model, workload.precision, is_of_cifar10=is_of_cifar10)


def report_line(config: pytest.Config, nodeid: str, line: TrainingLine) -> None:
    """Show the user what a training tells."""
    if line.kind == "stage":
        report_stage(config, line.text, nodeid)
    elif line.kind == "epoch":
        report_epoch(config, nodeid, line.text, line.left_s)
    else:
        report_epoch(config, nodeid, f"WARNING: {line.text}", None)


def _train(request: pytest.FixtureRequest, benchmark: Any, workload: Workload, seed: int) -> TrainingRecord | None:
    if suite(request.config).devices:
        record = _trained_elsewhere(request, benchmark, workload, seed)
    else:
        record = _trained_here(request, benchmark, workload, seed)
    missed = missed_target(record.recipe, test_accuracy=record.test_accuracy, is_of_data=record.is_target_of_its_data)
    if missed is not None:
        record = dataclasses.replace(record, findings=(*record.findings, missed))
    if not benchmark.disabled:
        benchmark.extra_info[KEY] = record.to_json()
    if missed is not None:
        request.node.stash[KEPT] = True
        raise MeasurementError(f"{record.workload.label}: {missed}")
    return record


def _trained_elsewhere(request: pytest.FixtureRequest, benchmark: Any, workload: Workload, seed: int) -> TrainingRecord:
    """Return what came of a cell that a process of its own has trained; see `side_by_side`."""
    trained = request.node.stash.get(TRAINED, None)
    if trained is None or (trained.workload, trained.seed) != (workload, seed):
        raise MeasurementError(
            "--perf-devices: a test is trained before it runs, with its own workload and seed; one that changes them "
            "needs --perf-device"
        )
    ended = trained.ended
    if ended.details:
        pytest.fail(f"{ended.error}\n{ended.details}", pytrace=False)
    if isinstance(ended.error, DeviceLostError):
        raise MeasurementError(str(ended.error))  # other devices go on
    if ended.error is not None:
        raise ended.error
    record = read_record(ended.result)
    if not isinstance(record, TrainingRecord):
        raise MeasurementError(f"{workload.label}: the process on {ended.place.name} returned no training")
    seconds = float(record.metrics["training_time_s"] or 0.0)

    def body() -> None:
        request.node.stash[ACTIVE_CLOCK].seconds = seconds

    benchmark.pedantic(body, rounds=1, iterations=1)
    return record


def _trained_here(request: pytest.FixtureRequest, benchmark: Any, workload: Workload, seed: int) -> TrainingRecord:
    """Train a cell in this process."""
    from perfsuite.measure.cell_setup import guard
    from perfsuite.measure.train import train
    from perfsuite.measure.training_job import Job

    config, state = request.config, suite(request.config)
    nodeid = request.node.nodeid
    job = Job(
        workload=workload,
        recipe=recipe_of(config, workload),
        seed=seed,
        images=config.stash[IMAGES],
        folder=run_folder(config),
        environment=environment(config),
        deterministic=state.options.deterministic,
        restart=state.options.restart,
    )
    found: list[TrainingRecord] = []

    def body() -> None:
        found.append(
            train(
                job,
                device=state.device,
                process=state.process,
                clock=request.node.stash[ACTIVE_CLOCK],
                report=lambda stage: report_stage(config, stage),
                warn=lambda text: report_line(config, nodeid, TrainingLine(kind="warning", text=text)),
                epoch_ended=lambda epoch, images_per_second, left_s: report_line(
                    config, nodeid, epoch_line(epoch, job.recipe.epochs, images_per_second, left_s)
                ),
            )
        )

    with guard(benchmark, workload.label, device=state.device, clock=state.clock):
        benchmark.pedantic(body, rounds=1, iterations=1)
    return found[0]

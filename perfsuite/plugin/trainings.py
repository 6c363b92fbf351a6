"""Full trainings as pytest sees them: the images, the fixture `train`, its timer, and a line per epoch."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.errors import DataError, FolderInUseError, MeasurementError, PerfsuiteError
from perfsuite.formatting import MIB_BYTES, duration_in_words
from perfsuite.plugin.matrix import ACTIVE_CLOCK
from perfsuite.plugin.outcomes import BENCHMARK, KEPT, WORKLOAD, fail_in_one_line
from perfsuite.plugin.progress import report_epoch, report_stage
from perfsuite.plugin.results import environment
from perfsuite.plugin.selection import ON_REQUEST
from perfsuite.plugin.session import IMAGES, has_cells, suite
from perfsuite.recipes import missed_target, recipe_for
from perfsuite.records.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from perfsuite.records.training import EpochRecord, TrainingRecord
    from perfsuite.records.workload import Workload
    from perfsuite.workloads.images import ImageSet


def is_training(item: pytest.Item) -> bool:
    """Whether a cell is a full training."""
    return item.get_closest_marker(ON_REQUEST) is not None


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
        config.stash[IMAGES] = read_images(config)
    except PerfsuiteError as error:
        raise pytest.UsageError(str(error)) from None
    return result


def read_images(config: pytest.Config) -> ImageSet:
    """Return the images that the user names, those that are stored, or CIFAR-10, which is downloaded.

    Raises:
        DataError: They cannot be found or read.
    """
    from perfsuite.workloads import image_store

    path = suite(config).options.data or image_store.default_path()
    if path.suffix == ".npz":
        if path.exists() or suite(config).options.data is not None or os.environ.get(image_store.DATA_VARIABLE):
            return image_store.load_image_set(path)
        return _downloaded(config, path)
    return _imported(config, path)


def _downloaded(config: pytest.Config, path: Path) -> ImageSet:
    from perfsuite.workloads.download import download_images
    from perfsuite.workloads.image_store import save_image_set

    _say(config, f"no images at {path}: downloading CIFAR-10")
    found = download_images()
    save_image_set(found, path)
    return found


def _imported(config: pytest.Config, path: Path) -> ImageSet:
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
        return load_image_set(kept)
    _say(config, f"importing {path}")
    found = import_images(path)
    _say(config, "; ".join(class_counts_in_words(found)))
    try:
        save_image_set(found, kept)
    except DataError as error:
        _say(config, f"WARNING: imported again the next time: {error}")
    return found


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
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
        except PerfsuiteError as error:
            problem: PerfsuiteError = error.with_traceback(None)  # its frames hold the training's tensors
        return fail_in_one_line(request.node, problem)

    return run


def _train(request: pytest.FixtureRequest, benchmark: Any, workload: Workload, seed: int) -> TrainingRecord | None:
    from perfsuite.measure.cell_setup import guard
    from perfsuite.measure.train import train
    from perfsuite.measure.training_job import Job

    config, state = request.config, suite(request.config)
    clock = request.node.stash[ACTIVE_CLOCK]
    job = Job(
        workload=workload,
        recipe=recipe_for(
            state.options.recipe, workload.model, workload.precision, is_of_cifar10=config.stash[IMAGES].is_of_cifar10
        ),
        seed=seed,
        images=config.stash[IMAGES],
        folder=run_folder(config),
        environment=environment(config),
        deterministic=state.options.deterministic,
        restart=state.options.restart,
    )
    found: list[TrainingRecord] = []

    def show(epoch: EpochRecord, images_per_second: float, left_s: float) -> None:
        text = (
            f"epoch {epoch.epoch} of {job.recipe.epochs}: loss {epoch.train_loss:.4f}, validation "
            f"{epoch.validation_accuracy:.2%}, {images_per_second:,.0f} images/s"
        )
        if left_s > 0:
            text += f", {duration_in_words(left_s)} left in this cell"
        report_epoch(config, request.node.nodeid, text, left_s)

    def body() -> None:
        found.append(
            train(
                job,
                device=state.device,
                process=state.process,
                clock=clock,
                report=lambda stage: report_stage(config, stage),
                warn=lambda text: report_epoch(config, request.node.nodeid, f"WARNING: {text}", None),
                epoch_ended=show,
            )
        )

    with guard(benchmark, workload.label, device=state.device, clock=state.clock):
        benchmark.pedantic(body, rounds=1, iterations=1)
    (record,) = found
    missed = missed_target(record.recipe, test_accuracy=record.test_accuracy, is_of_data=record.is_target_of_its_data)
    if missed is not None:
        record = dataclasses.replace(record, findings=(*record.findings, missed))
    if not benchmark.disabled:
        benchmark.extra_info[KEY] = record.to_json()
    if missed is not None:
        request.node.stash[KEPT] = True
        raise MeasurementError(f"{record.workload.label}: {missed}")
    return record

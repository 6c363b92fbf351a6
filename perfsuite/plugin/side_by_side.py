"""Full trainings on several devices at once: `--perf-devices 0,1,2,3`, `--perf-world-size 4`.

Each cell is trained by a process of its own on whichever device is free, or by several on a group of devices. This
process waits for them, and runs the test of a cell with pytest as soon as its training has ended: it alone writes the
results, and uses no device. All state of a training is in its folder, so that the same command resumes those that were
interrupted, here or with other devices.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import pytest

from perfsuite.errors import PerfsuiteError
from perfsuite.measure.device_pool import DevicePlace, TaskBegan, TaskEnded, TaskTold, run_in_pool
from perfsuite.measure.training_task import TrainingTask, run_training
from perfsuite.plugin.matrix import workload_of
from perfsuite.plugin.options import OPTIONS
from perfsuite.plugin.outcomes import WORKLOAD, end_run_without_device, note_started
from perfsuite.plugin.progress import report_begin
from perfsuite.plugin.results import result_path, write_results
from perfsuite.plugin.selection import is_training
from perfsuite.plugin.session import has_cells, suite
from perfsuite.plugin.time_left import training_weight
from perfsuite.plugin.trainings import (
    STORED_IMAGES,
    TRAINED,
    TrainedElsewhere,
    image_file,
    recipe_of,
    report_line,
    run_folder,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """A cell that a process is to train."""

    item: pytest.Item
    task: TrainingTask


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests in the order in which their trainings end, in place of pytest's own loop."""
    config = session.config
    is_asked_for = has_cells(config) and bool(suite(config).devices) and not config.option.collectonly
    if not is_asked_for or session.testsfailed:
        return None  # pytest's own loop says that the collection failed
    trainings = [item for item in session.items if is_training(item)]
    for item in session.items:
        if item not in trainings:
            _run(session, item, None)
    cells: dict[str, _Cell] = {}
    for item in sorted(trainings, key=lambda item: training_weight(item, config.stash[OPTIONS]), reverse=True):
        task = _task_of(item)
        if task is None:
            _run(session, item, None)  # its fixtures fail, and say why
        else:
            cells[item.nodeid] = _Cell(item=item, task=task)
    _train_all(session, cells)
    return True


def _train_all(session: pytest.Session, cells: dict[str, _Cell]) -> None:
    """Train the cells, each where a device is free, and run the test of each when it has ended."""
    config = session.config
    left = {nodeid: cell.item for nodeid, cell in cells.items()}
    tasks = {nodeid: cell.task for nodeid, cell in cells.items()}
    with contextlib.closing(run_in_pool(tasks, _places(config), run_training)) as events:
        for event in events:
            cell = cells[event.name]
            if isinstance(event, TaskBegan):
                _begin(cell, event.place)
            elif isinstance(event, TaskTold):
                report_line(config, event.name, event.content)
            else:
                del left[event.name]
                cell.item.stash[TRAINED] = TrainedElsewhere(
                    workload=cell.task.workload, seed=cell.task.seed, ended=event
                )
                _run(session, cell.item, _next(cell.item, left))
                _say_if_retired(config, event)
    if left:
        end_run_without_device(session, "no device is left to train on")
        _stop_if_asked(session)


def _run(session: pytest.Session, item: pytest.Item, next_item: pytest.Item | None) -> None:
    """Run one test as pytest's own loop does."""
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
    _stop_if_asked(session)


def _stop_if_asked(session: pytest.Session) -> None:
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)


def _next(item: pytest.Item, left: dict[str, pytest.Item]) -> pytest.Item | None:
    """Return a test before which fixtures of the module stay; None where the next one may be of another module."""
    if all(other.parent is item.parent for other in left.values()):
        return next(iter(left.values()), None)
    return None


def _begin(cell: _Cell, place: DevicePlace) -> None:
    """Note that a cell is trained from now on: a result file that is left behind by a kill says so."""
    item = cell.item
    item.stash[WORKLOAD] = cell.task.workload
    note_started(item)
    report_begin(item.config, item.nodeid, place.name)
    if result_path(item.config) is not None:
        write_results(item.config)


def _say_if_retired(config: pytest.Config, ended: TaskEnded) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if ended.is_retired and reporter is not None:
        reporter.write_line(f"WARNING: {ended.place.name} trains no more cells: {ended.error}")


def _places(config: pytest.Config) -> list[DevicePlace]:
    """Return the devices, or groups of them; those that are the CPU share its threads."""
    import torch

    names, size = suite(config).devices, suite(config).options.world_size
    is_cpu = suite(config).device.type == "cpu"
    num_threads = max(1, torch.get_num_threads() // len(names)) if is_cpu else None
    groups = [names[begin : begin + size] for begin in range(0, len(names), size)]
    return [DevicePlace(devices=group, num_threads=num_threads) for group in groups]


def _task_of(item: pytest.Item) -> TrainingTask | None:
    """Return what a process needs to train a cell; None where its network cannot be built."""
    config, options = item.config, suite(item.config).options
    parameters = item.callspec.params  # type: ignore[attr-defined]
    try:
        workload = workload_of(item, parameters)
    except PerfsuiteError:
        return None
    return TrainingTask(
        workload=workload,
        recipe=recipe_of(config, workload),
        seed=parameters["seed"],
        models=options.model_texts,
        data=image_file(config),
        data_sha256=config.stash[STORED_IMAGES].images.fingerprint,
        folder=run_folder(config),
        checkout=config.rootpath,
        process=suite(config).process,
        deterministic=options.deterministic,
        restart=options.restart,
        num_places=len(suite(config).devices) // options.world_size,
    )

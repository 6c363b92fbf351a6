"""What is shared by the hooks of one pytest run, and the one place that knows pytest-benchmark's session object."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.errors import PerfsuiteError
from perfsuite.measure.budget import Effort
from perfsuite.plugin.given import given
from perfsuite.plugin.options import OPTIONS, Options
from perfsuite.records.environment import Process

if TYPE_CHECKING:
    import torch

    from perfsuite.measure.budget import Budget
    from perfsuite.measure.clock import DeviceClock
    from perfsuite.workloads.images import ImageSet


@dataclass(slots=True, kw_only=True)
class Suite:
    """One run of the suite.

    Attributes:
        options: What the user asked for.
        device: What is measured; the CPU while `error` says why it cannot be told.
        devices: Those over which full trainings are spread, by processes of their own; empty where this one trains.
        clock: The timer of all cells.
        process: Which process this is.
        error: Why the device asked for cannot be used.
        cells: The selected cells, in order.
        is_device_lost: Whether the device cannot be used any more, so that nothing else can be measured.
    """

    options: Options
    device: torch.device
    clock: DeviceClock
    process: Process
    error: PerfsuiteError | None
    devices: tuple[str, ...] = ()
    cells: list[pytest.Item] = field(default_factory=list)
    is_device_lost: bool = False

    @property
    def budget(self) -> Budget:
        """How cells are measured on this type of device."""
        return Effort(quick=self.options.quick).budget(self.device.type)

    def effort(self, *, margin_ratio: float | None, confidence: float, asked_rounds: int | None) -> Effort:
        """How much time the user gives a cell.

        Args:
            margin_ratio: How well the mean of its rounds is to be known, or None.
            confidence: Of that.
            asked_rounds: How many rounds the user asks for at least, or None.
        """
        options = self.options
        return Effort(
            quick=options.quick,
            margin_ratio=margin_ratio,
            confidence=confidence,
            turn_s=options.turn_time_s,
            preheat_s=options.preheat_s,
            asked_rounds=asked_rounds,
        )


_SUITE = pytest.StashKey[Suite]()

IMAGES: pytest.StashKey[ImageSet] = pytest.StashKey()
"""What full trainings are of, once the cells are collected."""


def suite(config: pytest.Config) -> Suite:
    """Return the run's shared state; the first call imports torch and chooses the device."""
    if _SUITE not in config.stash:
        import torch

        from perfsuite.measure.clock import DeviceClock, device_synchronizer
        from perfsuite.measure.device import choose_device, choose_devices, use_device

        options = config.stash[OPTIONS]
        error: PerfsuiteError | None = None
        spread: tuple[str, ...] = ()
        try:
            if spread := _devices(options):
                device = choose_devices(spread)  # left to the processes that train
            else:
                device = choose_device(options.device)
                use_device(device)
        except PerfsuiteError as caught:
            device, error = torch.device("cpu"), caught
        now = dt.datetime.now(dt.UTC)
        config.stash[_SUITE] = Suite(
            options=options,
            device=device,
            clock=DeviceClock(device_synchronizer(device)),
            process=Process(run_id=uuid.uuid4().hex, pid=os.getpid(), started=now.isoformat(timespec="seconds")),
            error=error,
            devices=spread,
        )
    return config.stash[_SUITE]


def _devices(options: Options) -> tuple[str, ...]:
    """Return the devices over which trainings are spread: those that are named, else the first of the kind.

    Raises:
        DeviceUnavailableError: It is not known which kind there is.
    """
    if options.devices or options.world_size == 1:
        return options.devices
    from perfsuite.measure.device import choose_device

    kind = choose_device(options.device).type
    return tuple(f"{kind}:{index}" for index in range(options.world_size))


def has_cells(config: pytest.Config) -> bool:
    """Whether this run measures anything of perfsuite's; cheap where it does not."""
    return _SUITE in config.stash and bool(config.stash[_SUITE].cells)


def is_recording(config: pytest.Config) -> bool:
    """Whether this run makes results: cells are selected, and neither collected only nor with benchmarks disabled."""
    return has_cells(config) and not config.option.collectonly and not _benchmark_session(config).disabled


def _benchmark_session(config: pytest.Config) -> Any:
    # pytest-benchmark 5.1 to 5.3 keep their session there, and register it as a plugin by this name.
    return config.pluginmanager.get_plugin("pytest-benchmark")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """What `--benchmark-json` names.

    Attributes:
        path: As the user wrote it.
        is_open: Whether pytest-benchmark has created it already, empty.
    """

    path: Path
    is_open: bool


def take_over_json(config: pytest.Config) -> NamedFile | None:
    """Return the file of `--benchmark-json`, and keep pytest-benchmark from writing it.

    It would write only at the very end, in place, and nothing at all if no cell succeeded; `results.py` writes it
    after every cell, atomically, through pytest-benchmark's own hooks.
    """
    session = _benchmark_session(config)
    target = session.json
    session.json = None
    if target is None:
        return None
    if isinstance(target, Path):
        return NamedFile(path=target, is_open=False)
    target.close()  # before pytest-benchmark 5.3 the option opens the file at once
    return NamedFile(path=Path(target.name), is_open=True)


def finished_benchmarks(config: pytest.Config) -> list[Any]:
    """Return pytest-benchmark's results, those of failed and interrupted cells dropped from its session as well.

    It registers a result before the first round, and would show an interrupted one as a good one with few rounds.
    """
    session = _benchmark_session(config)
    session.benchmarks[:] = [bench for bench in session.benchmarks if bench and not bench.has_error]
    if suite(config).devices:  # they end in another order than that of the cells
        places = {cell.nodeid: place for place, cell in enumerate(suite(config).cells)}
        session.benchmarks.sort(key=lambda bench: places.get(bench.fullname, len(places)))
    return list(session.benchmarks)


def hide_benchmark_table(config: pytest.Config) -> None:
    """Keep pytest-benchmark's own table from the terminal, unless the user asked for anything about it."""
    about_it = ("sort", "group-by", "columns", "name", "time-unit", "histogram", "verbose", "compare", "cprofile")
    if not any(given(config, f"--benchmark-{option}") for option in about_it):
        _benchmark_session(config).quiet = True

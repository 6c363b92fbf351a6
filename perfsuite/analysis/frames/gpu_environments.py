"""The environments among results, each with a short label: a GPU, and what else distinguishes it from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.columns import place_columns
from perfsuite.analysis.frames.device_names import short_device_names
from perfsuite.analysis.frames.labels import place_in_words
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.thesis_trainings import comparable_trainings
from perfsuite.analysis.load.environment_columns import ENVIRONMENT_COLUMNS
from perfsuite.gpu_sheet import MAX_CONTEXT_BYTES, WORKSPACE_BYTES
from perfsuite.gpus import gpu_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.load.full_training import FullTraining

PHASE = "train_step"
"""What GPUs are chosen by: the whole step."""

Key = tuple[Any, ...]

MAY_BE_UNKNOWN = ("host", "board")
"""What an older file, or a training of an earlier run, does not say; it is then of the one environment it fits."""

UNKNOWN_DEVICE = "unknown device"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuEnvironment:
    """Where something was measured: all its processes are pooled.

    Attributes:
        label: Short, and no other environment's.
        device: The whole name of the GPU, or of the CPU where that was measured.
        short_device: The short name of it, no other device's.
        is_gpu: Whether it is a GPU.
        origin: The columns that distinguish environments.
        capacity_bytes: What its GPU has for tensors; None where that is not known.
    """

    label: str
    device: str
    short_device: str
    is_gpu: bool
    origin: dict[str, Any]
    capacity_bytes: int | None

    @property
    def names(self) -> tuple[str, ...]:
        """What else users call it."""
        return device_names(self.device, self.short_device)


def device_names(device: str, short_device: str) -> tuple[str, ...]:
    """Return what users call a device: its whole name, its short one, and that in the catalogue of data sheets."""
    sheet = gpu_named(device)
    return (device, short_device) if sheet is None else (device, short_device, sheet.name)


def same_environment(environments: Iterable[GpuEnvironment], words: str) -> GpuEnvironment | None:
    """Return the environment that a comparison of environments names by its whole device and its torch or board.

    Args:
        environments: To choose from.
        words: `Tesla T4`, `Tesla T4 with AMD EPYC, torch 2.13.0`; see `Across.baseline`.
    """
    device, *others = words.split(", ")
    found = [
        one
        for one in environments
        if one.device in {device, device.partition(" with ")[0]}
        and set(others) <= {f"torch {one.origin['torch']}", f"board {one.origin['board']}"}
    ]
    return found[0] if len(found) == 1 else None


class EnvironmentIndex:
    """The environments of training steps and of full trainings by the thesis's recipe, in the order of their files."""

    def __init__(self, results: Results) -> None:
        """Find them; see `place_columns` for what is distinguished."""
        self._files = _file_origins(results)
        origins = _origins(results, self._files)
        self._columns = place_columns(pd.DataFrame(origins)) if origins else []
        keys = dict.fromkeys(self._key(origin) for origin in origins)
        self._same = _completed(list(keys), self._columns)
        first: dict[Key, dict[str, Any]] = {}
        for origin in origins:
            first.setdefault(self._same[self._key(origin)], origin)
        short = short_device_names(_device(origin) for origin in first.values())
        labels = _labels(list(first.values()), self._columns, short)
        memory = self._memory(results)
        self._found = {
            key: GpuEnvironment(
                label=label,
                device=_device(origin),
                short_device=short[_device(origin)],
                is_gpu=origin["device"] is not None and origin["device"] != origin["cpu"],
                origin={name: origin[name] for name in ENVIRONMENT_COLUMNS},
                capacity_bytes=_capacity_bytes(_device(origin), memory.get(key)),
            )
            for (key, origin), label in zip(first.items(), labels, strict=True)
        }

    @property
    def environments(self) -> tuple[GpuEnvironment, ...]:
        """All of them, that of the first file first."""
        return tuple(self._found.values())

    def of_row(self, row: Mapping[str, Any]) -> GpuEnvironment:
        """Return the environment of a benchmark, by its row."""
        return self._found[self._same[self._key(row)]]

    def of_file(self, label: str) -> GpuEnvironment:
        """Return the environment that a file was written in, by the label of the file."""
        return self._found[self._same[self._key(self._files[label])]]

    def of_training(self, training: FullTraining) -> GpuEnvironment | None:
        """Return the environment of a full training; None where that is unknown."""
        if training.environment["device"] is None:
            return None
        return self._found[self._same[self._key(training.origin)]]

    def _key(self, row: Mapping[str, Any]) -> Key:
        return tuple(row[column] for column in self._columns)

    def _memory(self, results: Results) -> dict[Key, int]:
        """Return how much memory the GPU of each environment has; drivers differ, so the least that was seen."""
        found: dict[Key, int] = {}
        for file in results.files:
            key = self._same.get(self._key(self._files[file.label]))
            if key is not None and file.gpu_memory_bytes:
                found[key] = min(found.get(key, file.gpu_memory_bytes), file.gpu_memory_bytes)
        return found


def _file_origins(results: Results) -> dict[str, dict[str, Any]]:
    """Return where each file was written, by its label; its series is that of its benchmarks, where it has any."""
    frame = results.benchmarks
    series = {} if frame.empty else dict(zip(frame["file"], frame["series"], strict=True))
    return {
        file.label: {**file.environment, "file": file.label, "series": series.get(file.label, file.series)}
        for file in results.files
    }


def _origins(results: Results, files: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return where every training step, with or without a result, and every training is from, in the order of files."""
    columns = [*ENVIRONMENT_COLUMNS, "series", "file", "name"]
    frame, missing = results.benchmarks, results.outcomes
    found = [] if frame.empty else rows_of(frame.loc[frame["phase"] == PHASE, columns])
    for outcome in rows_of(missing.loc[missing["phase"] == PHASE, ["file", "nodeid"]]):
        found.append({**files[outcome["file"]], "name": outcome["nodeid"]})
    done = comparable_trainings(results).trainings
    trainings = [training.origin for training in done if training.environment["device"] is not None]
    order = {label: number for number, label in enumerate(files)}
    return sorted([*found, *trainings], key=lambda origin: order[origin["file"]])


def _completed(keys: Sequence[Key], columns: Sequence[str]) -> dict[Key, Key]:
    """Return for every key the one it is the same as: that which says more, where only one fits."""
    unsure = [number for number, column in enumerate(columns) if column in MAY_BE_UNKNOWN]
    same = {}
    for key in keys:
        fitting = [other for other in keys if other != key and _says_more(other, key, unsure)]
        same[key] = fitting[0] if len(fitting) == 1 else key
    return same


def _says_more(other: Key, key: Key, unsure: Sequence[int]) -> bool:
    return all(
        theirs == own or (own is None and number in unsure)
        for number, (theirs, own) in enumerate(zip(other, key, strict=True))
    )


def _device(origin: Mapping[str, Any]) -> str:
    return str(origin["device"] or origin["cpu"] or UNKNOWN_DEVICE)


def _labels(origins: Sequence[dict[str, Any]], columns: Sequence[str], short: Mapping[str, str]) -> list[str]:
    """Return the short name of each device and, where several environments have one device, what distinguishes them."""
    devices = [_device(origin) for origin in origins]
    labels = []
    for origin, device in zip(origins, devices, strict=True):
        alike = [other for other, name in zip(origins, devices, strict=True) if name == device]
        words = place_in_words(_distinguishing(alike, columns), origin, short)
        labels.append(f"{short[device]}, {words}" if words else short[device])
    return _distinct(labels)


def _distinguishing(origins: Sequence[dict[str, Any]], columns: Iterable[str]) -> list[str]:
    """Return as few columns as distinguish the environments of one device, the most telling first."""
    chosen: list[str] = []
    num_distinguished = 1
    for column in columns:
        num = len({tuple(origin[name] for name in (*chosen, column)) for origin in origins})
        if num > num_distinguished:
            chosen.append(column)
            num_distinguished = num
    return chosen


def _distinct(labels: Sequence[str]) -> list[str]:
    """Number labels that are the same: what distinguishes them is shown shortened, as a commit is."""
    counts: dict[str, int] = {}
    found = []
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
        found.append(f"{label} ({counts[label]})" if labels.count(label) > 1 else label)
    return found


def _capacity_bytes(device: str, memory_bytes: int | None) -> int | None:
    """Return what a GPU has for tensors: what torch sees of it, else its data sheet's, without the CUDA context."""
    sheet = gpu_named(device)
    if memory_bytes is None:
        return None if sheet is None else sheet.memory.available_bytes
    context = MAX_CONTEXT_BYTES if sheet is None else sheet.memory.context_bytes
    return memory_bytes - context - WORKSPACE_BYTES

"""The same workloads on other machines or other versions: ratios side by side, never verdicts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.environment_steps import amp_groups, amp_in_steps, step_changes, step_groups
from perfsuite.analysis.frames.environment_trainings import amp_of_trainings, training_changes
from perfsuite.analysis.frames.labels import short_devices
from perfsuite.analysis.frames.noise_floor import with_known_noise
from perfsuite.analysis.frames.results import Results, results_of
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.frames.scaling import failed_checks_in_words
from perfsuite.analysis.frames.scaling_steps import with_scaling_steps
from perfsuite.analysis.frames.training_cells import join_trainings
from perfsuite.analysis.frames.training_groups import unstated_in_words
from perfsuite.analysis.load.environment_columns import ENVIRONMENT_COLUMNS
from perfsuite.analysis.load.result_file import read_result_files
from perfsuite.errors import InvalidChoiceError
from perfsuite.parsing import choose, split_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.load.result_file import ResultFile

AXES = {"gpu": ("device", "cpu"), "torch": ("torch",), "board": ("board",)}
"""What distinguishes environments along an axis, by the columns of a collected file."""

CONSEQUENCES: dict[str, tuple[str, ...]] = {
    "gpu": ("driver", "cpu", "power_limit_watts", "board"),
    "torch": ("torchvision", "cuda", "cudnn"),
    "board": (),
}
"""What differs along an axis as a matter of course, and is not mentioned."""

Environment = dict[str, Any]
"""Values of `ENVIRONMENT_COLUMNS`: of a file for its benchmarks, of its own for a full training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """Environments side by side.

    Attributes:
        baseline: Label of the environment that the others are compared with.
        environments: Labels of all, the baseline first.
        short_names: Of each label the same with a short name of its GPU and CPU.
        changes: A dict per benchmark and other environment: `fullname`, `label`, `environment`, `ratio` of times with
            what `ratio_columns` adds, `memory_ratio`, `num_baseline` and `num_candidate` (processes of the baseline's
            and of the other environment), `time_baseline_s` and `time_candidate_s` (geometric means over them),
            `memory_baseline_bytes` and `memory_candidate_bytes`; absent values are None.
        amp: A dict per workload, precision and environment: `label`, `environment`, `speedup` with the same,
            `memory_ratio`, and the same of both precisions; the baseline is FP32 in that environment.
        groups: A dict per group of benchmarks and other environment: `by` and `value` (network, phase, precision, or
            all), `num_cells`, `ratio` with what `ratio_columns` adds, `environment`; see `group_means`.
        amp_groups: The same of the speed-ups (FP32 time / time) of `amp`, in each environment.
        trainings: A dict per cell of full trainings and other environment: `fullname`, `label`, `environment`,
            `num_baseline` and `num_candidate` (trainings of the baseline's and of the other environment),
            `accuracy_baseline` and `accuracy_candidate` (means over seeds, as ratios), `accuracy_change` (candidate -
            baseline) with `accuracy_change_low`, `accuracy_change_high`, `accuracy_change_level`, `accuracy_is_paired`
            (whether the same seeds are on both sides, each with one split), `accuracy_seeds_dof` (degrees of freedom
            of the seeds' scatter; 0: only its assumed size is known), `ratio` of the training times with the same keys
            as in `changes`, `memory_ratio`, times and peaks as there.
        training_amp: A dict per cell of another precision than FP32 and environment, with the same keys; the baseline
            is FP32 in that environment.
        notes: What a reader should know, in words.
    """

    baseline: str
    environments: tuple[str, ...]
    short_names: dict[str, str]
    changes: tuple[dict[str, Any], ...]
    amp: tuple[dict[str, Any], ...]
    groups: tuple[dict[str, Any], ...]
    amp_groups: tuple[dict[str, Any], ...]
    trainings: tuple[dict[str, Any], ...]
    training_amp: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


def read_axes(text: str) -> tuple[str, ...]:
    """Return the axes of `--across`.

    Raises:
        InvalidChoiceError: An unknown one.
    """
    axes = split_names("--across", text)
    for axis in axes:
        choose(AXES, axis, kind="axis of --across")
    return axes


def across(baseline: Sequence[Path], candidate: Sequence[Path], axes: Sequence[str]) -> Across:
    """Read the files of both sides and compare their environments; see `compare_environments`.

    Raises:
        ResultFileError: A file cannot be used.
        InvalidChoiceError: As from `compare_environments`.
    """
    return compare_environments(read_result_files(baseline), read_result_files(candidate), axes)


def compare_environments(
    baseline: Sequence[ResultFile], candidate: Sequence[ResultFile], axes: Sequence[str]
) -> Across:
    """Compare the environments of the candidate files with that of the baseline files.

    Raises:
        InvalidChoiceError: The files do not differ along the axes, or differ in more than that.
    """
    measured = results_of([*baseline, *candidate])
    results = with_known_noise(with_scaling_steps(measured))
    frame = results.benchmarks.assign(row=range(len(results.benchmarks)))
    known = [training for training in results.trainings if _is_known(training)]
    if frame.empty and not known:
        raise InvalidChoiceError("--across: these files contain no benchmarks and no trainings of a known environment")
    places = _environments(results)
    with_cpu = _has_one_gpu_in_several_machines(places)

    def label(environment: Environment) -> str:
        return _label(environment, axes, with_cpu=with_cpu)

    if "run_id" not in frame:
        frame["run_id"] = None
    frame["run_id"] = frame["run_id"].where(frame["run_id"].notna(), frame["file"])
    frame["environment"] = [label(place) for place in places[: len(frame)]]
    name = _only_environment(map(label, _own_environments(with_scaling_steps(results_of(baseline)))))
    others = [found for found in dict.fromkeys(map(label, places)) if found != name]
    if not others:
        copies = [f" ({note})" for note in results.notes if "left out" in note]
        raise InvalidChoiceError(
            f"--across {','.join(axes)}: all files are of {name}; leave the option out{''.join(copies[:1])}"
        )
    environments = (name, *others)
    devices = short_devices(places)
    cells = join_trainings(known, ())
    return Across(
        baseline=name,
        environments=environments,
        short_names={label(place): label(_with_short_devices(place, devices)) for place in places},
        changes=tuple(step_changes(frame, results, name, others)),
        amp=tuple(amp_in_steps(frame, results, environments)),
        groups=tuple(step_groups(frame, name, others)),
        amp_groups=tuple(amp_groups(frame, environments)),
        trainings=tuple(training_changes(cells, _label_of(label), environments)),
        training_amp=tuple(amp_of_trainings(cells, _label_of(label), environments)),
        notes=(
            *_also_differs(places, axes),
            *failed_checks_in_words(measured),
            *_backends_differ(measured),
            *unstated_in_words([training.record for training in known]),
            *results.notes,
        ),
    )


def _only_environment(labels: Iterable[str]) -> str:
    """Return the environment of the baseline.

    Raises:
        InvalidChoiceError: Its files are of several, or of none that is known.
    """
    own = sorted(set(labels))
    if len(own) > 1:
        raise InvalidChoiceError(f"--baseline: these files are of {len(own)} environments ({', '.join(own)})")
    if not own:
        raise InvalidChoiceError("--baseline: these files contain nothing from a known environment")
    return own[0]


def _with_short_devices(environment: Environment, devices: Mapping[str, str]) -> Environment:
    names = {column: devices.get(str(environment.get(column)), environment.get(column)) for column in ("device", "cpu")}
    return {**environment, **names}


def files_by_environment(results: Results, axes: Sequence[str]) -> dict[str, list[str]]:
    """Return the labels of the files with benchmarks of each environment, by the environment's label, in their order.

    Args:
        results: What the files hold.
        axes: Of `AXES`.
    """
    places = _environments(results)
    with_cpu = _has_one_gpu_in_several_machines(places)
    found: dict[str, list[str]] = {}
    files = results.benchmarks["file"].tolist() if len(results.benchmarks) else []
    for file, place in zip(files, places, strict=False):
        labels = found.setdefault(_label(place, axes, with_cpu=with_cpu), [])
        if file not in labels:
            labels.append(file)
    return found


def _is_known(training: FullTraining) -> bool:
    return training.environment["device"] is not None


def _label_of(label: Callable[[Environment], str]) -> Callable[[FullTraining], str]:
    return lambda training: label(training.environment)


def _environments(results: Results) -> list[Environment]:
    """Return where each benchmark was measured, in their order, and each training of a known environment done."""
    rows = rows_of(results.benchmarks)
    of_benchmarks = [{name: row.get(name) for name in ENVIRONMENT_COLUMNS} for row in rows]
    return [*of_benchmarks, *(training.environment for training in results.trainings if _is_known(training))]


def _own_environments(results: Results) -> list[Environment]:
    """Return where the files of a side were measured: a training that they replay may be of another environment.

    It names the side only where the files hold nothing else.
    """
    measured = tuple(training for training in results.trainings if not training.record.replayed)
    own = _environments(dataclasses.replace(results, trainings=measured))
    return own or _environments(results)


def _has_one_gpu_in_several_machines(places: Iterable[Environment]) -> bool:
    cpus: dict[Any, set[Any]] = {}
    for place in places:
        if isinstance(place["device"], str) and isinstance(place["cpu"], str):
            cpus.setdefault(place["device"], set()).add(place["cpu"])
    return any(len(found) > 1 for found in cpus.values())


def _label(environment: Mapping[Any, Any], axes: Sequence[str], *, with_cpu: bool) -> str:
    parts = []
    for axis in axes:
        known = [environment[column] for column in AXES[axis] if isinstance(environment.get(column), str)]
        found = " with ".join(known if with_cpu else known[:1]) or "unknown"
        parts.append(found if axis == "gpu" else f"{axis} {found}")
    return ", ".join(parts)


def _also_differs(places: Sequence[Environment], axes: Sequence[str]) -> list[str]:
    """Return what else the environments differ in, but for what follows from the axes themselves."""
    expected: set[str] = set()
    for axis in axes:
        expected |= {*AXES[axis], *CONSEQUENCES[axis]}
    notes = []
    for name in ("device", "board", "torch", "cuda", "cudnn", "driver", "python", "commit"):
        # Files of before boards were recorded are of any.
        found = {str(place[name]) for place in places if name != "board" or is_known(place[name])}
        if name not in expected and len(found) > 1:
            notes.append(f"{name} differs too: {', '.join(sorted(found))}")
    if "board" not in axes:
        notes += _machines_together(places)
    return notes


def _backends_differ(results: Results) -> list[str]:
    """Return the note on steps on several devices that used several backends, or versions of one."""
    found = sorted({f"{one.record.backend} {one.record.backend_version}" for one in results.scaling})
    return [f"backend of several devices differs too: {', '.join(found)}"] if len(found) > 1 else []


def _machines_together(places: Sequence[Environment]) -> list[str]:
    """Return a note for each GPU that several machines have, which are one environment unless `board` is an axis."""
    hosts: dict[str, set[str]] = {}
    for place in places:
        if is_known(place["device"]) and is_known(place["host"]):
            hosts.setdefault(str(place["device"]), set()).add(str(place["host"]))
    several = {device: sorted(names) for device, names in hosts.items() if len(names) > 1}
    return [
        f"{device} of {len(names)} machines taken together: host {', '.join(names)}; --across gpu,board"
        for device, names in several.items()
    ]

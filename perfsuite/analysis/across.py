"""The same workloads on other machines or other versions: ratios side by side, never verdicts."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.collect import PAIRING_COLUMNS, WORKLOAD_COLUMNS, Results, collect
from perfsuite.analysis.noise import collect_with_noise_floor
from perfsuite.analysis.ratio_text import MORE_FILES, bracket_notes, ratio_text
from perfsuite.analysis.speedup import BASELINE, time_ratio
from perfsuite.analysis.statistics.intervals import Ratio
from perfsuite.analysis.tables import Column, Table
from perfsuite.errors import InvalidChoiceError, choose, split_names
from perfsuite.formatting import printable_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

AXES = {"gpu": ("device", "cpu"), "torch": ("torch",)}
"""What tells environments apart along an axis, by the columns of a collected file."""

SCHEMA = "perfsuite-across-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """Environments side by side.

    Attributes:
        baseline: Label of the environment that the others are held against.
        environments: Labels of all, the baseline first.
        changes: A dict per benchmark and other environment: `fullname`, `label`, `environment`, `ratio` of times with
            `ci_low`, `ci_high`, `ci_level`, `basis` (see `Ratio`) and `num_processes`, `memory_ratio`; absent values
            are None.
        amp: A dict per workload, precision and environment: `label`, `environment`, `speedup` with the same,
            `memory_ratio`.
        notes: What a reader should know, in words.
    """

    baseline: str
    environments: tuple[str, ...]
    changes: tuple[dict[str, Any], ...]
    amp: tuple[dict[str, Any], ...]
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
    """Set the environments of the candidate files beside that of the baseline files.

    Raises:
        ResultFileError: A file cannot be used.
        InvalidChoiceError: The files do not differ along the axes, or differ in more than that.
    """
    results = collect_with_noise_floor([*baseline, *candidate])
    frame = results.benchmarks.assign(row=range(len(results.benchmarks)))
    if frame.empty:
        raise InvalidChoiceError("--across: these files hold no benchmarks")
    if "run_id" not in frame:
        frame["run_id"] = None
    frame["run_id"] = frame["run_id"].where(frame["run_id"].notna(), frame["file"])
    with_cpu = bool(frame.groupby("device")["cpu"].nunique().gt(1).any())  # one GPU in several machines
    frame["environment"] = _labels(frame, axes, with_cpu=with_cpu)
    own = set(_labels(collect(baseline).benchmarks, axes, with_cpu=with_cpu))
    others = [label for label in dict.fromkeys(frame["environment"]) if label not in own]
    if len(own) > 1:
        raise InvalidChoiceError(f"--baseline: these files are of {len(own)} environments ({', '.join(sorted(own))})")
    (name,) = own
    if not others:
        raise InvalidChoiceError(f"--across {','.join(axes)}: all files are of {name}; leave the option out")
    return Across(
        baseline=name,
        environments=(name, *others),
        changes=tuple(_changes(frame, results, name, others)),
        amp=tuple(_amp(frame, results, (name, *others))),
        notes=(*_also_differs(frame, axes), *results.notes),
    )


def _labels(frame: pd.DataFrame, axes: Sequence[str], *, with_cpu: bool) -> list[str]:
    return [_label(row, axes, with_cpu=with_cpu) for row in frame.to_dict("records")]


def _label(row: dict[Any, Any], axes: Sequence[str], *, with_cpu: bool) -> str:
    parts = []
    for axis in axes:
        known = [row[column] for column in AXES[axis] if isinstance(row.get(column), str)]
        found = " with ".join(known if with_cpu else known[:1]) or "unknown"
        parts.append(f"torch {found}" if axis == "torch" else found)
    return ", ".join(parts)


def _also_differs(frame: pd.DataFrame, axes: Sequence[str]) -> list[str]:
    known = {column for axis in axes for column in AXES[axis]}
    consequences = {"torch": {"torchvision", "cuda", "cudnn"}, "gpu": {"driver", "cpu", "power_limit_watts"}}
    known |= {column for axis in axes for column in consequences[axis]}
    names = [name for name in ("device", "torch", "cuda", "cudnn", "driver", "python", "commit") if name not in known]
    return [
        f"{name} differs too: {', '.join(sorted(map(str, set(frame[name]))))}"
        for name in names
        if frame[name].nunique(dropna=False) > 1
    ]


def _identity(frame: pd.DataFrame) -> list[Any]:
    """Return what a row measures, apart from where: its workload, or its full name in a file that is not ours."""
    columns = [column for column in WORKLOAD_COLUMNS if column != "device_type"]
    return [
        row["fullname"] if row["model"] is None else tuple(row[column] for column in columns)
        for row in frame[["fullname", *WORKLOAD_COLUMNS]].to_dict("records")
    ]


def _changes(frame: pd.DataFrame, results: Results, baseline: str, others: Sequence[str]) -> list[dict[str, Any]]:
    frame = frame.assign(identity=_identity(frame))
    rows = []
    for identity, cells in frame.groupby("identity", sort=False):
        old = cells[cells["environment"] == baseline]
        for other in others:
            new = cells[cells["environment"] == other]
            row = {
                "fullname": cells["fullname"].iloc[0],
                "label": _workload_label(identity, cells["fullname"].iloc[0]),
                "environment": other,
            }
            rows.append({**row, **_ratio(new, old, results)})
    return rows


def _workload_label(identity: Any, fullname: str) -> str:
    if isinstance(identity, str):
        return fullname
    model, precision, phase, batch_size = identity[:4]
    return f"{model} {precision} {phase} b{batch_size}"


def _ratio(numerator: pd.DataFrame, denominator: pd.DataFrame, results: Results) -> dict[str, Any]:
    if numerator.empty or denominator.empty:
        return {"ratio": None, **dict.fromkeys(_RATIO_KEYS), "memory_ratio": None}
    top, bottom, ratio = time_ratio(numerator, denominator, results)
    peaks = [
        float(side["peak_allocated_bytes"].max()) if "peak_allocated_bytes" in side else 0.0 for side in (top, bottom)
    ]
    known = all(peak > 0 for peak in peaks)
    values = (ratio.low, ratio.high, ratio.level, ratio.num_processes, ratio.basis)
    return {
        "ratio": ratio.ratio,
        **dict(zip(_RATIO_KEYS, values, strict=True)),
        "memory_ratio": peaks[0] / peaks[1] if known else None,
    }


_RATIO_KEYS = ("ci_low", "ci_high", "ci_level", "num_processes", "basis")


def ratio_of_entry(entry: Mapping[str, Any], key: str, suffix: str = "") -> Ratio | None:
    """Return the ratio of an entry of `changes` (key `ratio`) or `amp` (key `speedup`), or None where it has none.

    Args:
        entry: It, or a row of a pivot.
        key: Its ratio.
        suffix: What a pivot adds to every key.
    """
    value = entry.get(f"{key}{suffix}")
    if value is None:
        return None
    low, high, level, num_processes, basis = (entry[f"{name}{suffix}"] for name in _RATIO_KEYS)
    return Ratio(ratio=value, low=low, high=high, level=level, num_processes=num_processes, basis=basis)


def _amp(frame: pd.DataFrame, results: Results, environments: Sequence[str]) -> list[dict[str, Any]]:
    """Return what every other precision gives against FP32, in each environment."""
    ours = frame[frame["model"].notna()]
    rows = []
    columns = [column for column in PAIRING_COLUMNS if column != "device_type"]
    for values, cells in ours.groupby(columns, dropna=False, sort=False):
        workload = dict(zip(columns, values, strict=True))
        for precision in dict.fromkeys(cells.loc[cells["precision"] != BASELINE, "precision"]):
            label = f"{workload['model']} {workload['phase']} b{workload['batch_size']} {precision}"
            for environment in environments:
                here = cells[cells["environment"] == environment]
                slow, fast = here[here["precision"] == BASELINE], here[here["precision"] == precision]
                speedup, memory = _ratio(slow, fast, results), _ratio(fast, slow, results)
                rows.append(
                    {
                        "label": label,
                        "environment": environment,
                        "speedup": speedup["ratio"],
                        **{key: speedup[key] for key in _RATIO_KEYS},
                        "memory_ratio": memory["memory_ratio"],
                    }
                )
    return rows


def across_json(found: Across) -> str:
    """Return it as one JSON object."""
    content = {"schema": SCHEMA, **dataclasses.asdict(found)}
    return printable_json(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def across_tables(found: Across) -> list[Table]:
    """Return a pivot of times, and one of what AMP gives where FP32 and AMP were measured."""
    others = found.environments[1:]
    tables = [
        Table(
            title=f"Time and peak memory against {found.baseline}: below 1 is faster, smaller",
            frame=_pivot(found.changes, ("ratio", *_RATIO_KEYS, "memory_ratio")),
            columns=(
                Column(heading="benchmark", show=lambda row: row["label"], foldable=True),
                *(_ratio_column("ratio", name) for name in others),
                *(_memory_column(name) for name in others if _any(found.changes, name)),
            ),
            notes=(
                *bracket_notes([ratio_of_entry(row, "ratio") for row in found.changes], more=MORE_FILES),
                "no verdicts: the sides differ in machine or version on purpose",
                *found.notes,
            ),
        )
    ]
    if found.amp:
        tables.append(
            Table(
                title="AMP vs FP32, in each environment",
                frame=_pivot(found.amp, ("speedup", *_RATIO_KEYS, "memory_ratio")),
                columns=(
                    Column(heading="workload", show=lambda row: row["label"]),
                    *(_ratio_column("speedup", name) for name in found.environments),
                    *(_memory_column(name) for name in found.environments),
                ),
                notes=tuple(bracket_notes([ratio_of_entry(row, "speedup") for row in found.amp])),
            )
        )
    return tables


def _any(rows: Sequence[dict[str, Any]], environment: str) -> bool:
    return any(row["memory_ratio"] is not None for row in rows if row["environment"] == environment)


def _pivot(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per label, with the values of each environment under `<key> <environment>`."""
    pivoted: dict[str, dict[str, Any]] = {}
    for row in rows:
        target = pivoted.setdefault(row["label"], {"label": row["label"]})
        target.update({f"{key} {row['environment']}": row[key] for key in keys})
    return list(pivoted.values())


def _ratio_column(key: str, environment: str) -> Column:
    def show(row: dict[str, Any]) -> str:
        ratio = ratio_of_entry(row, key, f" {environment}")
        return "-" if ratio is None else ratio_text(ratio, decimals=3, unit="", brief=True)

    heading = f"time on {environment}" if key == "ratio" else f"speed-up on {environment}"
    return Column(heading=heading, show=show, numeric=True)


def _memory_column(environment: str) -> Column:
    def show(row: dict[str, Any]) -> str:
        ratio = row.get(f"memory_ratio {environment}")
        return "-" if ratio is None else f"{ratio:.3f}"

    return Column(heading=f"memory on {environment}", show=show, numeric=True)

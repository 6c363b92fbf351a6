"""Benchmarks of other projects in several versions: a row per benchmark, a time per version."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.frames.columns import place_columns
from perfsuite.analysis.frames.extra_info import PREFIX
from perfsuite.analysis.frames.labels import name_column, origin_text
from perfsuite.analysis.frames.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from perfsuite.analysis.frames.results import Results

MIN_SHARED_RATIO = 0.5
"""Of the benchmarks of the smaller of two files, by their full names: from here on they are of one suite."""

STATISTICS = {"time_median_s": "median", "time_mean_s": "mean", "time_min_s": "min"}
"""Of the rounds, the first that all results have."""

_Benchmark = tuple[str, int]
"""Its full name, and its number among those of that name in one file."""

_Version = tuple[str, ...]
"""What distinguishes it: values of the columns that differ."""

_TELLING = ("device", "torch", "python", "series", "file")
"""Columns that name a version, the most telling first; all others follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPivot:
    """One suite in several versions.

    Attributes:
        versions: Names of the columns, in the order of the files: what distinguishes them.
        num_files: Files of each; of several, times are geometric means.
        statistic: What of the rounds the times are.
        num_zero: Times of 0, which are in no row: nothing takes none.
        rows: A dict per benchmark: `fullname`, `name` (short where that is unique), `time_s` (a list, None where a
            version lacks it), `extra` (a dict of what was asked for: the values of all versions). What is in one file
            again under the same name is a row of its own.
    """

    versions: tuple[str, ...]
    num_files: tuple[int, ...]
    statistic: str
    num_zero: int
    rows: tuple[dict[str, Any], ...]


def version_pivots(results: Results) -> tuple[list[VersionPivot], Results]:
    """Return a pivot for every suite that several files measured in several versions, and what is left.

    Versions are what must not be put into one number (see `place_columns`), or files where nothing else distinguishes
    them.

    Args:
        results: Of other projects; with perfsuite's among them there is no pivot.
    """
    frame = results.benchmarks
    if frame.empty or "run_id" in frame:
        return [], results
    pivots, is_left = [], np.ones(len(frame), dtype=bool)
    for files in _suites(frame):
        is_of_suite = frame["file"].isin(files).to_numpy()
        if len(files) > 1:
            pivots.append(_pivot(frame[is_of_suite]))
            is_left &= ~is_of_suite
    return pivots, _part(results, is_left)


def _suites(frame: pd.DataFrame) -> list[list[str]]:
    """Return the files in groups that share benchmarks, in their order."""
    names = {str(file): set(cells["fullname"]) for file, cells in frame.groupby("file", sort=False)}
    suites: list[list[str]] = []
    for file, own in names.items():
        joined = [suite for suite in suites if any(_is_one_suite(own, names[other]) for other in suite)]
        suites = [suite for suite in suites if suite not in joined]
        suites.append([*itertools.chain.from_iterable(joined), file])
    return suites


def _is_one_suite(one: set[str], other: set[str]) -> bool:
    return len(one & other) >= MIN_SHARED_RATIO * min(len(one), len(other))


def _part(results: Results, is_kept: np.ndarray[Any, np.dtype[np.bool_]]) -> Results:
    def kept(values: list[Any]) -> list[Any]:
        return [value for value, keep in zip(values, is_kept, strict=True) if keep]

    return dataclasses.replace(
        results,
        benchmarks=results.benchmarks[is_kept].reset_index(drop=True),
        times_s=kept(results.times_s),
        profiles=kept(results.profiles),
        operators=kept(results.operators),
        extra_info=kept(results.extra_info),
    )


def _pivot(frame: pd.DataFrame) -> VersionPivot:
    places = place_columns(frame)
    is_distinguished = bool(places) and len(frame[places].drop_duplicates()) > 1
    columns = places if is_distinguished else ["file"]
    rows = rows_of(frame)
    keys = [tuple(str(row[column]) for column in columns) for row in rows]
    versions = list(dict.fromkeys(keys))
    statistic = next((key for key in STATISTICS if frame[key].notna().all() and (frame[key] > 0).any()), "time_min_s")
    benchmarks = _repetitions(rows)
    asked = [str(column) for column in frame if str(column).startswith(PREFIX)]
    times: dict[_Benchmark, dict[_Version, list[float]]] = {}
    extra: dict[_Benchmark, dict[str, list[Any]]] = {}
    files: dict[_Version, set[str]] = {}
    for row, benchmark, version in zip(rows, benchmarks, keys, strict=True):
        of_version = times.setdefault(benchmark, {}).setdefault(version, [])
        if row[statistic]:
            of_version.append(row[statistic])
        values = extra.setdefault(benchmark, {})
        for column in asked:
            values.setdefault(column, []).append(row[column])
        files.setdefault(version, set()).add(row["file"])
    names = _without_common_path(dict(zip(frame["fullname"], frame[name_column(frame)], strict=True)))
    found = []
    for benchmark, by_version in times.items():
        fullname, number = benchmark
        again = f" ({number})" if number > 1 else ""
        found.append(
            {
                "fullname": f"{fullname}{again}",
                "name": f"{names[fullname]}{again}",
                "time_s": [_geometric_mean(by_version.get(version)) for version in versions],
                "extra": extra[benchmark],
            }
        )
    return VersionPivot(
        versions=_labels(rows, keys, versions, columns),
        num_files=tuple(len(files[version]) for version in versions),
        statistic=STATISTICS[statistic],
        num_zero=int((frame[statistic] == 0).sum()),
        rows=tuple(found),
    )


def _repetitions(rows: Sequence[dict[str, Any]]) -> list[_Benchmark]:
    """Return of each row its benchmark, and its number among those of that name in its file."""
    counts: Counter[tuple[str, str]] = Counter()
    found = []
    for row in rows:
        counts[row["file"], row["fullname"]] += 1
        found.append((row["fullname"], counts[row["file"], row["fullname"]]))
    return found


def _without_common_path(names: dict[str, str]) -> dict[str, str]:
    """Return names without the folders and modules that all of them begin with."""
    parts = [re.split(r"(?<=/)|(?<=::)", name) for name in names.values()]
    start = _num_common(parts)
    return {fullname: "".join(part[start:]) for fullname, part in zip(names, parts, strict=True)}


def _num_common(parts: Sequence[Sequence[str]]) -> int:
    """Return how many parts all begin with; at least one of each is left."""
    fewest = min(map(len, parts))
    return next((index for index in range(fewest - 1) if len({part[index] for part in parts}) > 1), fewest - 1)


def _geometric_mean(values: list[float] | None) -> float | None:
    return float(np.exp(np.log(values).mean())) if values else None


def _labels(
    rows: Sequence[dict[str, Any]], keys: Sequence[_Version], versions: Sequence[_Version], columns: Sequence[str]
) -> tuple[str, ...]:
    """Name versions by the fewest and most telling of the columns that distinguish them."""
    first: dict[_Version, dict[str, Any]] = {}
    for row, key in zip(rows, keys, strict=True):
        first.setdefault(key, row)
    words = {}
    for name in _telling_columns(rows, keys, versions, columns):
        own = [_words(name, first[version][name]) for version in versions]
        words[name] = _without_common_parts(own) if name in {"file", "series"} else own
    for number in range(1, len(words) + 1):
        for chosen in itertools.combinations(words.values(), number):
            labels = [", ".join(parts) for parts in zip(*chosen, strict=True)]
            if len(set(labels)) == len(labels):
                return tuple(labels)
    return tuple(f"version {number}" for number in range(1, len(versions) + 1))


def _telling_columns(
    rows: Sequence[dict[str, Any]], keys: Sequence[_Version], versions: Sequence[_Version], columns: Sequence[str]
) -> list[str]:
    """Return the columns that can name a version, the most telling first."""
    usable = set(columns)
    for name in ("series", "file"):  # they name a version where each has one of its own
        values = {(key, row[name]) for key, row in zip(keys, rows, strict=True)}
        if len(values) == len(versions):
            usable.add(name)
    telling = [name for name in _TELLING if name in usable]
    return telling + [name for name in columns if name not in _TELLING]


_SAY_WHAT_THEY_ARE = {"device", "cpu", "series", "host"}


def _words(name: str, value: Any) -> str:
    if name == "file":
        return str(os.path.splitext(os.path.basename(value))[0])  # noqa: PTH119, PTH122 - a label, no path
    text = origin_text(name, value)
    return text if name in _SAY_WHAT_THEY_ARE else f"{name.replace('_', ' ')} {text}"


def _without_common_parts(names: Sequence[str]) -> list[str]:
    """Leave out the words that all names begin and end with."""
    parts = [re.split(r"(?<=[\W_])(?=[^\W_])", name) for name in names]
    start = _num_common(parts)
    end = _num_common([part[start:][::-1] for part in parts])
    return [
        "".join(part[start : len(part) - end]).strip("_-. ") or name for part, name in zip(parts, names, strict=True)
    ]

"""github-action-benchmark's own formats `customSmallerIsBetter` and `customBiggerIsBetter`.

Source: interface BenchmarkResult and extractCustomBenchmarkResult in src/extract.ts of
benchmark-action/github-action-benchmark: a list of `name`, `unit`, `value`, and optionally `range` and `extra`, texts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.exporters.exported_run import is_higher_better, one_result, require, unit_of
from perfsuite.formatting import plural, printable_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.exporters.exported_run import ExportedRun
    from perfsuite.analysis.history.run_values import Value


def github_smaller_text(runs: Sequence[ExportedRun]) -> str:
    """Return what is better the smaller it is."""
    return _text(runs, bigger=False)


def github_bigger_text(runs: Sequence[ExportedRun]) -> str:
    """Return what is better the bigger it is."""
    return _text(runs, bigger=True)


def _text(runs: Sequence[ExportedRun], *, bigger: bool) -> str:
    entries = [_entry(value, runs) for value in one_result(runs) if is_higher_better(value) == bigger]
    what = "throughput or accuracy" if bigger else "times, peak memory or energy"
    require(entries, what)  # the action refuses an empty list
    return printable_json(json.dumps(entries, indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def _entry(value: Value, runs: Sequence[ExportedRun]) -> dict[str, Any]:
    """Return a value; the name has the metric, since the action knows a result by its name alone."""
    entry: dict[str, Any] = {
        "name": f"{value.benchmark} {value.metric}",
        "unit": unit_of(value),
        "value": value.value,
    }
    about = [plural(len(runs), "run")]
    if value.low is not None and value.high is not None:
        entry["range"] = f"{value.low:.6g} to {value.high:.6g}"
        about.append(f"range: {'quartiles of the rounds' if len(runs) == 1 else 'lowest to highest run'}")
    places = dict.fromkeys(f"{name} {text}" for one in runs for name, text in one.run.place.items())
    entry["extra"] = "\n".join([*about, *places])
    return entry

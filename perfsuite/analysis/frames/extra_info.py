"""What suites write of their benchmarks in `extra_info`, as columns that a user asks for by name."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.errors import InvalidChoiceError
from perfsuite.formatting import printable, significant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfsuite.analysis.frames.results import Results

PREFIX = "extra_info."
"""Of the names of these columns."""

MAX_CHARACTERS = 200
"""Of a value that is shown; the rest is cut."""

SHORT_CHARACTERS = 20
"""Values of up to so many stand in one line of a table; longer ones may be folded."""

MAX_LISTED = 30
"""Keys that a message names."""

MAX_DEPTH = 4
"""Of objects within each other whose keys can be asked for as `input.width`."""


def with_extra_info(results: Results, keys: Sequence[str]) -> Results:
    """Return results with a column `extra_info.KEY` for each key, None where a benchmark lacks it.

    Args:
        results: What the files hold.
        keys: Of `extra_info`; `input.width` is the key `width` of the object `input`.

    Raises:
        InvalidChoiceError: No benchmark has one of the keys; the message names those that there are.
    """
    found = [dict(_flat(extra)) for extra in results.extra_info]
    known = list(dict.fromkeys(key for values in found for key in values))
    for key in keys:
        if key not in known:
            raise InvalidChoiceError(
                f"--extra: no benchmark of these files has {key[:100]!r} in extra_info; {_there(known)}"
            )
    frame = results.benchmarks.copy()
    for key in keys:
        frame[f"{PREFIX}{key}"] = pd.Series([_shown(values.get(key)) for values in found], dtype=object)
    return dataclasses.replace(results, benchmarks=frame)


def extra_text(value: Any) -> str:
    """Return a value of such a column for people; a dash where it is absent."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,.0f}" if value == int(value) else significant(value)


def _there(known: Sequence[str]) -> str:
    if not known:
        return "they have nothing there"
    more = f" and {len(known) - MAX_LISTED} more" if len(known) > MAX_LISTED else ""
    return f"there are {', '.join(printable(key[:50]) for key in known[:MAX_LISTED])}{more}"


def _flat(extra: Mapping[str, Any], path: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Return every key with its value; those of an object within also under both names, as `input.width`."""
    for key, value in extra.items():
        yield f"{path}{key}", value
        if isinstance(value, dict) and depth < MAX_DEPTH:
            yield from _flat(value, f"{path}{key}.", depth + 1)


def _shown(value: Any) -> str | float | bool | None:
    """Return a value as a cell: numbers stay numbers, lists and objects become text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        is_usable = abs(value) < 2**53 and math.isfinite(value)  # beyond, a whole number is none in other programs
        return value if is_usable else str(value)[:MAX_CHARACTERS]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."

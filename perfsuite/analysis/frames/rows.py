"""What is absent in a data frame is None in its rows: the one place where rows are taken out of frames.

pandas keeps an absent value as None, NaN or NA, depending on its version and on what else is in the column.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd


_ABSENT_TYPES = {"NAType", "NaTType"}
"""By name: tables without a frame do not load pandas."""


def is_known(value: Any) -> bool:
    """Whether a value of a frame is there."""
    return plain(value) is not None


def plain(value: Any) -> Any:
    """Return a value of a frame as plain Python has it; None where it is absent, NaN or infinite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if hasattr(value, "item"):  # a numpy scalar
        return plain(value.item())
    return None if type(value).__name__ in _ABSENT_TYPES else value


def median_of(values: Iterable[float | None]) -> float | None:
    """Return the median of the values that are there; None where there are none."""
    known = [value for value in values if value is not None]
    return float(statistics.median(known)) if known else None


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as dicts of plain values, absent ones None."""
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns_of(frame), strict=True)]


def columns_of(frame: pd.DataFrame) -> list[list[Any]]:
    """Return the columns of a frame as lists of plain values, absent ones None."""
    return [_plain_values(column) for _, column in frame.items()]


def _plain_values(column: pd.Series[Any]) -> list[Any]:
    """Return a column as plain values, absent ones None."""
    values: list[Any] = column.tolist()
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else ""
    if kind == "i":
        return values
    if kind == "f":
        return [value if -math.inf < value < math.inf else None for value in values]
    return [plain(value) for value in values]

"""What several tables and figures of one report are made of is computed once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.analysis.frames.results import Results

T = TypeVar("T")

MAX_RESULTS = 4
"""Of how many sets of results the values are kept: those of both sides of a comparison, and of what they are shown
with."""


def made_once(function: Callable[[Results], T]) -> Callable[[Results], T]:
    """Keep what a function of `Results` returned, by their identity; its callers share the value and leave it as is."""
    return functools.lru_cache(maxsize=MAX_RESULTS)(function)

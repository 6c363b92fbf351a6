"""Which files are repetitions of one run, as far as their names tell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_COMMIT = re.compile(r"(?=.*\d)[0-9a-f]{7,40}")
_MOMENT = re.compile(r"\d{8}T?\d*Z?", re.IGNORECASE)
_VERSION = re.compile(r"v\d+", re.IGNORECASE)


def series_name(path: Path) -> str:
    """Return the name of a file without what only counts: numbers, moments and commits.

    `0001_baseline.json` and `0002_baseline.json` are of the series `baseline`, `run1.json` and `run2.json` of `run`;
    `v1.json` and `v2.json` are two series, because a version is no count.
    """
    parts = [_without_count(part) for part in re.split(r"[\W_]+", path.stem)]
    return " ".join(part for part in parts if part)


def _without_count(part: str) -> str:
    if _COMMIT.fullmatch(part) or _MOMENT.fullmatch(part):
        return ""
    return part if _VERSION.fullmatch(part) else part.rstrip("0123456789")

"""Result files of many nights, as pytest-benchmark writes them."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from foreign_files import foreign_content

if TYPE_CHECKING:
    from pathlib import Path

FIRST_NIGHT = dt.datetime(2026, 1, 1, 2, 0, tzinfo=dt.UTC)


def night_content(night: int, times_s: dict[str, float], **machine: Any) -> dict[str, Any]:
    """Build the content of a run: the median of each benchmark by its name."""
    commit = machine.pop("commit", f"{night:040d}")
    content = foreign_content(
        {name: {"median": value} for name, value in times_s.items()}, machine=machine, commit=commit
    )
    content["datetime"] = (FIRST_NIGHT + dt.timedelta(days=night)).isoformat()
    return content


def write_night(folder: Path, night: int, times_s: dict[str, float], **machine: Any) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"night{night:04d}.json"
    path.write_text(json.dumps(night_content(night, times_s, **machine)))
    return path

"""Result files of others: made ones, and real ones of public repositories where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PUBLIC = Path(__file__).parents[2] / "shared" / "data" / "foreign"
"""Beside the checkout, never in it."""

needs_public_files = pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public result files are not at hand")


def public_files(repository: str = "") -> list[Path]:
    return sorted(PUBLIC.glob(f"{repository}*.json"))


def statistics_of(rounds: list[float]) -> dict[str, Any]:
    """Return statistics as pytest-benchmark 4 writes them; std dev of one round is 0 there."""
    q1, median, q3 = (float(value) for value in np.quantile(rounds, [0.25, 0.5, 0.75]))
    return {
        "min": min(rounds),
        "max": max(rounds),
        "mean": float(np.mean(rounds)),
        "stddev": float(np.std(rounds, ddof=1)) if len(rounds) > 1 else 0,
        "median": median,
        "q1": q1,
        "q3": q3,
        "rounds": len(rounds),
        "iterations": 1,
    }


def foreign_content(
    benchmarks: dict[str, Any], *, machine: dict[str, Any] | None = None, commit: str = "1" * 40
) -> dict[str, Any]:
    """Build the content of a file: statistics, or rounds, by the names of benchmarks."""
    entries = [
        {
            "name": name,
            "fullname": f"tests/test_it.py::{name}",
            "stats": statistics_of(found) if isinstance(found, list) else found,
        }
        for name, found in benchmarks.items()
    ]
    info = {"node": "host", "cpu": {"brand_raw": "EPYC"}, **(machine or {})}
    return {
        "machine_info": info,
        "commit_info": {"id": commit, "dirty": False},
        "benchmarks": entries,
        "datetime": "2026-01-05T10:00:00+00:00",
        "version": "5.1.0",
    }


def write_foreign(path: Path, benchmarks: dict[str, Any] | None = None, **changes: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(foreign_content(benchmarks or {"test_a": ordinary_rounds()}, **changes)))
    return path


def ordinary_rounds(scale: float = 1.0, seed: int = 0) -> list[float]:
    rounds: list[float] = (1e-3 * scale * np.exp(np.random.default_rng(seed).normal(0, 0.02, 20))).tolist()
    return rounds

"""Result files of processes whose noise is known, so that verdicts can be checked against the truth."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NUM_ROUNDS = 20


def process_content(
    times_s: dict[str, list[float]], *, minute: int, host: str = "gpu-a", **machine: Any
) -> dict[str, Any]:
    """Build a foreign pytest-benchmark file: rounds by benchmark, the time at which it was written."""
    benchmarks = [
        {
            "group": None,
            "name": name,
            "fullname": f"tests/test_it.py::{name}",
            "params": None,
            "param": None,
            "extra_info": {},
            "options": {},
            "stats": {
                "min": min(data),
                "max": max(data),
                "mean": float(np.mean(data)),
                "stddev": float(np.std(data, ddof=1)) if len(data) > 1 else 0,
                "rounds": len(data),
                "median": float(np.median(data)),
                "q1": float(np.quantile(data, 0.25)),
                "iterations": 1,
                "data": data,
            },
        }
        for name, data in times_s.items()
    ]
    moment = f"2026-01-05T{10 + minute // 60:02d}:{minute % 60:02d}:00+00:00"
    info = {"node": host, "cpu": {"brand_raw": "EPYC"}, "gpu": "T4", **machine}
    return {"machine_info": info, "commit_info": {}, "benchmarks": benchmarks, "datetime": moment, "version": "5.3.1"}


def write_sides(  # noqa: PLR0913 - a world of its own has many properties
    folder: Path,
    *,
    changes: Sequence[float],
    process_sd: float = 0.005,
    round_sd: float = 0.005,
    num: int = 5,
    order: str = "abba",
    seed: int = 0,
    slow_rounds: float = 0.0,
    hosts: tuple[str, str] = ("gpu-a", "gpu-a"),
) -> tuple[list[Path], list[Path]]:
    """Write `num` processes a side; benchmark i of the candidate takes `changes[i]` times as long.

    Args:
        folder: Where.
        changes: True ratios, one per benchmark.
        process_sd: Scatter between processes, as a logarithm.
        round_sd: Scatter between rounds.
        num: Processes a side.
        order: `abba` or `sequential`.
        seed: Of the noise.
        slow_rounds: In the candidate, every fifth round takes as much longer, as a ratio.
        hosts: Names of the machines of both sides.
    """
    generator = np.random.default_rng(seed)
    base = np.exp(generator.uniform(np.log(1e-3), np.log(0.3), len(changes)))
    sides: tuple[list[Path], list[Path]] = ([], [])
    for index in range(num):
        for side in (0, 1):
            offset = process_sd * generator.standard_normal(len(changes))
            rounds = np.exp(round_sd * generator.standard_normal((len(changes), NUM_ROUNDS)))
            scale = base * np.exp(offset) * (np.array(changes) if side else 1.0)
            rounds = rounds * scale[:, None]
            if side and slow_rounds:
                rounds[:, ::5] *= 1 + slow_rounds
            first = (index % 2 == 1) == (side == 0)
            minute = 10 * (2 * index + first) if order == "abba" else 10 * (index + num * side)
            names = {f"test_step[{number}]": row for number, row in enumerate(rounds.tolist())}
            path = folder / f"{'new' if side else 'old'}{index}.json"
            path.write_text(json.dumps(process_content(names, minute=minute, host=hosts[side])))
            sides[side].append(path)
    return sides


def changed(path: Path, change: Any, target: Path | None = None) -> Path:
    """Apply a function to a file's content and write it back, or elsewhere."""
    content = copy.deepcopy(json.loads(path.read_text()))
    change(content)
    (target or path).write_text(json.dumps(content))
    return target or path

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).parents[2]
FOREIGN = Path(__file__).parents[1] / "data" / "foreign" / "pytest_benchmark_5.3.1.json"
ROUNDS = 30
ALTERNATIONS = 6
NOISE = 1.1
"""How much longer the fastest of a few whole processes may take by chance on a shared machine."""


def large_content(num_benchmarks: int) -> dict[str, Any]:
    """Repeat a benchmark of a real file with rounds of its own."""
    content: dict[str, Any] = json.loads(FOREIGN.read_text())
    (first, *_) = content["benchmarks"]
    times = np.random.default_rng(0).uniform(0.01, 0.02, (num_benchmarks, ROUNDS))
    content["benchmarks"] = [
        {
            **first,
            "name": f"test_it[{number}]",
            "fullname": f"test_large.py::test_it[{number}]",
            "stats": {**first["stats"], "rounds": ROUNDS, "data": row},
        }
        for number, row in enumerate(times.tolist())
    ]
    return content


def test_csv_of_ten_thousand_benchmarks_takes_no_longer_than_pytest_benchmark_s_own(tmp_path: Path) -> None:
    """Whole processes, alternating; the fastest of each, for what else the machine does only ever adds."""
    large = tmp_path / "large.json"
    large.write_text(json.dumps(large_content(10_000), indent=1))
    theirs = [
        *(sys.executable, "-c", "from pytest_benchmark.cli import main; main()", "compare", str(large)),
        f"--csv={tmp_path / 'theirs.csv'}",
    ]
    ours = [*(sys.executable, "-m", "perfsuite", "collect", str(large), "--format=csv"), f"-o={tmp_path / 'ours.csv'}"]
    taken = [[seconds(command, tmp_path) for command in (theirs, ours)] for _ in range(ALTERNATIONS)]
    theirs_s, ours_s = np.min(taken, axis=0)
    assert len((tmp_path / "ours.csv").read_text().splitlines()) == 10_001
    assert len((tmp_path / "theirs.csv").read_text().splitlines()) == 10_001
    assert ours_s / theirs_s <= NOISE


def seconds(command: Sequence[str], folder: Path) -> float:
    # Whoever measures coverage would measure it in our process only, and make it slower.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # whoever sets it has only the checkout compiled every time
    environment["PYTHONPATH"] = str(REPOSITORY)
    begin = time.perf_counter()
    result = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    taken = time.perf_counter() - begin
    assert result.returncode == 0, result.stderr
    return taken

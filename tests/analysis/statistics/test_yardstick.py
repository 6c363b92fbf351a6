"""The yardstick of README's scores still measures the command: the same, with few pairs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
YARDSTICK = REPOSITORY / "tests" / "yardstick" / "regress_eval.py"


def test_a_few_pairs_of_the_yardstick_are_scored_without_a_crash_or_a_wrong_way(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    command = f"{sys.executable} -m perfsuite compare --baseline {{base}} --candidate {{new}} --format json"
    scenarios = "proc05,copied,other_machine,p1_proc1,missing_cells,nodata"
    for arguments in (
        ["gen", "--out", tmp_path / "pairs", "--scenarios", scenarios, "--pairs", "2", "--seed", "7"],
        ["score", "--dir", tmp_path / "pairs", "--cmd", command, "--out", tmp_path / "score.json"],
    ):
        subprocess.run(
            [sys.executable, str(YARDSTICK), *map(str, arguments)], check=True, env=environment, capture_output=True
        )
    score = json.loads((tmp_path / "score.json").read_text())
    assert len(score) == 6
    for scenario in score.values():
        assert (scenario["crash"], scenario["missing"], scenario["wrongway"]) == (0, 0, 0)
    assert score["proc05"]["power"]["20%"] == 1.0
    assert score["copied"]["inconcl"] == score["p1_proc1"]["inconcl"] == 1.0


def test_a_few_pairs_of_trainings_are_scored_with_few_false_verdicts_and_large_losses_found() -> None:
    script = REPOSITORY / "tests" / "yardstick" / "accuracy_scores.py"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, str(script), "--pairs", "12", "--seed", "7", "--scenarios", "0"],
        check=True,
        env=environment,
        capture_output=True,
        text=True,
    )
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    fwer, coverage, found_3_points = ([float(row[column]) for row in rows] for column in (2, 4, 8))
    assert max(fwer) <= 0.1
    assert min(coverage) >= 0.9
    assert found_3_points[1:] == [1.0, 1.0]

"""The yardstick of README's scores still measures the command: the same, with few pairs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from yardstick import regress_eval

from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "perfsuite"]


@pytest.fixture
def score_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Write two pairs of each scenario, and score the command on them."""

    def score(scenarios: str) -> dict[str, Any]:
        folder, target = tmp_path / scenarios.replace(",", "-"), tmp_path / "score.json"
        command = f"{shlex.join(COMMAND)} compare --baseline {{base}} --candidate {{new}} --format json"
        for arguments in (
            ["gen", "--out", folder, "--scenarios", scenarios, "--pairs", "2", "--seed", "7"],
            ["score", "--dir", folder, "--cmd", command, "--out", target],
        ):
            monkeypatch.setattr(sys, "argv", ["regress_eval.py", *map(str, arguments)])
            regress_eval.main()
        scores: dict[str, Any] = json.loads(target.read_text())
        assert len(scores) == scenarios.count(",") + 1
        for scenario in scores.values():
            assert (scenario["crash"], scenario["missing"], scenario["wrongway"]) == (0, 0, 0)
        return scores

    return score


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Let the yardstick's commands run here: a process each takes longest to import."""

    def run(command: str, **_options: Any) -> subprocess.CompletedProcess[str]:
        words = shlex.split(command)
        assert words[:3] == COMMAND
        capsys.readouterr()
        status = main(words[3:])
        return subprocess.CompletedProcess(words, status, *capsys.readouterr())

    monkeypatch.setattr(subprocess, "run", run)


def test_a_few_pairs_of_the_yardstick_are_scored_without_a_crash_or_a_wrong_way(
    score_pairs: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    for name in [name for name in os.environ if name.startswith("COV")]:
        monkeypatch.delenv(name)
    assert score_pairs("proc05")["proc05"]["power"]["20%"] == 1.0


@pytest.mark.usefixtures("in_this_process")
def test_pairs_that_allow_no_verdict_are_scored_so(score_pairs: Callable[[str], dict[str, Any]]) -> None:
    score = score_pairs("copied,other_machine,p1_proc1,missing_cells,nodata")
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

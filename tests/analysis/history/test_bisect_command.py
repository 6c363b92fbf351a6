from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest
from builders import make_content, make_entry, make_record

from perfsuite.analysis.history.bisect_command import bisect_command, commits_between
from perfsuite.analysis.history.index import IndexedRun
from perfsuite.analysis.history.run_values import TIME, values_of
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.campaign.bisect.value import value_of
from perfsuite.cli import _parser

if TYPE_CHECKING:
    from pathlib import Path

COMMITS = ("a" * 10, "b" * 10)


def run_of(commit: str) -> IndexedRun:
    place = {"commit": commit} if commit else {}
    return IndexedRun(id=1, name="run", started_s=0.0, machine="m", place=place)


@pytest.mark.parametrize(
    ("good", "bad"), [("", "b" * 10), ("a" * 10, "a" * 10), ("a" * 10, "b" * 10 + "+dirty"), ("$(reboot)", "b" * 10)]
)
def test_only_two_commits_that_can_be_checked_out_are_bisected(good: str, bad: str) -> None:
    assert commits_between(run_of(good), run_of(bad)) is None
    assert commits_between(run_of(COMMITS[0]), run_of(COMMITS[1])) == COMMITS


@pytest.mark.parametrize("metric", [TIME, "peak_allocated_bytes"])
def test_the_name_of_a_history_is_one_that_bisect_knows(metric: str, tmp_path: Path) -> None:
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(make_content([make_entry(make_record(), [0.1, 0.2, 0.3])])))
    (series,) = [one for one in values_of(read_result_file(path)).values if one.metric == metric]
    command = bisect_command(COMMITS, series.benchmark, metric)
    assert command is not None
    words = shlex.split(command)[1:]
    options = _parser(words).parse_args(words)
    assert (options.good, options.bad, options.arguments) == (*COMMITS, ["benchmarks", "-m", "step"])
    assert value_of(path, options.benchmark, options.metric) == series.value


def test_a_node_id_runs_itself_and_what_takes_hours_is_not_bisected() -> None:
    assert bisect_command(COMMITS, "tests/test_it.py::test_a[x y]", TIME) == (
        f"perfsuite bisect --good {COMMITS[0]} --bad {COMMITS[1]} --benchmark 'tests/test_it.py::test_a[x y]'"
    )
    assert bisect_command(COMMITS, "resnet18 thesis seed 0 CIFAR-10", "test_accuracy") is None
    assert bisect_command(COMMITS, "resnet18 thesis seed 0 CIFAR-10", "peak_allocated_bytes") is None
    assert "\n" not in str(bisect_command(COMMITS, "test::a\nb", TIME))

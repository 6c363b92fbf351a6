"""The one value that a process of a bisection gives, from files of perfsuite and of others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from builders import make_content, make_entry, make_record

from perfsuite.campaign.bisect.search import NotMeasurableError
from perfsuite.campaign.bisect.value import value_in_words, value_of

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("b/test_a.py::test_fast[8-x]", "b/test_a.py::test_slow[8-x]", "b/test_c.py::test_fast[8-x]")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    entries = [
        {"fullname": name, "name": name.partition("::")[2], "stats": {"median": 0.5 + number, "mean": 9.0}}
        for number, name in enumerate(NAMES)
    ]
    path = tmp_path / "foreign.json"
    path.write_text(json.dumps({"benchmarks": entries}))
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [(NAMES[2], 2.5), ("test_slow[8-x]", 1.5), ("*test_a.py*slow*", 1.5), ("*c.py::test_fast[8-?]", 2.5)],
)
def test_a_benchmark_is_named_by_its_node_id_its_name_or_a_pattern(foreign: Path, name: str, value: float) -> None:
    assert value_of(foreign, name, "time") == value


@pytest.mark.parametrize(
    ("name", "metric", "complaint"),
    [
        ("test_fast[8-x]", "time", "matches 2 benchmarks: b/test_a.py::test_fast"),
        ("*", "time", "matches 3 benchmarks"),
        ("test_none", "time", "no benchmark 'test_none' among 3 benchmarks: b/test_a.py"),
        (NAMES[0], "memory", "has no peak memory"),
    ],
)
def test_none_or_several_are_listed(foreign: Path, name: str, metric: str, complaint: str) -> None:
    with pytest.raises(NotMeasurableError, match=complaint.replace("*", r"\*").replace("[", r"\[")):
        value_of(foreign, name, metric)


def test_a_file_that_is_damaged_or_has_no_time_gives_no_value(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for content in ("{", '{"benchmarks": [{"name": "a", "stats": {"median": 0}}]}', '{"benchmarks": []}'):
        path.write_text(content)
        with pytest.raises(NotMeasurableError):
            value_of(path, "a", "time")


def test_peak_memory_is_that_of_the_suite_s_own_record(tmp_path: Path) -> None:
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(make_content([make_entry(make_record(), [0.1, 0.2, 0.3])])))
    peak = value_of(path, "*", "memory")
    assert peak == make_record().metrics["peak_allocated_bytes"]
    assert value_in_words(2 * 2**20, "memory") == "2.000 MiB"
    assert value_in_words(value_of(path, "*", "time"), "time") == "200.0 ms"

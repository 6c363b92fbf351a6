"""A table in JSON is read back: it gives every other format, and what is no table is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfsuite.cli import main

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "cpu-amd-epyc"


@pytest.mark.parametrize("table", ["steps", "speedup", "memory", "roofline", "kernels", "thesis", "interleaved"])
def test_a_table_read_back_gives_the_same_json_and_csv(table: str, tmp_path: Path) -> None:
    files = [str(RESULTS / name) for name in ("steps.json", "speedup.json")]
    for suffix in ("json", "csv"):
        assert main(["collect", *files, "--table", table, "-o", str(tmp_path / f"first.{suffix}")]) == 0
        assert main(["collect", str(tmp_path / "first.json"), "-o", str(tmp_path / f"second.{suffix}")]) == 0
        assert (tmp_path / f"second.{suffix}").read_bytes() == (tmp_path / f"first.{suffix}").read_bytes()


def test_people_see_what_tells_the_rows_apart_and_metrics_in_their_units(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"fullname": "a::b", "model": model, "phase": "forward", "time_median_s": time_s, "note": "x"}
        for model, time_s in (("resnet18", 0.1), ("resnet34", 0.25))
    ]
    (tmp_path / "table.json").write_text(json.dumps(rows))
    assert main(["collect", str(tmp_path / "table.json")]) == 0
    printed = capsys.readouterr().out
    assert "2 rows of table.json" in printed
    assert "250.0" in printed
    assert "forward" not in printed


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[1]", "row 0 is int 1, an object is needed"),
        ("[{}]", "row 0 has other keys than the first row, or none"),
        ('[{"a": 1}, {"b": 1}]', "row 1 has other keys"),
        ('[{"a": [1]}]', "row 0: 'a' is a list, a text, a boolean or a number below 2**63 is needed"),
        ('[{"a": 1e400}]', "row 0: 'a' is float inf"),
        ('[{"a": 999999999999999999999}]', "row 0: 'a' is int 99999"),
        ('[{"a": NaN}]', "NaN in it"),
        ("[" * 100_000, "not readable JSON"),
        ('[{"a": 1}', "cut off"),
        (json.dumps([{"x" * 40_001: 1}]), "40,001 characters"),
    ],
)
def test_another_list_is_refused_in_one_line(
    content: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.json"
    path.write_text(content)
    assert main(["collect", str(path)]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_a_table_stands_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = str(tmp_path / "table.json")
    steps = str(RESULTS / "steps.json")
    assert main(["collect", steps, "-o", table]) == 0
    assert main(["collect", table, steps]) == 2
    assert "read it alone and without --table" in capsys.readouterr().err
    assert main(["collect", table, "--table", "steps"]) == 2
    assert main(["report", table, "-o", str(tmp_path / "report.html")]) == 2
    assert "a list, such as a table in JSON, not a result file" in capsys.readouterr().err


def test_every_number_that_differs_is_shown_and_headings_are_printable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"na\x1b[2Jme\n": name, "loss": loss, "time_median_s": 0.5, "flag": flag, "calls": calls}
        for name, loss, flag, calls in (("a", 1.94, True, 1), ("b", 1.2, 1, 20_000))
    ]
    path = tmp_path / "table.json"
    path.write_text(f"{' ' * 100}{json.dumps(rows)}")
    assert main(["collect", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    for shown in ("1.940", "1.200", "20,000", "flag"):
        assert shown in printed
    assert "median" not in printed


def test_a_table_without_rows_is_one(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text("[]")
    assert main(["collect", str(tmp_path / "table.json"), "-o", str(tmp_path / "again.json")]) == 0
    assert json.loads((tmp_path / "again.json").read_text()) == []


def test_rows_of_a_saved_table_are_selected_and_sorted_whatever_they_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "saved.json"
    rows = [{"name": name, "time_s": value} for name, value in (("a", "x"), ("b", 1.0), ("ab", None), ("c", 2.0))]
    path.write_text(json.dumps(rows))
    assert main(["collect", str(path), "--select", "a or b", "--sort", "time", "--format", "json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["b", "a", "ab"]

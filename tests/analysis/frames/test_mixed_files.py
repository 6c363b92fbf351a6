"""Files that hold cells of the suite next to other benchmarks, which have no workload."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_record, make_workload
from foreign_files import ordinary_rounds, statistics_of

from perfsuite.analysis.frames.environments import across
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path

FACTORS = (1, 4, 7, 10)
"""How many times longer each of the other benchmarks takes in the second file."""


def mixed_file(path: Path, *, run_id: str, torch: str = "2.13.0", factors: tuple[int, ...] = (1, 1, 1, 1)) -> Path:
    entries: list[dict[str, Any]] = [
        make_entry(make_record(make_workload(precision=precision), run_id=run_id), ordinary_rounds(100 * share, seed=9))
        for precision, share in (("fp32", 1.0), ("amp-fp16", 0.5))
    ]
    for number, factor in enumerate(factors):
        data = ordinary_rounds(factor * (1 + number), seed=number)
        name = f"test_parser_{number}"
        fullname = f"tests/test_parser.py::{name}"
        entries.append({"name": name, "fullname": fullname, "stats": {**statistics_of(data), "data": data}})
    content = make_content(entries, environment=dataclasses.replace(ENVIRONMENT, torch=torch))
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    before = mixed_file(tmp_path / "before.json", run_id="one")
    return before, mixed_file(tmp_path / "after.json", run_id="two", torch="2.14.0", factors=FACTORS)


def test_across_keeps_every_other_benchmark_by_itself(files: tuple[Path, Path]) -> None:
    before, after = files
    rows = {row["fullname"]: row for row in across([before], [after], ["torch"]).changes}
    assert len(rows) == 2 + len(FACTORS)
    for number, factor in enumerate(FACTORS):
        row = rows[f"tests/test_parser.py::test_parser_{number}"]
        assert row["label"] == row["fullname"]
        assert row["ratio"] == pytest.approx(factor)


@pytest.mark.parametrize("form", ["terminal", "csv", "json", "markdown"])
@pytest.mark.parametrize("command", ["across", "compare", "collect"])
def test_no_command_shows_an_absent_value_as_nan(
    files: tuple[Path, Path], command: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = map(str, files)
    sides = ("compare", "--baseline", before, "--candidate", after, "--fail-on", "never")
    arguments = {"across": (*sides, "--across", "torch"), "compare": sides, "collect": ("collect", before, after)}
    assert main([*arguments[command], "--format", form]) == 0
    captured = capsys.readouterr()
    for number in range(len(FACTORS)):
        assert re.search(rf"test\\?_parser\\?_{number}", captured.out)
    assert not re.search(r"\bb?nan\b|\b128\.0\b", captured.out + captured.err, re.IGNORECASE)


def test_a_batch_size_stays_a_whole_number(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", str(files[0]), "--format", "csv"]) == 0
    sizes = [row["batch_size"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert sizes == ["128", "128", "", "", "", ""]


def test_the_report_is_written_with_and_without_a_baseline(files: tuple[Path, Path], tmp_path: Path) -> None:
    before, after = map(str, files)
    for name, arguments in {
        "alone": [before],
        "both": [before, after],
        "against": [after, "--baseline", before],
    }.items():
        page = tmp_path / f"{name}.html"
        assert main(["report", *arguments, "-o", str(page)]) == 0
        text = re.sub(r"<script.*?</script>|<[^>]*>", " ", page.read_text(), flags=re.DOTALL)
        assert "test_parser_3" in text
        assert not re.search(r"\bb?nan\b|\b128\.0\b", text, re.IGNORECASE)


def test_rows_have_none_for_whatever_pandas_has_for_an_absent_value() -> None:
    frame = pd.DataFrame(
        {
            "text": ["a", None],
            "number": [1.0, None],
            "count": pd.array([1, None], dtype="Int64"),
            "object": pd.Series([np.float64("nan"), pd.NA], dtype=object),
            "time": pd.Series([pd.NaT, pd.NaT]),
        }
    )
    first, second = rows_of(frame)
    assert first == {"text": "a", "number": 1.0, "count": 1, "object": None, "time": None}
    assert second == dict.fromkeys(frame.columns)
    assert type(first["count"]) is int


def test_a_collected_row_of_another_benchmark_has_no_workload(files: tuple[Path, Path]) -> None:
    last = rows_of(collect([files[0]]).benchmarks)[-1]
    assert {last[name] for name in ("model", "precision", "batch_size", "label", "run_id")} == {None}

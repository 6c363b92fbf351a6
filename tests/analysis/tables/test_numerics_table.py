"""Claims about mixed precision as a table: values by their unit, what fails is red and says so in a word."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_claim, make_content, make_numerics, make_numerics_entry, make_pair, make_paired_entry
from numerics_studies import claims_of, studies_file, study
from report_builders import HOSTILE, h100, step_file

from perfsuite.analysis.frames.numerics import claim_value, claims_summary, expected_text, tolerance_text, types_frame
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.tables.registry import build_table, held_tables
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.cli import main
from perfsuite.plugin.summary import _render
from perfsuite.records.numerics import STUDIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def rendered(path: Path, *, width: int | None = 80, color: bool = False, table: str = "numerics") -> str:
    return render_terminal(build_table(table, collect([path])), width=width, color=color)


def test_at_80_columns_every_claim_has_measured_expected_and_tolerance(tmp_path: Path) -> None:
    text = rendered(studies_file(tmp_path / "all.json"))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    (headings,) = [line for line in lines if "measured" in line and "expected" in line and "claim" in line]
    assert headings.split() == ["holds", "claim", "measured", "expected", "tolerance"]
    assert "of: updates resnet18 b128" in text
    assert "not shown at a width of 80 characters: source" in text
    assert "gradients resnet18 b128: a scale of 2^8 to 2^14 moves nearly all gradients" in " ".join(text.split())
    assert lines[-1] == "14 of 14 claims hold"


def test_a_claim_that_does_not_hold_is_red_says_no_and_is_named_in_the_last_line(tmp_path: Path) -> None:
    path = studies_file(tmp_path / "failed.json", ["formats"], claims=claims_of(34, num_failed=2))
    text = rendered(path, color=True)
    red = [line for line in text.splitlines() if "\x1b[1;31m" in line]
    assert ["no" in line and "claim" in line for line in red] == [True, True]
    plain = rendered(path)
    assert len(re.findall(r"^(?:formats +)?no +claim", plain, re.MULTILINE)) == 2
    assert plain.splitlines()[-1] == "FAILED: 2 of 34 claims: formats: claim 0; formats: claim 1"


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (65504.0, "", "65504"),
        (127.99435343685886, "log2", "3.38953e+38"),
        (15.99929538702341, "log2", "65504"),
        (-149.0, "log2", "1.4013e-45"),
        (9e18, "log2", "2^9e+18"),
        (-9e18, "log2", "2^-9e+18"),
        (-24.0, "exponent", "2^-24"),
        (0.123456, "share", "12.35%"),
        (4096.0, "ratio", "4096x"),
    ],
)
def test_a_value_is_printed_by_its_unit(value: float, unit: str, expected: str) -> None:
    assert claim_value(value, unit) == expected


def test_a_tolerance_of_powers_is_a_factor_and_an_expectation_says_on_which_side_it_is() -> None:
    assert tolerance_text(0.0, "log2") == ""
    assert tolerance_text(1.0, "exponent") == "factor 2"
    assert tolerance_text(9e18, "log2") == "factor 2^9e+18"
    assert tolerance_text(0.005, "share") == "0.5 points"
    assert tolerance_text(0.05, "") == "0.05"
    assert expected_text(0.05, "share", "at least") == "at least 5%"
    assert expected_text(0.05, "share", "equal") == "5%"


def test_without_a_table_a_file_of_studies_alone_shows_its_claims(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = studies_file(tmp_path / "all.json")
    assert held_tables(collect([path])) == ["numerics"]
    assert main(["collect", str(path)]) == 0
    output = capsys.readouterr().out
    assert output.startswith("Why mixed precision works on Tesla T4")
    assert "why mixed precision works: --table types" in output
    assert main(["collect", str(path), "--table", "steps"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("No step benchmarks in these files")
    assert "--table numerics, types" in output


def test_beside_steps_and_pairs_the_claims_are_a_table_of_their_own(
    tmp_path: Path, write_result: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [make_paired_entry(make_pair(run_id="p")), make_numerics_entry(make_numerics(run_id="p"))]
    paths = [step_file(tmp_path / "steps.json"), write_result(make_content(entries))]
    assert held_tables(collect(paths)) == ["steps", "interleaved", "numerics"]
    assert main(["collect", *map(str, paths)]) == 0
    assert "1 of 1 claim holds" in capsys.readouterr().out


def test_a_csv_has_every_value_and_no_step_is_among_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = studies_file(tmp_path / "all.json", ["formats", "updates"])
    assert main(["collect", str(path), "--table", "numerics", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 7
    assert {row["study"] for row in rows} == {"formats", "updates"}
    last = rows[-1]
    assert (last["subject"], last["relation"], last["unit"], last["holds"]) == (
        "resnet18 b128",
        "at least",
        "share",
        "True",
    )
    assert float(last["expected"]) == 0.05
    assert main(["collect", str(path), "--table", "numerics", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)
    for output_format in ("markdown", "latex"):
        assert main(["collect", str(path), "--table", "numerics", "--format", output_format]) == 0
        assert "largest FP16 number" in capsys.readouterr().out


def test_files_of_several_machines_are_told_by_what_differs(tmp_path: Path) -> None:
    one = studies_file(tmp_path / "t4.json", ["formats"], claims=claims_of(3, num_failed=0))
    other = studies_file(
        tmp_path / "h100.json", ["formats"], environment=h100(), run_id="b", claims=claims_of(3, num_failed=1)
    )
    results = collect([one, other])
    table = build_table("numerics", results)
    assert [column.heading for column in table.columns[:2]] == ["device", "of"]
    assert [row["device"] for row in table.rows() if not row["holds"]] == ["NVIDIA H100 80GB"]
    assert "H100" in claims_summary(results)


def test_findings_and_failed_tests_are_listed_below(write_result: Callable[..., Path]) -> None:
    record = make_numerics(findings=("the device was hot",))
    text = rendered(write_result(make_content([make_numerics_entry(record)])), width=None)
    assert "test_formats: the device was hot" in text


@pytest.mark.parametrize("table", ["numerics", "types"])
def test_files_without_studies_say_how_to_measure_them(table: str, tmp_path: Path) -> None:
    text = rendered(step_file(tmp_path / "steps.json"), width=None, table=table)
    assert "pytest benchmarks -m numerics" in text


def test_types_add_up_to_the_step_and_a_second_run_is_not_counted_again(tmp_path: Path) -> None:
    paths = [studies_file(tmp_path / f"run-{number}.json", ["types"], run_id=f"r{number}") for number in (1, 2)]
    frame = types_frame(collect(paths))
    assert frame["flops_ratio"].sum() == pytest.approx(1.0)
    assert frame["bytes_ratio"].sum() == pytest.approx(1.0)
    assert len(frame) == 9
    first = frame.iloc[0]
    assert (first["dtype"], first["kind"], first["num_calls"]) == ("float16", "convolution", 40)
    assert first["flops"] == 20 * (4_832_000_000 + 9_664_000_000)
    text = rendered(paths[0], table="types")
    assert max(map(len, text.splitlines())) <= 80
    assert "operators: aten.convolution, aten.convolution_backward" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_extreme_numbers_are_shown_as_text(name: str, write_result: Callable[..., Path]) -> None:
    extreme = {"measured": 2.0**62, "expected": -(2.0**62), "tolerance": 1e-300}
    units = ("", "ratio", "log2", "share", "exponent")
    claims: tuple[Any, ...] = tuple(make_claim(name=name, source=name, unit=unit, **extreme) for unit in units)
    record = study("types", claims=claims, notes=(name,), findings=(name,))
    path = write_result(make_content([make_numerics_entry(record)]))
    for width in (20, 80, None):
        for table in ("numerics", "types"):
            text = rendered(path, width=width, table=table)
            assert "\x1b" not in text
            assert "\u202e" not in text


def test_after_a_run_of_studies_alone_their_claims_are_shown(tmp_path: Path) -> None:
    text, table = _render(studies_file(tmp_path / "all.json", STUDIES), width=80, color=False)
    assert table == "numerics"
    assert "14 of 14 claims hold" in text
    assert "No benchmark produced a result." not in text

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from simulated import changed, write_sides

from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path

Sides = tuple[list["Path"], list["Path"]]


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return write_sides(tmp_path, changes=[1.0] * 12 + [1.1])


def arguments(sides: Sides, *more: object) -> list[str]:
    old, new = sides
    return ["compare", "--baseline", *map(str, old), "--candidate", *map(str, new), *map(str, more)]


def test_the_table_shows_the_worst_first_and_a_regression_ends_with_status_1(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(sides)) == 1
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if "test_step" in line]
    assert out.startswith("1 regressed, 12 unchanged; 5 processes of the candidate against 5 processes of the baseline")
    assert lines[0].startswith("▲ regressed")
    assert "\x1b" not in out
    assert "chance of any false verdict in the whole table, slower or faster: 0.05" in out


@pytest.mark.parametrize(
    ("fail_on", "status"),
    [("regressed", 0), ("regressed,missing", 0), ("unjudged", 1), ("inconclusive", 1), ("never", 0)],
)
def test_fail_on_decides_about_the_status(sides: Sides, fail_on: str, status: int) -> None:
    old, new = sides
    assert main(arguments((old[:2], new[:2]), "--fail-on", fail_on)) == status
    assert main(arguments(sides, "--fail-on", "never")) == 0


def test_a_gate_fails_where_nothing_could_be_judged_and_says_why(
    sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = sides
    assert main(arguments((old[:1], new[:1]))) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "nothing could be judged: 13 inconclusive (1 process on a side cannot separate code from noise" in err
    other = [changed(path, lambda content: content["machine_info"].update(node="elsewhere")) for path in new]
    assert main(arguments((old, other))) == 1
    assert "nothing could be judged: 13 incomparable (another host" in capsys.readouterr().err
    nothing = changed(new[0], lambda content: content["benchmarks"].clear(), tmp_path / "nothing.json")
    assert main(arguments(([nothing], [nothing]))) in {1, 2}


def test_anything_but_a_clean_pass_includes_that_nothing_was_compared(sides: Sides, tmp_path: Path) -> None:
    old, new = sides
    empty = [changed(path, lambda content: content["benchmarks"].clear(), tmp_path / f"e{path.name}") for path in old]
    assert main(arguments((empty, new), "--fail-on", "inconclusive")) == 1
    assert main(arguments((empty, new), "--fail-on", "regressed")) == 0


def test_a_threshold_that_matches_nothing_is_mentioned(
    sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "thresholds.toml"
    file.write_text('[min-effect]\n"*resnet5O*" = "5%"\n"*test_step*" = "2%"\n')
    main(arguments(sides, "--thresholds", file))
    assert "--thresholds: '*resnet5O*' matches no benchmark" in capsys.readouterr().out


def test_a_gate_fails_where_a_benchmark_is_missing(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    _old, new = sides
    for path in new:
        changed(path, lambda content: content["benchmarks"].pop())
    assert main(arguments(sides)) == 1
    assert "failed (--fail-on regressed,missing,unjudged): 1 missing" in capsys.readouterr().err
    assert main(arguments(sides, "--fail-on", "regressed")) == 0


def test_the_table_shows_both_times_and_the_largest_changes_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [1.05, 1.3, 1.1, 0.8, 0.9, *[1.0] * 12]
    main(arguments(write_sides(tmp_path, changes=changes)))
    lines = [line for line in capsys.readouterr().out.splitlines() if "test_step[" in line]
    assert lines.pop().startswith("trust: ")
    found = [int(line.partition("test_step[")[2].partition("]")[0]) for line in lines[:5]]
    assert found == [1, 2, 0, 3, 4]
    assert all(" -> " in line for line in lines)


def test_one_process_a_side_ranks_the_largest_changes_and_states_the_shared_reason_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments(write_sides(tmp_path, changes=[1.0, 1.02, 2.9, 0.97, 0.5], num=1)))
    out = capsys.readouterr().out
    assert out.startswith("too few runs for verdicts, largest changes first: 5 inconclusive")
    assert out.count("cannot separate code from noise") == 1
    lines = [line for line in out.splitlines() if "test_step[" in line]
    assert [int(line.partition("test_step[")[2][0]) for line in lines[:2]] == [2, 4]
    assert "95%" not in out


def test_json_is_one_object_with_the_documented_keys(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments(sides, "--format", "json"))
    content = json.loads(capsys.readouterr().out)
    assert set(content) == {"schema", "method", "benchmarks", "groups", "scaling", "trainings", "summary", "notes"}
    assert content["summary"] | {"regressed": 1, "unchanged": 12} == content["summary"]
    last = content["benchmarks"][-1]
    assert last["fullname"] == "tests/test_it.py::test_step[12]"
    assert last["verdict"] == last["time"]["verdict"] == "regressed"
    assert {"ratio", "ratio_low", "ratio_high", "mde95", "verdict", "reason"} <= set(last["time"])
    assert last["memory"] is None
    assert content["method"]["interleaved"] is True


def test_markdown_shows_what_changed_and_folds_the_rest(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments(sides, "--format", "markdown"))
    short, _, full = capsys.readouterr().out.partition("<details>")
    assert short.count("test\\_step") == 2  # its row, and the command behind the grade of trust
    assert full.count("test\\_step") == 13
    assert "<summary>All 13 benchmarks</summary>" in full


def test_a_table_of_very_many_benchmarks_shows_the_most_notable_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.analysis.tables import verdicts as compare_tables

    monkeypatch.setattr(compare_tables, "MAX_TERMINAL_ROWS", 5)
    both = write_sides(tmp_path, changes=[1.0] * 11 + [1.2])
    main(arguments(both))
    out = capsys.readouterr().out
    assert out.count("test_step[") == 5 + 1  # the rows, and the command behind the grade of trust
    assert "test_step[11]" in out
    assert "the first 5 of 12 benchmarks are shown; --format csv and json have all" in out
    main(arguments(both, "--format", "csv"))
    assert capsys.readouterr().out.count("test_step[") >= 12


@pytest.mark.parametrize(("name", "expected"), [("csv", "time_ratio"), ("latex", "\\begin{tabular}")])
def test_other_formats(sides: Sides, name: str, expected: str, tmp_path: Path) -> None:
    assert main(arguments(sides, "--format", name, "-o", tmp_path / "out")) == 1
    assert expected in (tmp_path / "out").read_text()


def test_thresholds_are_read_from_a_file(sides: Sides, tmp_path: Path) -> None:
    file = tmp_path / "thresholds.toml"
    file.write_text('[min-effect]\n"*" = "1%"\n"*[[]12]" = "20%"\n')
    assert main(arguments(sides, "--thresholds", file)) == 0
    file.write_text('[min-effect]\n"*" = 0.2\n"tests/test_it.py::test_step[12]" = "5%"\n')
    assert main(arguments(sides, "--thresholds", file)) == 1


def test_explain_tells_the_numbers_behind_one_verdict(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(sides, "--explain", "test_step[12]")) == 0
    out = capsys.readouterr().out
    for expected in (
        "regressed",
        "median",
        "degrees of freedom",
        "Holm-adjusted for 13 benchmarks",
        "It must reach the minimum effect of 2%: it does",
    ):
        assert expected in out
    assert out.count("candidate  median") == 5
    old, new = sides
    assert main(arguments((old[:1], new[:1]), "--explain", "test_step[12]")) == 0
    assert "1 process on a side cannot separate code from noise" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_explain_draws_the_processes(sides: Sides, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"plot.{ending}"
    assert main(arguments(sides, "--explain", "test_step[12]", "-o", target)) == 0
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[ending]
    assert target.read_bytes().startswith(start)


def test_a_name_is_never_read_as_mathematics_or_markup(tmp_path: Path) -> None:
    def rename(content: Any) -> None:
        content["benchmarks"][0]["fullname"] = "x::<b>$\\frac{1}{$&\x1b[31m"

    old, new = write_sides(tmp_path, changes=[1.1] * 2)
    for path in (*old, *new):
        changed(path, rename)
    target = tmp_path / "plot.svg"
    assert main(arguments((old, new), "--explain", "x::", "-o", target)) == 0
    assert "<b>" not in target.read_text()


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--min-effect", "0"], "--min-effect: '0' is not a valid change; write 3% or 0.03"),
        (["--min-effect", "nan"], "--min-effect: 'nan' is not a valid change"),
        (["--fail-on", "slow"], "unknown --fail-on 'slow'; choose from failed, incomparable, inconclusive, missing"),
        (["--fail-on", "never,missing"], "--fail-on: 'never,missing' lists never among others"),
        (["--fail-on", ""], "--fail-on: '' has an empty name in it"),
        (["--alpha", "2"], "--alpha: '2' is not a probability"),
        (["--alpha", "x"], "--alpha: 'x' is not a probability"),
        (["--thresholds", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (
            ["--explain", "test_stop[12]"],
            "--explain: no benchmark and no full training is called 'test_stop[12]'",
        ),
        (["--explain", "test_step"], "--explain: 'test_step' matches 13 benchmarks; be more specific"),
        (["--explain", "test_step[12]", "-o", "plot.gif"], "-o plot.gif: a figure is written as .svg, .png, .pdf"),
        (["--across", "driver"], "unknown axis of --across 'driver'; choose from board, gpu, torch"),
        (["--across", "gpu"], "--across gpu: all files are of"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    sides: Sides, more: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(sides, *more)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"perfsuite: error: {complaint}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[min-effect", "not TOML"),
        ("", "contains nothing; one table [min-effect]"),
        ("[other]", "contains other; one table [min-effect]"),
        ('[min-effect]\n"*" = true', "*: 'True' is not a valid change"),
        ('[min-effect]\n"*" = "-1%"', "*: '-1%' is not a valid change"),
    ],
)
def test_bad_thresholds_are_one_line(
    sides: Sides, content: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "thresholds.toml"
    file.write_text(content)
    assert main(arguments(sides, "--thresholds", file)) == 2
    assert complaint in capsys.readouterr().err


def test_the_output_may_not_be_one_of_the_files(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    before = sides[0][0].read_text()
    assert main(arguments(sides, "-o", sides[0][0])) == 2
    assert "is one of the files to be read" in capsys.readouterr().err
    assert sides[0][0].read_text() == before

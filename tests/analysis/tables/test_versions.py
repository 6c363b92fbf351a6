"""Suites of other projects in several versions are one row per benchmark, with a column per version."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from report_builders import HOSTILE
from simulated import process_content

from perfsuite.analysis.frames.extra_info import with_extra_info
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.version_pivot import version_pivots
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.tables.versions import version_tables
from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path

TIMES = {"3.10.1": {"a": 0.0011, "b": 2.0}, "3.11.2": {"a": 0.0009, "b": 3.0}, "3.12.0": {"a": 0.0012, "c": 1e-6}}


def write(folder: Path, name: str, times_s: dict[str, float], **changes: Any) -> Path:
    """Write a foreign file; `extra` are the values of `extra_info` of each benchmark."""
    extra = changes.pop("extra", {})
    commit = changes.pop("commit", None)
    content = process_content(
        {key: [value] * 5 for key, value in times_s.items()}, minute=sum(name.encode()) % 600, **changes
    )
    for benchmark in content["benchmarks"]:
        benchmark["extra_info"] = extra.get(benchmark["name"], {})
    if commit:
        content["commit_info"] = {"id": commit * 40, "dirty": False}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    return [
        write(tmp_path, f"000{number}_baseline", times, python_version=python)
        for number, (python, times) in enumerate(TIMES.items())
    ]


def shown(paths: list[Path], width: int | None = None) -> str:
    return "\n".join(render_terminal(table, width=width, color=False) for table in version_tables(collect(paths)))


def row(text: str, name: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
    return line.split()


def test_every_version_is_a_column_and_the_fastest_is_marked(versions: list[Path]) -> None:
    text = shown(versions)
    assert text.startswith("3 benchmarks in 3 versions: median")
    heading = next(line for line in text.splitlines() if "3.10.1" in line)
    assert heading.split() == [*TIMES] or heading.split() == ["benchmark", *TIMES, "ratio"]
    assert row(text, "a") == ["a", "1,100", "us", "900.0", "us", "*", "1,200", "us", "1.33x"]
    assert row(text, "b") == ["b", "2.000", "s", "*", "3.000", "s", "-", "1.50x"]
    assert row(text, "c") == ["c", "-", "-", "1.000", "us", "-"]


def test_no_line_is_wider_than_a_terminal_of_80_columns(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, f"v{number}", {f"test_of_a_long_name[{i}-{'x' * 30}]": 0.001 * (i + 1) for i in range(5)})
        for number in range(7)
    ]
    text = shown(paths, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "v0" in text


def test_files_of_one_version_are_one_column_of_geometric_means(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, f"old-{number}", {"a": seconds}, commit="a") for number, seconds in ((1, 0.001), (2, 0.004))
    ]
    paths.append(write(tmp_path, "new-1", {"a": 0.001}, commit="b"))
    (pivot,), left = version_pivots(collect(paths))
    assert (pivot.versions, pivot.num_files) == (("old", "new"), (2, 1))
    assert pivot.rows[0]["time_s"] == pytest.approx([0.002, 0.001])
    assert len(left.benchmarks) == 0
    assert "geometric means over files: old (2 files)" in shown(paths)


def test_a_benchmark_that_is_twice_in_a_file_is_two_rows(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"v{number}", {"a": 0.001 * number, "b": 1.0}, commit=str(number)) for number in (1, 2)]
    for path in paths:
        content = json.loads(path.read_text())
        again = json.loads(json.dumps(content["benchmarks"][0]))
        again["stats"] |= {"median": 0.5, "data": [0.5] * 5}
        content["benchmarks"].append(again)
        path.write_text(json.dumps(content))
    (pivot,), _ = version_pivots(collect(paths))
    assert [one["name"] for one in pivot.rows] == ["a", "b", "a (2)"]
    assert pivot.rows[0]["time_s"] == pytest.approx([0.001, 0.002])
    assert pivot.rows[2]["time_s"] == pytest.approx([0.5, 0.5])


def test_a_time_of_0_is_left_out_and_counted_and_changes_nothing_else(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"v{number}", {"a": 0.001 * number, "b": 1.0}, commit=str(number)) for number in (1, 2)]
    content = json.loads(paths[0].read_text())
    content["benchmarks"][1]["stats"]["median"] = 0.0
    del content["benchmarks"][1]["stats"]["data"]
    paths[0].write_text(json.dumps(content))
    (pivot,), _ = version_pivots(collect(paths))
    assert pivot.statistic == "median"
    assert pivot.rows[1]["time_s"] == [None, 1.0]
    assert "1 time of 0 not shown" in shown(paths)


def test_versions_are_named_without_the_words_that_all_their_files_have(tmp_path: Path) -> None:
    names = ("lib_Linux_0001_before_x86", "lib_Linux_0002_after_x86")
    paths = [write(tmp_path, name, {"a": 0.1}, commit="ab"[number]) for number, name in enumerate(names)]
    (pivot,), _ = version_pivots(collect(paths))
    assert pivot.versions == ("before", "after")


def test_benchmarks_are_named_without_the_modules_that_all_begin_with(versions: list[Path]) -> None:
    (pivot,), _ = version_pivots(collect(versions))
    assert [one["name"] for one in pivot.rows] == ["a", "b", "c"]
    assert pivot.rows[0]["fullname"] == "tests/test_it.py::a"


def test_runs_that_nothing_else_distinguishes_are_a_column_each(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"suite_run{number}_linux", {"a": 0.001 * number}) for number in (1, 2)]
    (pivot,), _ = version_pivots(collect(paths))
    assert pivot.versions == ("run1", "run2")


def test_two_suites_are_two_tables_and_what_only_one_file_has_is_a_third(tmp_path: Path) -> None:
    paths = [
        *(write(tmp_path, f"one{n}", {"a": 0.1, "b": 0.2}, python_version=f"3.1{n}") for n in (0, 1)),
        *(write(tmp_path, f"two{n}", {"x": 0.1, "y": 0.2, "z": 0.3}, python_version=f"3.1{n}") for n in (0, 1)),
        write(tmp_path, "alone", {"k": 0.1}),
    ]
    titles = [table.title for table in version_tables(collect(paths))]
    assert titles[:2] == ["2 benchmarks in 2 versions: median", "3 benchmarks in 2 versions: median"]
    assert titles[2].startswith("1 benchmark")
    assert len(titles) == 3


def test_files_that_share_less_than_half_of_their_benchmarks_are_no_versions(tmp_path: Path) -> None:
    paths = [write(tmp_path, "p", {"a": 0.1, "b": 0.1, "c": 0.1}), write(tmp_path, "q", {"c": 0.1, "d": 0.1, "e": 0.1})]
    assert version_tables(collect(paths)) == []


def test_one_file_and_files_of_perfsuite_are_shown_as_before(
    versions: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert version_tables(collect(versions[:1])) == []
    assert main(["collect", str(versions[0])]) == 0
    assert capsys.readouterr().out == render_terminal(
        build_table("steps", collect(versions[:1])), width=None, color=False
    )


def test_data_formats_and_the_table_of_steps_keep_a_row_per_benchmark_and_file(
    versions: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(path) for path in versions]
    main(["collect", *files, "--format", "csv"])
    assert len(list(csv.DictReader(io.StringIO(capsys.readouterr().out)))) == 6
    main(["collect", *files, "--table", "steps"])
    assert capsys.readouterr().out.startswith("6 benchmarks")
    main(["collect", *files])
    assert capsys.readouterr().out.startswith("3 benchmarks in 3 versions")


def test_extra_info_becomes_columns_and_what_lacks_it_is_a_dash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = {"a": {"impl": "fast", "size": {"width": 500}, "count": 100000}, "b": {"impl": "slow", "score": 0.51234}}
    path = str(write(tmp_path, "x", {"a": 0.1, "b": 0.2, "c": 0.3}, extra=extra))
    keys = [word for key in ("impl", "size.width", "score", "count") for word in ("--extra", key)]
    assert main(["collect", path, *keys]) == 0
    text = capsys.readouterr().out
    assert row(text, "a")[1:5] == ["fast", "500", "-", "100,000"]
    assert row(text, "b")[1:5] == ["slow", "-", "0.5123", "-"]
    assert row(text, "c")[1:5] == ["-", "-", "-", "-"]
    main(["collect", path, *keys, "--format", "csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [one["extra_info.impl"] for one in rows] == ["fast", "slow", ""]
    assert [one["extra_info.score"] for one in rows] == ["", "0.51234", ""]


def test_extra_info_stands_beside_versions(tmp_path: Path) -> None:
    paths = [
        write(
            tmp_path, f"f{number}", {"a": 0.1}, python_version=f"3.{number}", extra={"a": {"same": 1, "other": number}}
        )
        for number in (10, 11)
    ]
    (table,) = version_tables(with_extra_info(collect(paths), ["same", "other"]))
    text = render_terminal(table, width=None, color=False)
    assert row(text, "a")[-3:] == ["1", "10,", "11"]


def test_a_key_that_no_file_has_is_one_line_that_names_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write(tmp_path, "x", {"a": 0.1}, extra={"a": {"impl": 1, "size": {"width": 2}, "\x1b[31mred": 3}}))
    assert main(["collect", path, "--extra", "implementation"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("perfsuite: error: --extra: no benchmark of these files has 'implementation' in extra_info;")
    assert "there are impl, size, size.width, " in err
    assert "\x1b" not in err
    assert err.count("\n") == 1
    nothing = str(write(tmp_path, "y", {"a": 0.1}))
    assert main(["collect", nothing, "--extra", "x"]) == 2
    assert "they have nothing there" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["terminal", "markdown", "csv", "json", "latex"])
def test_hostile_names_and_values_do_no_harm(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    values: dict[str, Any] = {text: [text] for text in HOSTILE} | {
        "huge": 10**400,
        "deep": {"a": {"b": {"c": {"d": 1}}}},
    }
    times = dict.fromkeys(HOSTILE, 0.1)
    paths = [
        str(write(tmp_path, f"f{n}", times, python_version=f"3.{n}", extra=dict.fromkeys(HOSTILE, values)))
        for n in (1, 2)
    ]
    keys = [word for key in (*HOSTILE[1:3], "huge", "deep") for word in ("--extra", key)]
    assert main(["collect", *paths, *keys, "--format", name]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_rows_of_tables_are_selected_and_sorted(versions: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(path) for path in versions]
    assert main(["collect", *files, "--select", "test_it and not test_it.py::a", "--sort", "time"]) == 0
    text = capsys.readouterr().out
    assert "shown: 2 of 3 rows (--select 'test_it and not test_it.py::a')" in text
    assert text.index("\nb ") < text.index("\nc ")
    assert main(["collect", *files, "--sort", "time", "--format", "json"]) == 0
    times = [one["time_median_s"] for one in json.loads(capsys.readouterr().out)]
    assert times == sorted(times, reverse=True)
    assert main(["collect", *files, "--sort", "name", "--format", "json"]) == 0
    names = [one["name"] for one in json.loads(capsys.readouterr().out)]
    assert names == sorted(names)


def test_a_choice_of_rows_changes_no_table_without_any(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path, "nothing", {}))
    assert main(["collect", path, "--select", "a", "--sort", "time"]) == 0
    chosen = capsys.readouterr().out
    assert main(["collect", path]) == 0
    assert capsys.readouterr().out == chosen


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--select", "nothing"], "--select: 'nothing' matches none of 3 rows; there are tests/test_it.py::a, "),
        (["--select", "(a"], "--select: '(a': expected a closing parenthesis"),
        (["--select", "nothing", "--format", "csv"], "--select: 'nothing' matches none of 6 rows"),
    ],
)
def test_a_selection_that_cannot_be_shown_is_one_line(
    versions: list[Path], more: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collect", *map(str, versions), *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"perfsuite: error: {complaint}")
    assert err.count("\n") == 1

"""The table that answers which GPU, as users ask for it and read it."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from gpu_builders import A100, T4, V100, gpu_content, out_of_memory

from perfsuite.analysis.figures.figure_data import FigureData
from perfsuite.analysis.frames.environments import compare_environments
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.load.result_file import read_result_files
from perfsuite.analysis.report.sections import page_sections
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def files(write_result: Callable[..., Path]) -> list[str]:
    """Return two processes each of a T4, an A100 that is four times as fast, and a V100 that lacks memory for FP32."""
    found = []
    for number in range(2):
        times = {
            precision: [0.1 * part * (1 + 0.002 * number)] * 10 for precision, part in (("fp32", 1), ("amp-fp16", 0.5))
        }
        slow = {("resnet18", name, 128): list(values) for name, values in times.items()}
        fast = {key: [value / 4.0 * (1 - 0.004 * number) for value in values] for key, values in slow.items()}
        only_amp = {key: values for key, values in fast.items() if key[1] != "fp32"}
        found += [
            write_result(gpu_content(slow, run_id=f"t{number}", joules_per_image=0.05), f"t4-{number}.json"),
            write_result(gpu_content(fast, environment=A100, run_id=f"a{number}"), f"a100-{number}.json"),
            write_result(
                gpu_content(only_amp, environment=V100, run_id=f"v{number}", outcomes=(out_of_memory("fp32", 128),)),
                f"v100-{number}.json",
            ),
        ]
    return [str(path) for path in found]


def gpus(*arguments: str, capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    assert main(["collect", "--table", "gpus", *arguments]) == status
    captured = capsys.readouterr()
    return captured.out if status == 0 else captured.err


def test_the_table_says_what_is_compared_and_what_is_projected(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = gpus(*files, "--price", "t4=0.35,a100=2.5", capsys=capsys)
    rows = [line.split() for line in text.splitlines() if line.startswith("resnet18  ")]
    assert [row[:5] for row in rows] == [
        ["resnet18", "T4", "1,279", "2,557", "baseline"],
        ["resnet18", "A100", "5,125", "10,250", "4.01x"],
        ["resnet18", "V100", "-", "10,250", "4.01x"],
    ]
    assert rows[0][5:10] == ["~3,300", "~0.244", "~0.0312", "~0.0855", "20.0"]
    assert " ".join(rows[1]).endswith("among fastest, largest batch")
    assert "cheapest of 2" in " ".join(rows[0])
    assert "fp32 out of memory" in " ".join(rows[2])
    assert "resnet18: A100 and V100 are fastest, 4.01x [" in text
    assert "~ projected from training steps, without validation and data loading" in text
    assert "cost: hours x price per hour as given (T4 0.35, A100 2.5)" in text


def test_csv_and_json_have_base_units_and_say_what_is_predicted(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads(gpus(*files, "--price", "t4=0.36", "--format", "json", capsys=capsys))
    by_gpu = {row["environment"]: row for row in rows}
    t4 = by_gpu["T4"]
    assert t4["device"] == "Tesla T4"
    assert t4["training_time_s"] == pytest.approx(50 * 45_000 / t4["images_per_second"])
    assert t4["training_energy_joules"] == pytest.approx(50 * 45_000 * 0.05)
    assert t4["training_cost"] == pytest.approx(t4["training_time_s"] / 3600 * 0.36)
    assert (t4["training_time_basis"], t4["training_energy_basis"], t4["training_cost_basis"]) == ("projected",) * 3
    assert t4["largest_batch_basis"] == "predicted"
    assert t4["largest_batch_size"] == 3399
    assert t4["price_per_hour"] == 0.36
    assert by_gpu["A100"]["training_energy_joules"] is None
    assert by_gpu["A100"]["training_energy_basis"] is None
    assert by_gpu["A100"]["speed_ratio_level"] == 0.95
    assert by_gpu["A100"]["fp32_speed_ratio"] == pytest.approx(4 / 0.998, rel=1e-3)
    assert by_gpu["V100"]["without_result"] == "fp32 out of memory"
    table = list(csv.DictReader(io.StringIO(gpus(*files, "--price", "t4=0.36", "--format", "csv", capsys=capsys))))
    assert list(table[0]) == list(rows[0])
    assert float(table[0]["training_energy_joules"]) == t4["training_energy_joules"]


def test_the_baseline_is_chosen_by_a_part_of_a_name(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(gpus(*files, "--against", "sxm4", "--format", "json", capsys=capsys))
    assert [(row["environment"], row["baseline"]) for row in rows] == [
        ("T4", "A100"),
        ("A100", "A100"),
        ("V100", "A100"),
    ]
    assert rows[0]["speed_ratio"] == pytest.approx(1 / 4.01, rel=1e-2)
    assert rows[1]["speed_ratio"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--price", "h100=1"], "--price: unknown GPU or CPU 'h100'; in these files: T4, A100, V100"),
        (
            ["--price", "100=1"],
            "--price: '100' is part of several names: A100, V100; write more of the one that is meant",
        ),
        (["--price", "t4=x"], "--price t4: 'x' is not a price per hour; a number above 0 is allowed, such as 0.35"),
        (["--price", "t4=1", "--price", "Tesla T4=2"], "--price: T4 has two prices, 1 and 2"),
        (["--against", "l4"], "--against: unknown environment 'l4'; in these files: T4, A100, V100"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_status_2(
    files: list[str], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpus(*files, *arguments, capsys=capsys, status=2) == f"perfsuite: error: {message}\n"


@pytest.mark.parametrize("option", [["--price", "t4=1"], ["--against", "t4"]])
@pytest.mark.parametrize("table", [[], ["--table", "steps"]])
def test_options_of_this_table_are_refused_without_it(
    files: list[str], option: list[str], table: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collect", *files, *table, *option]) == 2
    line = capsys.readouterr().err
    assert line == f"perfsuite: error: {option[0]} applies to one table only: add --table gpus, or leave it out\n"


def test_a_price_for_files_of_other_projects_is_refused(
    files: list[str], foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpus(files[0], str(foreign), capsys=capsys).startswith("3 benchmarks")
    line = gpus(files[0], str(foreign), "--price", "t4=1", capsys=capsys, status=2)
    assert "a GPU is chosen by results of perfsuite alone" in line


@pytest.fixture
def foreign(write_result: Callable[..., Path]) -> Path:
    content: dict[str, Any] = gpu_content({("resnet18", "fp32", 128): [0.1] * 5})
    content["benchmarks"][0]["extra_info"] = {}
    del content["perfsuite"], content["machine_info"]["perfsuite"]
    return write_result(content, "foreign.json")


def test_without_training_steps_the_table_says_what_it_needs(write_result: Callable[..., Path]) -> None:
    table = build_table("gpus", collect([write_result(gpu_content({}))]))
    assert table.columns == ()
    assert table.notes[0].startswith("which GPU: it needs train_step results")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_line_is_longer_than_the_terminal(files: list[str], width: int) -> None:
    table = build_table("gpus", collect(map(Path, files)), prices={"T4": 0.35})
    text = render_terminal(table, width=width, color=False)
    assert max(map(len, text.splitlines())) <= width
    assert "V100" in text


def test_warnings_are_in_the_row_that_they_concern(
    write_result: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    cells = {("resnet18", "fp32", 128): [0.1] * 10}
    path = write_result(gpu_content(cells, joules_per_image=0.1, throttled=0.9))
    assert "fp32 throttled" in gpus(str(path), capsys=capsys)
    (row,) = json.loads(gpus(str(path), "--format", "json", capsys=capsys))
    assert row["warnings"] == "fp32 throttled"


def test_without_a_price_the_option_is_named(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "for the cost of a training: --price 'T4=PRICE', with the price per hour" in gpus(*files, capsys=capsys)
    assert "for the cost" not in gpus(*files, "--price", "t4=1", capsys=capsys)


def test_one_gpu_alone_has_hours_and_cost_but_no_speed(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    text = gpus(files[0], "--price", "t4=1", capsys=capsys)
    assert "hours" in text
    assert "cost" in text
    assert "speed" not in text
    assert "best" not in text


def section(page: str) -> str:
    found = re.search(r'<section id="gpus".*?</section>', page, re.DOTALL)
    return "" if found is None else html.unescape(found[0])


def test_the_page_has_a_section_where_there_are_several_gpus(files: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["report", *files, "--price", "t4=0.35,a100=2.5", "-o", str(page)]) == 0
    found = section(page.read_text())
    assert "Which GPU</h2>" in found
    assert "resnet18: A100 and V100 are fastest, 4.01x [" in found
    assert found.count("resnet18: A100 and V100 are fastest") == 1
    assert "~0.0855" in found
    assert page.read_text().index('id="gpus"') < page.read_text().index('id="speedup"')


def test_the_page_compares_with_the_environment_that_the_others_are_compared_with(files: list[str]) -> None:
    across = compare_environments(read_result_files([Path(files[1])]), read_result_files(map(Path, files)), ("gpu",))
    figure_data = FigureData(results=collect(map(Path, files)), across=across)
    (table,) = next(one for one in page_sections(figure_data) if one.name == "gpus").tables
    assert {row["baseline"] for row in table.rows()} == {"A100"}


def test_the_page_of_one_gpu_has_the_section_only_with_its_price(files: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["report", files[0], "-o", str(page)]) == 0
    assert section(page.read_text()) == ""
    assert main(["report", files[0], "--price", "t4=0.35", "-o", str(page)]) == 0
    assert "hours" in section(page.read_text())


def test_a_price_that_is_no_gpus_of_the_page_is_one_line(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *files, "--price", "l4=0.35", "-o", str(tmp_path / "page.html")]) == 2
    assert "--price: unknown GPU or CPU 'l4'; in these files: T4, A100, V100" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_names_from_files_are_printable(write_result: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    import dataclasses

    hostile = dataclasses.replace(T4, device="GPU \x1b[31m\u202e<script>", gpu="GPU \x1b[31m")
    path = write_result(gpu_content({("resnet18", "fp32", 128): [0.1] * 10}, environment=hostile))
    text = gpus(str(path), capsys=capsys)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "GPU \ufffd[31m" in text

"""The environment that others are compared with is chosen by name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from builders import ENVIRONMENT
from report_builders import h100, step_file, t4

from perfsuite.analysis.frames.environment_names import choose_by_part
from perfsuite.analysis.load.result_file import read_result_files
from perfsuite.analysis.report.data import figure_data_of, gather
from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path

A100 = dataclasses.replace(ENVIRONMENT, device="NVIDIA A100 40GB", gpu="NVIDIA A100 40GB")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    environments = {"t4": (t4(), 1.0), "h100": (h100(), 0.1), "a100": (A100, 0.2)}
    return [
        step_file(tmp_path / f"{name}.json", environment=environment, run_id=name, factor=factor)
        for name, (environment, factor) in environments.items()
    ]


@pytest.mark.parametrize(
    ("against", "expected"),
    [
        (None, "Tesla T4"),
        ("t4", "Tesla T4"),
        ("A100", "NVIDIA A100 40GB"),
        ("h100", "NVIDIA H100 80GB"),
        ("nvidia h100 80gb", "NVIDIA H100 80GB"),
    ],
)
def test_others_are_compared_with_the_environment_that_is_named(
    files: list[Path], against: str | None, expected: str
) -> None:
    found = figure_data_of(read_result_files(files), against=against).across
    assert found is not None
    assert found.baseline == found.environments[0] == expected
    assert len(found.environments) == 3
    named = {"Tesla T4": 1.0, "NVIDIA H100 80GB": 0.1, "NVIDIA A100 40GB": 0.2}
    for entry in found.changes:
        assert entry["ratio"] == pytest.approx(named[entry["environment"]] / named[expected], rel=0.03)


def test_a_whole_name_is_meant_even_where_it_is_a_part_of_another() -> None:
    names = {"torch 2.13.0": (), "torch 2.13": ()}
    assert choose_by_part("--against", "TORCH 2.13", names) == "torch 2.13"


@pytest.mark.parametrize(
    ("against", "complaint"),
    [
        ("V100", "--against: unknown environment 'V100'; in these files: Tesla T4, NVIDIA H100 80GB, NVIDIA A100 40GB"),
        ("100", "--against: '100' is part of several names: NVIDIA H100 80GB, NVIDIA A100 40GB"),
        ("", "--against: unknown environment ''; in these files"),
    ],
)
@pytest.mark.parametrize("command", [["report", "-o", "page.html"], ["chart", "across", "-o", "across.svg"]])
def test_a_name_that_is_none_or_several_is_one_line_that_lists_them(
    files: list[Path],
    command: list[str],
    against: str,
    complaint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = str(tmp_path / command[-1])
    assert main([*command[:-1], output, *map(str, files), "--against", against]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"perfsuite: error: {complaint}")
    assert err.count("\n") == 1


def test_the_chart_is_of_the_environment_that_is_named_and_by_default_of_the_first(
    files: list[Path], tmp_path: Path
) -> None:
    charts = []
    for number, more in enumerate(([], ["--against", "t4"], ["--against", "a100"])):
        target = tmp_path / f"{number}.svg"
        assert main(["chart", "across", "-o", str(target), *map(str, files), *more]) == 0
        charts.append(target.read_text())
    assert charts[0] == charts[1] != charts[2]


def test_one_environment_or_a_baseline_leaves_nothing_to_choose(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ["-o", str(tmp_path / "page.html"), "--against", "t4"]
    assert main(["report", str(files[0]), *page]) == 2
    assert "--against: these files are of one environment; there is nothing to compare" in capsys.readouterr().err
    assert main(["report", str(files[1]), "--baseline", str(files[0]), *page]) == 2
    assert "--against: with --baseline, its environment is what" in capsys.readouterr().err


def test_one_gpu_in_two_machines_is_two_environments_and_the_first_is_the_baseline(tmp_path: Path) -> None:
    other = dataclasses.replace(t4(), cpu="EPYC 7763")
    environments = {"a": t4(), "b": other, "c": h100()}
    paths = [
        step_file(tmp_path / f"{name}.json", environment=environment, run_id=name)
        for name, environment in environments.items()
    ]
    found = gather(paths).across
    assert found is not None
    assert found.environments == (
        "Tesla T4 with Intel(R) Xeon(R) CPU @ 2.20GHz",
        "Tesla T4 with EPYC 7763",
        "NVIDIA H100 80GB with Intel(R) Xeon(R) CPU @ 2.20GHz",
    )

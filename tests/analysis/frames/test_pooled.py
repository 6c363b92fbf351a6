from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from builders import make_content, make_pair, make_paired_entry
from report_builders import h100, plain_file, step_file
from scipy import stats
from training_builders import make_training, make_training_entry

from perfsuite.analysis.frames.pairs import pairs_frame
from perfsuite.analysis.frames.pooled import by_file, first_rows, pooled_benchmarks
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [step_file(tmp_path / f"run-{n}.json", run_id=f"r{n}", seed=n, evidence=True) for n in range(5)]


def test_five_runs_of_a_cell_are_one_row_with_the_interval_over_them(files: list[Path]) -> None:
    frame = pooled_benchmarks(collect(files)).set_index("fullname")
    assert len(frame) == 18
    for name, row in frame.iterrows():
        contents = [json.loads(path.read_text())["benchmarks"] for path in files]
        entries = [entry for content in contents for entry in content if entry["fullname"] == name]
        logs = np.log([np.median(entry["stats"]["data"]) for entry in entries])
        low, high = stats.t.interval(0.95, 4, loc=logs.mean(), scale=stats.sem(logs))
        assert row["time_median_s"] == pytest.approx(np.exp(logs.mean()))
        assert row["images_per_second"] == pytest.approx(128 / np.exp(logs.mean()))
        assert row["process_margin_ratio"] == pytest.approx(np.exp((high - low) / 2) - 1)
        assert row["num_rounds"] == sum(len(entry["stats"]["data"]) for entry in entries) == 150
        assert row["num_processes"] == 5
    assert frame["time_margin_ratio"].isna().all()


def test_a_single_run_stays_as_it_is_and_environments_are_never_put_together(files: list[Path], tmp_path: Path) -> None:
    results = collect(files[:1])
    assert pooled_benchmarks(results) is results.benchmarks
    other = step_file(tmp_path / "other.json", run_id="other", environment=h100())
    frame = pooled_benchmarks(collect([*files, other]))
    assert sorted(frame["num_processes"].unique()) == [1, 5]
    assert len(frame) == 36
    assert len(first_rows(collect([*files, other]))) == 36


def test_by_file_every_run_has_its_own_row(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", *map(str, files), "--by-file"]) == 0
    text = capsys.readouterr().out
    assert all(text.count(path.name) == 18 for path in files)
    assert main(["collect", *map(str, files)]) == 0
    assert not any(path.name in capsys.readouterr().out for path in files)


def test_by_file_reaches_pairs_and_origins_too(write_result: Callable[..., Path]) -> None:
    paths = [
        write_result(make_content([make_paired_entry(make_pair(run_id=name))]), f"{name}.json")
        for name in ("run1", "run2")
    ]
    together = collect(paths)
    assert len(pairs_frame(together, ["speedup"])) == 1
    apart = by_file(together)
    assert pairs_frame(apart, ["speedup"])["file"].tolist() == ["run1.json", "run2.json"]
    assert [file.series for file in apart.files] == ["run1.json", "run2.json"]


def test_two_series_of_runs_are_two_rows_a_cell_in_every_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [
        step_file(tmp_path / f"{name}-{n}.json", run_id=f"{name}{n}", seed=n, models=["resnet18"])
        for name in ("old", "new")
        for n in range(2)
    ]
    for form in ("terminal", "markdown", "csv", "json"):
        assert main(["collect", *map(str, paths), "--format", form]) == 0
        text = capsys.readouterr().out
        assert "series" in text
        assert "old" in text
        assert "new" in text
    assert main(["report", *map(str, paths), "-o", str(tmp_path / "page.html")]) == 0


def test_a_foreign_file_hides_no_training_and_no_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainings = tmp_path / "trainings.json"
    trainings.write_text(json.dumps(make_content([make_training_entry(make_training())])))
    foreign = plain_file(tmp_path / "foreign.json", ["test_x"])
    assert main(["collect", str(trainings), str(foreign)]) == 0
    out = capsys.readouterr().out
    assert "test_x" in out
    assert "resnet18" in out
    assert main(["collect", str(trainings), str(foreign), "--table", "accuracy"]) == 0
    assert "resnet18" in capsys.readouterr().out


def test_a_warning_of_some_runs_says_of_how_many(files: list[Path]) -> None:
    content = json.loads(files[0].read_text())
    for entry in content["benchmarks"]:
        entry["extra_info"]["perfsuite"]["telemetry"] = None
    files[0].write_text(json.dumps(content))
    frame = pooled_benchmarks(collect(files))
    assert set(frame["warnings"]) == {"throttled (4 of 5 runs)"}


@pytest.mark.parametrize("name", ["steps", "memory", "roofline", "telemetry", "kernels"])
def test_tables_of_five_runs_have_a_row_per_cell_and_say_so(name: str, files: list[Path]) -> None:
    table = build_table(name, collect(files))
    assert len(table.rows()) == 18
    text = render_terminal(table, width=200, color=False)
    assert "run-0.json" not in text
    assert "5 runs together" in text or "of several runs the profile of the first" in text

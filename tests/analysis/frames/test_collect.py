from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_record, make_workload

from perfsuite.analysis.frames.columns import differing_columns
from perfsuite.analysis.frames.results import collect
from perfsuite.cli import main
from perfsuite.records.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

FOREIGN = sorted((Path(__file__).parents[2] / "data" / "foreign").glob("*.json"))


def test_a_file_becomes_a_row_per_benchmark_and_a_row_per_round(write_result: Callable[..., Path]) -> None:
    entries = [
        make_entry(make_record(make_workload(precision=precision)), times)
        for precision, times in (("fp32", [0.4, 0.5, 0.6]), ("amp-fp16", [0.2, 0.25]))
    ]
    results = collect([write_result(make_content(entries))])
    frame = results.benchmarks
    assert results.has_records
    assert frame["precision"].tolist() == ["fp32", "amp-fp16"]
    assert frame["images_per_second"].tolist() == [128 / 0.5, 128 / 0.225]
    assert frame["device"].tolist() == ["Tesla T4"] * 2
    assert frame["peak_allocated_bytes"].tolist() == [700 * 1024**2] * 2
    rounds = results.rounds()
    assert rounds["row"].tolist() == [0, 0, 0, 1, 1]
    assert rounds["round"].tolist() == [0, 1, 2, 0, 1]
    assert rounds["time_s"].tolist() == [0.4, 0.5, 0.6, 0.2, 0.25]


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: path.stem)
def test_files_of_every_version_of_pytest_benchmark_are_read(path: Path) -> None:
    content = json.loads(path.read_text())
    results = collect([path])
    assert not results.has_records
    frame = results.benchmarks
    assert frame["fullname"].tolist() == [benchmark["fullname"] for benchmark in content["benchmarks"]]
    assert frame["time_median_s"].tolist() == [benchmark["stats"]["median"] for benchmark in content["benchmarks"]]
    assert frame["num_rounds"].tolist() == [benchmark["stats"]["rounds"] for benchmark in content["benchmarks"]]
    assert len(results.rounds()) == sum(len(b["stats"].get("data", [])) for b in content["benchmarks"])


def test_the_golden_files_span_versions_2_to_5() -> None:
    assert {path.stem.removeprefix("pytest_benchmark_")[0] for path in FOREIGN} == {"2", "3", "4", "5"}


def test_a_file_with_the_least_there_can_be_is_read(write_result: Callable[..., Path]) -> None:
    results = collect([write_result({"benchmarks": [{"name": "only", "stats": {"mean": 1, "iterations": 1}}]})])
    row = results.benchmarks.iloc[0]
    assert (row["fullname"], row["time_mean_s"], row["time_median_s"]) == ("only", 1.0, None)
    assert results.rounds().empty


def test_a_file_without_benchmarks_is_no_error(write_result: Callable[..., Path]) -> None:
    outcome = Outcome(nodeid="a::b", outcome="skipped", reason="no TF32")
    results = collect([write_result(make_content([], outcomes=[outcome]))])
    assert results.benchmarks.empty
    assert results.outcomes["reason"].tolist() == ["no TF32"]
    assert differing_columns(results.benchmarks) == []


def test_a_copied_file_is_not_another_run(write_result: Callable[..., Path]) -> None:
    content = make_content([make_entry(make_record(), [0.1, 0.2])])
    paths = [write_result(content, name) for name in ("one.json", "copy.json")]
    results = collect(paths)
    assert len(results.benchmarks) == 1
    assert results.notes == (f"{paths[1]}: left out, it contains the same run as {paths[0]}",)


def test_of_copies_the_fullest_is_kept(write_result: Callable[..., Path]) -> None:
    """A copy may have been made while the run went on."""
    entries = [make_entry(make_record(make_workload(model=model)), [0.1, 0.2]) for model in ("resnet18", "resnet34")]
    early, late = (write_result(make_content(entries[:n]), f"{n}.json") for n in (1, 2))
    results = collect([early, late])
    assert results.benchmarks["file"].tolist() == ["2.json", "2.json"]
    assert results.notes == (f"{early}: left out, it contains the same run as {late}",)


def test_a_run_that_was_cut_short_is_noted(write_result: Callable[..., Path]) -> None:
    content = make_content([make_entry(make_record(), [0.1, 0.2])])
    content["perfsuite"]["complete"] = False
    assert "the run was cut short" in collect([write_result(content)]).notes[0]


def test_files_are_told_apart_by_what_differs(write_result: Callable[..., Path]) -> None:
    def write(name: str, **changes: str) -> Path:
        environment = dataclasses.replace(ENVIRONMENT, **changes)  # type: ignore[arg-type]
        entry = make_entry(make_record(run_id=name), [0.1, 0.2])
        return write_result(make_content([entry], environment=environment), f"{name}.json")

    first = write("first")
    assert differing_columns(collect([first]).benchmarks) == []
    assert differing_columns(collect([first, write("again")]).benchmarks) == ["file"]
    assert differing_columns(collect([first, write("newer", torch="2.15.0")]).benchmarks) == ["torch"]
    other = write("other", device="NVIDIA A10", torch="2.15.0", cpu="EPYC")
    assert differing_columns(collect([first, other]).benchmarks) == ["device", "torch"]
    assert differing_columns(collect([first, other, write("other2", torch="2.15.0")]).benchmarks) == ["device", "torch"]
    assert differing_columns(collect([first, other, write("same")]).benchmarks) == ["device", "torch", "file"]


def test_files_of_one_name_in_two_folders_are_named_by_their_paths(tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "run.json")
        entry = make_entry(make_record(run_id=folder), [0.1, 0.2])
        paths[-1].write_text(json.dumps(make_content([entry])))
    assert collect(paths).benchmarks["file"].tolist() == [str(path) for path in paths]


def test_margin_and_percentile_come_from_the_raw_rounds(write_result: Callable[..., Path]) -> None:
    times = np.linspace(1.0, 2.0, 30)
    row = collect([write_result(make_content([make_entry(make_record(), times.tolist())]))]).benchmarks.iloc[0]
    assert row["time_p90_s"] == pytest.approx(1.9)
    batches = times.reshape(6, 5).mean(axis=1)
    assert row["time_margin_ratio"] == pytest.approx(4.0321 * batches.std(ddof=1) / 6**0.5 / 1.5, rel=1e-4)


def test_a_table_in_json_is_read_back_by_pandas(write_result: Callable[..., Path], tmp_path: Path) -> None:
    path = write_result(make_content([make_entry(make_record(), [0.1, 0.2, 0.3])]))
    table = tmp_path / "table.json"
    assert main(["collect", str(path), "-o", str(table)]) == 0
    (row,) = pd.read_json(table).to_dict("records")
    assert (row["model"], row["time_median_s"]) == ("resnet18", 0.2)

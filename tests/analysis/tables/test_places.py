"""Files of several machines, commits, versions and labels: no table and no figure takes them for one."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from builders import (
    ENVIRONMENT,
    make_content,
    make_entry,
    make_pair,
    make_paired_entry,
    make_record,
    make_workload,
)
from foreign_files import needs_public_files, ordinary_rounds, public_files, write_foreign
from matplotlib.figure import Figure
from numerics_studies import studies_file
from report_builders import step_file, training_epochs
from scaling_builders import scaling_file
from training_builders import make_training, make_training_entry

from perfsuite.analysis.figures.panels import Marks
from perfsuite.analysis.figures.registry import FIGURES, build_chart
from perfsuite.analysis.frames.columns import differing_columns, place_columns
from perfsuite.analysis.frames.pairs import COMPARISONS, pairs_frame
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.speedup import speedup_frame
from perfsuite.analysis.frames.thesis import thesis_frame
from perfsuite.analysis.frames.trainings import accuracy_frame
from perfsuite.analysis.load.file_series import series_name
from perfsuite.analysis.report.data import gather
from perfsuite.analysis.tables.registry import TABLES, build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.records.environment import Process

if TYPE_CHECKING:
    from perfsuite.analysis.figures.panels import Drawing

COMMITS = ("a" * 40, "b" * 40)
SHORT = tuple(commit[:10] for commit in COMMITS)
FOREIGN_KINDS = {"plain"}
OF_MACHINES = {"nodes", "kinds"}
"""A row is a machine, or a kind of them; commits are columns of the second (tests/analysis/verdicts/test_nodes.py)."""
KINDS_OF_TWO_SIDES = {"verdicts", "accuracy-changes", "across"}
"""Their sides are given by the user, and what differs within one is a note."""


def _pair_file(path: Path, number: int, **changes: str) -> Path:
    entries = []
    for comparison in ("speedup", "switch", "overhead", "pipeline_step"):
        pair = make_pair(comparison=comparison, run_id=f"pair-{number}")
        entries.append(make_paired_entry(dataclasses.replace(pair, limit_ratio=0.01)))
    environment = dataclasses.replace(ENVIRONMENT, **changes)  # type: ignore[arg-type]
    path.write_text(json.dumps(make_content(entries, environment=environment)))
    return path


def _training_file(path: Path, number: int, **changes: str) -> Path:
    entries = []
    for name in ("fp32", "amp-fp16"):
        process = Process(run_id=f"training-{number}", pid=1, started="2026-01-05T10:00:00+00:00")
        weights = f"{name}-{number}"
        record = make_training(name, history=training_epochs(3, name), process=process, weights_sha256=weights)
        entries.append(make_training_entry(record))
    environment = dataclasses.replace(ENVIRONMENT, **changes)  # type: ignore[arg-type]
    path.write_text(json.dumps(make_content(entries, environment=environment)))
    return path


def _step_file(path: Path, number: int, **changes: str) -> Path:
    environment = dataclasses.replace(ENVIRONMENT, **changes)  # type: ignore[arg-type]
    return step_file(path, environment=environment, run_id=f"steps-{number}", seed=number, evidence=True)


def _inference_file(path: Path, number: int, **changes: str) -> Path:
    environment = dataclasses.replace(ENVIRONMENT, **changes)  # type: ignore[arg-type]
    record = make_record(make_workload(phase="inference", batch_size=1), run_id=f"inference-{number}")
    record = dataclasses.replace(record, latencies_s=(0.001,) * 100)
    path.write_text(json.dumps(make_content([make_entry(record, [0.001] * 20)], environment=environment)))
    return path


def _numerics_file(path: Path, number: int, **changes: str) -> Path:
    environment = dataclasses.replace(ENVIRONMENT, **changes)  # type: ignore[arg-type]
    return studies_file(path, environment=environment, run_id=f"numerics-{number}")


def _scaling_file(path: Path, number: int, **changes: str) -> Path:
    environment = dataclasses.replace(ENVIRONMENT, **changes)  # type: ignore[arg-type]
    return scaling_file(path, environment=environment, run_id=f"scaling-{number}", seed=number)


def _maker(name: str) -> Any:
    if name == "scaling":
        return _scaling_file
    if name in {"numerics", "types"}:
        return _numerics_file
    if name == "inference":
        return _inference_file
    if name in {"accuracy", "confusion", "epochs", "curves", "differences"}:
        return _training_file
    return _pair_file if name in {"interleaved", "switches", "overhead", "input_pipeline"} else _step_file


def _words(drawing: Drawing) -> str:
    panels = [text for panel in drawing.panels for text in (panel.title, panel.finding)]
    return " ".join([drawing.title, drawing.finding, *panels])


@pytest.mark.parametrize("name", sorted(set(TABLES) - OF_MACHINES))
def test_every_table_distinguishes_two_commits(name: str, tmp_path: Path) -> None:
    make = _maker(name)
    one = build_table(name, collect([make(tmp_path / "run-1.json", 1, commit=COMMITS[0])]))
    files = [make(tmp_path / f"run-{number}.json", number, commit=commit) for number, commit in enumerate(COMMITS, 1)]
    table = build_table(name, collect(files))
    assert len(table.frame) == 2 * len(one.frame) > 0
    rows = [[column.show(row) for column in table.columns] for row in table.rows()]
    for commit in SHORT:
        assert sum(any(commit in cell for cell in row) for row in rows) == len(one.frame)


@pytest.mark.parametrize("name", sorted(set(TABLES) - OF_MACHINES))
def test_every_table_distinguishes_two_labels_of_one_commit(name: str, tmp_path: Path) -> None:
    make = _maker(name)
    files = [make(tmp_path / f"{label}.json", number) for number, label in enumerate(("before", "after"))]
    table = build_table(name, collect(files))
    rows = [[column.show(row) for column in table.columns] for row in table.rows()]
    for label in ("before", "after"):
        assert sum(any(label in cell for cell in row) for row in rows) == len(rows) / 2 > 0


@pytest.mark.parametrize("name", sorted(set(FIGURES) - KINDS_OF_TWO_SIDES - FOREIGN_KINDS - OF_MACHINES))
@pytest.mark.parametrize("what", ["commit", "label"])
def test_every_figure_distinguishes_two_commits_and_two_labels(name: str, what: str, tmp_path: Path) -> None:
    make = _maker(name)
    labels = ("run-1", "run-2") if what == "commit" else ("before", "after")
    commits = COMMITS if what == "commit" else COMMITS[:1] * 2
    files = [
        make(tmp_path / f"{label}.json", number, commit=commit)
        for number, (label, commit) in enumerate(zip(labels, commits, strict=True))
    ]
    words = _words(build_chart(name, gather(files)))
    for expected in SHORT if what == "commit" else labels:
        assert expected in words


@pytest.mark.parametrize("name", ["epochs", "confusion", "differences", "speedup", "memory"])
def test_no_mark_of_a_figure_loses_its_place_to_a_line_break(name: str, tmp_path: Path) -> None:
    """What a mark says is one line; a line break in it would be replaced by a character that says nothing."""
    make = _maker(name)
    files = [make(tmp_path / f"run-{n}.json", n, commit=commit) for n, commit in enumerate(COMMITS)]
    for panel in build_chart(name, gather(files)).panels:
        axes, marks = Figure().add_subplot(), Marks()
        panel.draw(axes, marks)
        assert not any(character in text for text in [panel.finding, *marks.texts.values()] for character in "\n\ufffd")


def test_interleaved_pairs_of_one_place_are_processes_of_one_ratio(tmp_path: Path) -> None:
    files = [_pair_file(tmp_path / f"run-{number}.json", number) for number in (1, 2)]
    (row,) = pairs_frame(collect(files), COMPARISONS["interleaved"]).to_dict("records")
    assert (row["num_processes"], row["file"]) == (2, "run-1.json, run-2.json")


@pytest.mark.parametrize("what", ["commit", "torch", "label"])
def test_interleaved_pairs_of_two_places_are_two_ratios_and_each_is_that_of_its_cells(
    what: str, tmp_path: Path
) -> None:
    """Pairs of two commits, versions or labels never become one ratio, nor the speed-up of the other's cells."""
    names = ("before", "after") if what == "label" else ("run-1", "run-2")
    changes = {"commit": COMMITS, "torch": ("2.5.0", "2.6.0"), "label": COMMITS}[what]
    files = []
    for number, name in enumerate(names):
        changed = {} if what == "label" else {what: changes[number]}
        environment = dataclasses.replace(ENVIRONMENT, **changed)  # type: ignore[arg-type]
        pair = make_pair(run_id=name, blocks=tuple((1.0, 0.5 + number / 4, 0.5 + number / 4, 1.0) for _ in range(20)))
        path = step_file(tmp_path / f"{name}.json", run_id=name, seed=number, environment=environment)
        content = json.loads(path.read_text())
        content["benchmarks"].append(make_paired_entry(pair))
        path.write_text(json.dumps(content))
        files.append(path)
    results = collect(files)
    pairs = pairs_frame(results, COMPARISONS["interleaved"])
    assert pairs["num_processes"].tolist() == [1, 1]
    assert pairs["time_ratio"].tolist() == pytest.approx([0.5, 0.75])
    speedups = speedup_frame(results).dropna(subset="interleaved_speedup_ratio")
    assert speedups["interleaved_speedup_ratio"].tolist() == pytest.approx([2.0, 4 / 3])
    assert len(thesis_frame(results)) == 2 * len(thesis_frame(collect(files[:1]))) > 0


def test_pairs_of_no_label_are_not_the_speedup_of_labelled_cells(tmp_path: Path) -> None:
    files = [step_file(tmp_path / f"{name}.json", run_id=name, seed=1) for name in ("before", "after")]
    pair = tmp_path / "pairs.json"
    pair.write_text(json.dumps(make_content([make_paired_entry(make_pair(run_id="pairs"))])))
    assert speedup_frame(collect([*files, pair]))["interleaved_speedup_ratio"].isna().all()


def test_repetitions_are_still_processes_of_one_cell(tmp_path: Path) -> None:
    results = collect([_step_file(tmp_path / f"run-{number}.json", number) for number in (1, 2)])
    assert differing_columns(results.benchmarks) == ["file"]
    assert place_columns(results.benchmarks) == []
    assert set(speedup_frame(results)["num_processes"]) == {2}


def test_files_that_measured_different_things_are_one_place(tmp_path: Path) -> None:
    """FP32 in one file and AMP in another are compared with each other, whatever the files are called."""
    files = [
        step_file(tmp_path / f"{precision}.json", run_id=precision, precisions=[precision])
        for precision in ("fp32", "amp-fp16")
    ]
    assert place_columns(collect(files).benchmarks) == []
    assert not speedup_frame(collect(files)).empty


def test_seeds_of_one_commit_are_one_row_and_those_of_two_are_two(tmp_path: Path) -> None:
    one = collect([_training_file(tmp_path / f"seed-{number}.json", number) for number in (1, 2)])
    assert accuracy_frame(one)["precision"].tolist() == ["fp32", "amp-fp16"]
    files = [_training_file(tmp_path / f"c-{n}.json", n, commit=commit) for n, commit in enumerate(COMMITS)]
    assert accuracy_frame(collect(files))["place"].tolist() == [f"commit {commit}" for commit in SHORT for _ in "ab"]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"machine": {"gpu": {"name": "T4"}}}, {"machine": {"gpu": {"name": "A10"}}}, ("T4", "A10")),
        ({"machine": {"cpu": {"brand": "Xeon"}}}, {"machine": {"cpu": {"brand": "EPYC"}}}, ("Xeon", "EPYC")),
        ({"machine": {"node": "red"}}, {"machine": {"node": "blue"}}, ("host red", "host blue")),
        ({"commit": COMMITS[0]}, {"commit": COMMITS[1]}, tuple(f"commit {commit}" for commit in SHORT)),
        (
            {"machine": {"pytorch_version": "1.5"}},
            {"machine": {"pytorch_version": "1.6"}},
            ("torch 1.5", "torch 1.6"),
        ),
        ({"name": "0001_baseline"}, {"name": "0002_np"}, ("baseline", "np")),
    ],
)
def test_the_figure_of_medians_has_a_row_per_machine_commit_version_and_label(
    one: dict[str, Any], other: dict[str, Any], words: tuple[str, str], tmp_path: Path
) -> None:
    files = []
    for number, changes in enumerate((one, other), 1):
        path = tmp_path / f"{changes.get('name', f'000{number}_run')}.json"
        known = {key: value for key, value in changes.items() if key != "name"}
        files.append(write_foreign(path, {"test_a": ordinary_rounds(number)}, **known))
    (panel,) = build_chart("plain", gather(files)).panels
    assert panel.num_rows == 2
    assert re.fullmatch(rf"Medians: test_a {words[0]} .* us, test_a {words[1]} 1\.\d+ ms", panel.finding)


def test_runs_of_one_place_are_one_dot_with_their_range(tmp_path: Path) -> None:
    files = [write_foreign(tmp_path / f"000{n}_run.json", {"test_a": ordinary_rounds(n)}) for n in (1, 2)]
    drawing = build_chart("plain", gather(files))
    assert [panel.title for panel in drawing.panels] == ["benchmarks"]
    assert drawing.notes == ("line: from the fastest run to the slowest",)


def test_a_benchmark_that_one_place_lacks_keeps_its_row(tmp_path: Path) -> None:
    rounds = {"test_a": ordinary_rounds(), "test_b": ordinary_rounds(0.5)}
    files = [
        write_foreign(tmp_path / "one.json", rounds, commit=COMMITS[0]),
        write_foreign(tmp_path / "other.json", {"test_b": ordinary_rounds(0.4)}, commit=COMMITS[1]),
    ]
    (panel,) = build_chart("plain", gather(files)).panels
    assert f"a commit {SHORT[1]} not measured" in panel.finding
    assert panel.num_rows == 4


def test_places_that_are_not_drawn_are_counted(tmp_path: Path) -> None:
    files = [
        write_foreign(tmp_path / f"{n}.json", {"test_a": ordinary_rounds(seed=n)}, machine={"node": f"host-{n}"})
        for n in range(9)
    ]
    drawing = build_chart("plain", gather(files))
    assert sum(panel.num_rows for panel in drawing.panels) == 6
    assert "3 more places are not drawn; the table has them all" in drawing.notes


def test_a_copy_of_a_foreign_file_is_no_second_run(tmp_path: Path) -> None:
    paths = [write_foreign(tmp_path / f"{name}.json") for name in ("one", "copy")]
    results = collect(paths)
    assert len(results.benchmarks) == 1
    assert results.notes == (f"{paths[1]}: left out, it contains the same run as {paths[0]}",)


def test_a_working_tree_with_changes_is_another_state_of_the_commit(tmp_path: Path) -> None:
    clean, dirty = (write_foreign(tmp_path / f"run-{n}.json", {"test_a": ordinary_rounds(n)}) for n in (1, 2))
    content = json.loads(dirty.read_text())
    content["commit_info"]["dirty"] = True
    dirty.write_text(json.dumps(content))
    assert collect([clean, dirty]).benchmarks["commit"].tolist() == ["1" * 40, "1" * 40 + "+dirty"]
    text = render_terminal(build_table("steps", collect([clean, dirty])), width=None, color=False)
    assert "1111111111+dirty" in text


def test_a_cpu_is_shown_where_one_gpu_stands_in_several_machines(tmp_path: Path) -> None:
    machines = [{"gpu": "T4", "cpu": {"brand": cpu}} for cpu in ("Xeon", "EPYC")] + [{"gpu": "A10"}]
    files = [
        write_foreign(tmp_path / f"{n}.json", {"test_a": ordinary_rounds(seed=n)}, machine=machine)
        for n, machine in enumerate(machines)
    ]
    assert differing_columns(collect(files).benchmarks) == ["device", "cpu"]


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("0001_baseline", "baseline"),
        ("0002_waiter-channel", "waiter channel"),
        ("0003_3a992d6c4b661f21784efab5a108c6d968b2b682_20260808_194529", ""),
        ("run1", "run"),
        ("run-12", "run"),
        ("20261123T101500", ""),
        ("20261123T101500Z-candidate", "candidate"),
        ("v1", "v1"),
        ("v2", "v2"),
        ("deadbeef", "deadbeef"),
    ],
)
def test_numbers_moments_and_commits_are_no_part_of_a_label(name: str, series: str) -> None:
    assert series_name(Path(f"{name}.json")) == series


@needs_public_files
@pytest.mark.parametrize(("repository", "num"), [("AHedya", 3), ("azukds", 2), ("probably", 2), ("bdperkin", 3)])
def test_public_files_of_several_commits_have_a_row_each_below_their_benchmark(repository: str, num: int) -> None:
    figure_data = gather(public_files(repository))
    num_names = figure_data.results.benchmarks["fullname"].nunique()
    num_drawn = num_names if num_names <= 24 else 10
    panels = [panel for panel in build_chart("plain", figure_data).panels if not panel.title.startswith("all ")]
    assert sum(panel.num_rows for panel in panels) == num * num_drawn

"""Two boards of one model: other silicon is never taken for other code."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_record, make_workload
from training_builders import make_training, make_training_entry

from perfsuite.analysis.frames.columns import differing_columns, place_columns
from perfsuite.analysis.frames.environments import across
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.analysis.report.data import gather
from perfsuite.analysis.tables.environments import across_tables
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.cli import main
from perfsuite.errors import InvalidChoiceError
from perfsuite.records.environment import Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.analysis.verdicts.compare import Comparison

FIRST, SECOND = "0123456789ab", "ba9876543210"


def board_file(run_id: str, *, scale: float = 1.0, **environment: Any) -> dict[str, Any]:
    generator = np.random.default_rng(len(run_id))
    times = 0.1 * scale * (1 + 0.004 * generator.standard_normal(30))
    entry = make_entry(make_record(make_workload(), run_id=run_id), times.tolist())
    return make_content([entry], environment=dataclasses.replace(ENVIRONMENT, **environment))


def training_file(run_id: str, **environment: Any) -> dict[str, Any]:
    process = Process(run_id=run_id, pid=1, started="2026-01-05T10:00:00+00:00")
    record = make_training(process=process, weights_sha256=run_id)
    return make_content([make_training_entry(record)], environment=dataclasses.replace(ENVIRONMENT, **environment))


@pytest.fixture
def files(write_result: Callable[..., Path]) -> dict[str, Path]:
    contents = {
        "first": board_file("a", board=FIRST),
        "first again": board_file("bb", board=FIRST),
        "second": board_file("ccc", scale=1.05, board=SECOND),
        "old": board_file("dddd", scale=1.05),
        "other gpu": board_file("eeeee", scale=0.5, device="NVIDIA A10", gpu="NVIDIA A10", board="aaaaaaaaaaaa"),
        "other host": board_file("ffffff", board=SECOND) | {"machine_info": None},
    }
    contents["other host"]["machine_info"] = {
        **contents["second"]["machine_info"],
        "node": "another",
    }
    return {name: write_result(content, f"{name}.json") for name, content in contents.items()}


def compared(baseline: Path, candidate: Path) -> Comparison:
    return compare(join_sides([read_process(baseline)], [read_process(candidate)]))


def test_another_board_of_the_same_gpu_is_incomparable_and_says_how_to_show_it(files: dict[str, Path]) -> None:
    comparison = compared(files["first"], files["second"])
    assert comparison.count() == {"incomparable": 1}
    assert comparison.benchmarks[0].time.reason == (
        f"another board of the same GPU: {FIRST}, {SECOND}; --across board shows boards side by side, without verdicts"
    )
    assert "incomparable" not in compared(files["first"], files["first again"]).count()


def test_another_gpu_is_named_before_its_board(files: dict[str, Path]) -> None:
    assert "another GPU: NVIDIA A10, Tesla T4" in compared(files["first"], files["other gpu"]).benchmarks[0].time.reason


@pytest.mark.parametrize(("baseline", "candidate"), [("old", "first"), ("first", "old"), ("old", "old")])
def test_a_file_of_before_boards_were_recorded_is_of_any_board(
    files: dict[str, Path], write_result: Callable[..., Path], baseline: str, candidate: str
) -> None:
    if baseline == candidate:
        files["old too"] = write_result(board_file("ggggggg"), "old too.json")
        candidate = "old too"
    assert "incomparable" not in compared(files[baseline], files[candidate]).count()
    assert read_result_file(files["old"]).environment.board is None  # type: ignore[union-attr]


def test_trainings_on_another_board_are_incomparable(write_result: Callable[..., Path]) -> None:
    paths = [
        write_result(training_file(name, board=board), f"{name}.json") for name, board in (("a", FIRST), ("b", SECOND))
    ]
    (verdict,) = compared(*paths).trainings.verdicts
    assert verdict.verdict == "incomparable"
    assert "--across board" in verdict.reason
    old = write_result(training_file("c"), "c.json")
    (verdict,) = compared(paths[0], old).trainings.verdicts
    assert verdict.verdict != "incomparable"


def test_boards_are_shown_side_by_side_where_that_is_asked_for(files: dict[str, Path]) -> None:
    found = across([files["first"], files["first again"]], [files["second"]], ["board"])
    assert found.environments == (f"board {FIRST}", f"board {SECOND}")
    assert found.changes[0]["ratio"] == pytest.approx(1.05, rel=0.01)
    text = "\n".join(render_terminal(table, width=None, color=False) for table in across_tables(found))
    assert SECOND in text  # a heading, folded
    with pytest.raises(InvalidChoiceError, match="--across board: all files are of board"):
        across([files["first"]], [files["first again"]], ["board"])


def test_a_board_that_differs_beside_the_version_asked_for_is_told(
    files: dict[str, Path], write_result: Callable[..., Path]
) -> None:
    newer = write_result(board_file("hhhhhhhh", torch="2.15.0", board=SECOND), "newer.json")
    assert f"board differs too: {FIRST}, {SECOND}" in across([files["first"]], [newer], ["torch"]).notes
    unknown = write_result(board_file("iiiiiiiii", torch="2.15.0"), "unknown.json")
    assert not [note for note in across([files["first"]], [unknown], ["torch"]).notes if note.startswith("board")]
    assert not [
        note for note in across([files["first"]], [files["other gpu"]], ["gpu"]).notes if note.startswith("board")
    ]


@pytest.mark.parametrize(
    ("other", "columns"),
    [("second", ["board"]), ("first again", []), ("old", []), ("other gpu", ["device"]), ("other host", ["host"])],
)
def test_boards_are_two_places_unless_gpu_or_host_say_so_already(
    files: dict[str, Path], other: str, columns: list[str]
) -> None:
    frame = collect([files["first"], files[other]]).benchmarks
    assert [column for column in differing_columns(frame) if column != "file"] == columns
    assert [column for column in place_columns(frame) if column != "series"] == columns


def test_a_report_shows_two_boards_side_by_side_and_two_gpus_by_their_names(files: dict[str, Path]) -> None:
    boards = gather([files["first"], files["second"]]).across
    assert boards is not None
    assert boards.environments == (f"board {FIRST}", f"board {SECOND}")
    gpus = gather([files["second"]], [files["other gpu"]]).across
    assert gpus is not None
    assert gpus.environments == ("NVIDIA A10", "Tesla T4")


def test_the_command_ends_with_status_1_and_the_option_that_helps(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sides = ["--baseline", str(files["first"]), "--candidate", str(files["second"])]
    assert main(["compare", *sides]) == 1
    assert "--across board shows boards side by side" in capsys.readouterr().err
    assert main(["compare", *sides, "--across", "board"]) == 0
    assert SECOND in capsys.readouterr().out

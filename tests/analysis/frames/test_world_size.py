"""Trainings on one device and on several are never repetitions of one another."""

from __future__ import annotations

import csv
import dataclasses
import io
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content
from training_builders import make_training, make_training_entry

from perfsuite.analysis.frames.results import Results, collect
from perfsuite.analysis.frames.thesis_trainings import comparable_trainings, left_out_in_words
from perfsuite.analysis.frames.training_cells import join_trainings
from perfsuite.analysis.frames.training_groups import distinguishing_values, training_groups
from perfsuite.cli import main
from perfsuite.records.environment import Process
from perfsuite.records.reading import read_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def paths(write_result: Callable[..., Path]) -> list[Path]:
    """A file of two seeds on one device, and one of two seeds on two devices."""
    found = []
    for world_size in (1, 2):
        process = Process(run_id=f"run-{world_size}", pid=1, started="2026-01-05T10:00:00+00:00")
        changes: dict[str, Any] = {"world_size": world_size, "process": process}
        records = [make_training(seed=seed, weights_sha256=f"{world_size}-{seed}", **changes) for seed in (0, 1)]
        content: dict[str, Any] = make_content([make_training_entry(record) for record in records])
        found.append(write_result(content, f"world-{world_size}.json"))
    return found


@pytest.fixture
def results(paths: list[Path]) -> Results:
    return collect(paths)


def test_seeds_on_one_device_and_on_two_are_two_rows(results: Results) -> None:
    groups = training_groups(results)
    assert [(group.family.value("world_size"), len(group.members)) for group in groups] == [(1, 2), (2, 2)]
    assert "world_size" in distinguishing_values(groups)


def test_that_devices_share_a_training_is_shown_where_all_do_and_not_where_none_do(paths: list[Path]) -> None:
    one, two = (training_groups(collect([path])) for path in paths)
    assert "world_size" not in distinguishing_values(one)
    assert "world_size" in distinguishing_values(two)


def test_the_table_names_the_world_size(paths: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "--table", "accuracy", *map(str, paths), "--format", "csv"]) == 0
    rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert [row["world_size"] for row in rows] == ["1", "2"]
    assert main(["collect", "--table", "accuracy", str(paths[1])]) == 0
    assert any(line.startswith("world ") for line in capsys.readouterr().out.splitlines())  # the heading, in two lines


def test_they_are_two_cells_of_a_comparison(paths: list[Path]) -> None:
    old, new = (collect([path]).trainings for path in paths)
    cells = join_trainings(old, new)
    assert len(cells) == 2
    assert not any(cell.baseline and cell.candidate for cell in cells)
    assert len({cell.label for cell in cells}) == 2


def test_only_trainings_on_one_device_are_compared_with_the_thesis(results: Results) -> None:
    assert {training.record.world_size for training in comparable_trainings(results).trainings} <= {1}
    assert "trained on 2 devices, not on one" in " ".join(left_out_in_words(results))


def test_the_world_size_survives_writing_and_reading_and_is_1_in_older_records() -> None:
    record = dataclasses.replace(make_training(), world_size=4)
    again = read_record(record.to_json())
    assert again == record
    older = record.to_json()
    del older["world_size"]
    assert getattr(read_record(older), "world_size", None) == 1

"""A folder that is named for a run by mistake is left as it is, and what distinguishes two runs is named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from perfsuite.errors import CampaignError
from perfsuite.run_folder import check_folder, difference

if TYPE_CHECKING:
    from pathlib import Path


def check(folder: Path) -> None:
    check_folder(folder, "state.json", CampaignError)


def test_a_folder_that_is_new_empty_or_a_run_s_own_can_be_used(tmp_path: Path) -> None:
    check(tmp_path / "new")
    check(tmp_path)
    (tmp_path / "lock").write_text('{"pid": 1, "host": "x"}')
    (tmp_path / ".state.json.x1y2").write_text("half of a first state")
    check(tmp_path)
    (tmp_path / "state.json").write_text("{}")
    (tmp_path / "report.md").write_text("beside a run anything may be")
    check(tmp_path)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "weights").mkdir()
    message = r"contains files \(notes.txt\), but no state.json; name another folder with --run-dir$"
    with pytest.raises(CampaignError, match=message):
        check(tmp_path)


@pytest.mark.parametrize("has_state", [False, True])
def test_a_file_named_lock_of_somebody_else_is_not_emptied(has_state: bool, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("mine")
    if has_state:
        (tmp_path / "state.json").write_text("{}")
    with pytest.raises(CampaignError, match="contains a file lock that perfsuite did not write"):
        check(tmp_path)


def test_a_pipe_named_lock_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(CampaignError, match="contains a file lock that perfsuite did not write"):
        check(tmp_path)


@pytest.mark.parametrize("name", ["file", "x" * 5000, "a\0b"])
def test_a_path_that_is_no_folder_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CampaignError, match="cannot be used"):
        check(tmp_path / name)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": {"b": 1}, "c": [1]}, {"a": {"b": 1}, "c": [1]}, None),
        ({"a": 1, "b": 1}, {"b": 2, "a": 1}, "b was 1 and is 2"),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": "x"}}}, 'a.b.c was 1 and is "x"'),
        (
            {"baseline": {"versions": {"torch": "2.13"}}},
            {"baseline": {"versions": {"torch": "2.15"}}},
            'baseline.versions.torch was "2.13" and is "2.15"',
        ),
        ({"a": {}}, {"a": {"b": 1}}, "a.b was not given and is 1"),
        ({"a": {"b": 1}}, {}, 'a was {"b": 1} and is not given'),
        ({"a": {"b": None}, "c": 1}, {"a": {}, "c": 2}, "c was 1 and is 2"),
    ],
)
def test_the_first_value_that_distinguishes_two_runs_is_named(
    before: dict[str, object], now: dict[str, object], expected: str | None
) -> None:
    assert difference(before, now) == expected

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfsuite.measure.time_stamps import NAME, Interruptions, TimeStamps, count_interruptions

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    time = 1000.0

    def __call__(self) -> float:
        return self.time


def train_until(folder: Path, clock: Clock, *, first: int, last: int, seconds_in_last: int) -> TimeStamps:
    """One process: whole epochs of 100 s, and a part of the last one, in steps of a second."""
    stamps = TimeStamps(folder, now=clock)
    stamps.begin_process()
    for epoch in range(first, last + 1):
        stamps.begin_epoch(epoch)
        for _ in range(100 if epoch < last else seconds_in_last):
            clock.time += 1.0
            stamps.stamp_now_and_then()
    return stamps


def test_lost_time_is_what_epochs_took_that_were_begun_again(tmp_path: Path) -> None:
    clock = Clock()
    train_until(tmp_path, clock, first=1, last=2, seconds_in_last=42)
    clock.time += 5000  # nobody trains
    train_until(tmp_path, clock, first=2, last=2, seconds_in_last=13)
    clock.time = 7.0  # the machine was started again, and its clock with it
    last = train_until(tmp_path, clock, first=2, last=3, seconds_in_last=100)
    # A time stamp every five seconds: 40 of 42 and 10 of 13 were seen.
    assert last.interruptions(3) == Interruptions(num_interruptions=2, lost_time_s=50.0)


def test_a_kill_between_two_epochs_loses_no_time(tmp_path: Path) -> None:
    clock = Clock()
    train_until(tmp_path, clock, first=1, last=1, seconds_in_last=100)
    last = train_until(tmp_path, clock, first=2, last=2, seconds_in_last=100)
    assert last.interruptions(2) == Interruptions(num_interruptions=1, lost_time_s=0.0)


def test_what_a_checkpoint_within_an_epoch_saved_is_not_lost(tmp_path: Path) -> None:
    clock = Clock()
    first = train_until(tmp_path, clock, first=1, last=1, seconds_in_last=60)
    first.saved()
    for _ in range(15):
        clock.time += 1.0
        first.stamp_now_and_then()
    second = train_until(tmp_path, clock, first=1, last=1, seconds_in_last=40)
    assert second.interruptions(1) == Interruptions(num_interruptions=1, lost_time_s=15.0)


def test_half_a_line_at_the_end_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"process\n1 0.000\n1 5.000\n1 10.0")
    last = train_until(tmp_path, Clock(), first=1, last=1, seconds_in_last=5)
    assert last.interruptions(1) == Interruptions(num_interruptions=1, lost_time_s=5.0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "time-stamps.txt has no time stamp of epoch 1"),
        (b"process\n1 5\n", "time-stamps.txt has no time stamp of epoch 2"),
        (b"process\n1 5\nnonsense\n2 5\n", "time-stamps.txt is damaged in line 3"),
        (b"process\n1 nan\n2 5\n", "time-stamps.txt is damaged in line 2"),
        (b"process\n1 1e99\n2 5\n", "time-stamps.txt is damaged in line 2"),
        (b"process\n1 -1\n2 5\n", "time-stamps.txt is damaged in line 2"),
        (b"process\n3 1\n2 5\n", "time-stamps.txt is damaged in line 2"),
        (b"\xff\xfe\n", "time-stamps.txt is damaged in line 1"),
        (b"1 5\n2 5\n", "time-stamps.txt is damaged in line 1"),
    ],
)
def test_a_file_that_is_damaged_makes_the_lost_time_unknown_with_its_reason(content: bytes, reason: str) -> None:
    assert count_interruptions(content, 2) == Interruptions(num_interruptions=None, lost_time_s=None, absent=reason)


def test_a_folder_that_cannot_be_written_makes_the_lost_time_unknown(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stamps = TimeStamps(tmp_path / "file" / "folder")
    stamps.begin_process()
    stamps.begin_epoch(1)
    assert (stamps.interruptions(1).absent or "").startswith("time-stamps.txt could not be written: ")

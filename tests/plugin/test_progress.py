from __future__ import annotations

import pytest

from perfsuite.formatting import duration_in_words
from perfsuite.plugin.time_left import TimeLeft


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (75, "1 min 10 s"), (3599, "59 min 50 s"), (12_000, "3 h 20 min")],
)
def test_durations_are_put_as_people_say_them(seconds: float, words: str) -> None:
    assert duration_in_words(seconds) == words


def test_before_anything_is_done_the_budget_tells_the_time_left() -> None:
    left = TimeLeft(weights={"a": 1.0, "b": 1.0}, prior_s=10.0, now=Time())
    assert left.seconds() == 20.0


def test_finished_cells_correct_the_estimate_in_proportion_to_their_weight() -> None:
    now = Time()
    left = TimeLeft(weights={"light": 1.0, "heavy": 3.0, "last": 2.0}, prior_s=4.0, now=now)
    for name, taken in (("light", 2.0), ("heavy", 6.0)):
        left.begin(name)
        now.seconds += taken
        left.end(name)
    assert left.seconds() == pytest.approx(4.0)  # two seconds per unit of weight, as the prior has it too


def test_time_spent_in_the_running_cell_is_taken_off_and_never_below_zero() -> None:
    now = Time()
    left = TimeLeft(weights={"a": 1.0}, prior_s=10.0, now=now)
    left.begin("a")
    now.seconds += 4
    assert left.seconds() == 6.0
    now.seconds += 40
    assert left.seconds() == 0.0


def test_profiles_are_part_of_the_time_left_and_those_that_will_not_be_taken_are_not() -> None:
    now = Time()
    left = TimeLeft(weights={"a": 1.0, "b": 1.0, "profile of a": 0.5, "profile of b": 0.5}, prior_s=10.0, now=now)
    before = left.seconds()
    left.drop(["profile of b", "no such profile"])
    assert left.seconds() < before
    for name in ("a", "b", "profile of a"):
        left.begin(name)
        now.seconds += 4.0
        left.end(name)
    assert left.seconds() == 0.0


def test_a_cell_that_is_skipped_at_once_does_not_make_the_others_look_short() -> None:
    left = TimeLeft(weights={"skipped": 1.0, "a": 1.0}, prior_s=10.0, now=Time())
    left.begin("skipped")
    left.end("skipped")
    assert left.seconds() == 10.0


def test_a_short_cell_among_long_ones_teaches_and_a_long_one_that_is_skipped_does_not() -> None:
    now = Time()
    left = TimeLeft(weights={"short": 10.0, "skipped": 1000.0, "long": 1000.0}, prior_s=670.0, now=now)
    for name, taken in (("short", 20.0), ("skipped", 20.0)):
        left.begin(name)
        now.seconds += taken
        left.end(name)
    # The prior as one cell of average weight and one short cell that took twice as long.
    assert left.seconds() == pytest.approx(1000.0 * (670.0 + 20.0) / (670.0 + 10.0))


def test_a_cell_that_told_its_time_and_ended_sooner_than_expected_still_gives_an_estimate() -> None:
    now = Time()
    left = TimeLeft(weights={"a": 1.0, "b": 1.0}, prior_s=10.0, now=now)
    left.begin("a")
    left.tell("a", 0.2)
    now.seconds += 0.1
    left.end("a")
    assert left.seconds() == pytest.approx(0.1)


def test_nothing_is_left_where_everything_was_dropped() -> None:
    left = TimeLeft(weights={"a": 1.0}, prior_s=10.0, now=Time())
    left.drop(["a"])
    assert left.seconds() == 0.0

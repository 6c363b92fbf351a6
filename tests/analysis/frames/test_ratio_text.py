"""One place prints a ratio, and what its brackets mean can be seen from it."""

from __future__ import annotations

import pytest

from perfsuite.analysis.frames.ratio_text import bracket_notes, ratio_columns, ratio_of_row, ratio_text
from perfsuite.analysis.statistics.intervals import Ratio, bare_ratio

ONE_RUN = Ratio(ratio=1.671, low=1.66, high=1.70, level=None, num_processes=1, basis="one run")
PROCESSES = Ratio(ratio=1.671, low=1.66, high=1.70, level=0.95, num_processes=5, basis="processes")
NOISE_FLOOR = Ratio(ratio=1.671, low=1.61, high=1.74, level=0.95, num_processes=1, basis="noise floor")


@pytest.mark.parametrize(
    ("ratio", "text", "brief"),
    [
        (ONE_RUN, "1.67x (1.66 to 1.70 in this run)", "1.67x (1.66 to 1.70)"),
        (PROCESSES, "1.67x [1.66, 1.70]", "1.67x [1.66, 1.70]"),
        (NOISE_FLOOR, "1.67x [1.61, 1.74] A/A", "1.67x [1.61, 1.74] A/A"),
        (bare_ratio(1.671), "1.67x [no interval]", "1.67x [no interval]"),
    ],
)
def test_the_brackets_of_a_ratio_show_what_they_are(ratio: Ratio, text: str, brief: str) -> None:
    assert ratio_text(ratio) == text
    assert ratio_text(ratio, brief=True) == brief


def test_the_notes_explain_every_kind_of_bracket_and_how_to_get_an_interval() -> None:
    notes = bracket_notes([ONE_RUN, PROCESSES, NOISE_FLOOR, None])
    assert [note.partition(":")[0] for note in notes] == [
        "[low, high]",
        "[low, high] A/A",
        "(low to high)",
        "for a 95% interval",
    ]
    assert "perfsuite noise" in notes[3]
    assert "--benchmark-json" in notes[3]
    assert bracket_notes([bare_ratio(2.0)]) == []


def test_a_spread_is_never_called_an_interval() -> None:
    (spread, how) = bracket_notes([ONE_RUN])
    assert "interval" not in spread
    assert how.startswith("for a 95% interval")


@pytest.mark.parametrize("ratio", [ONE_RUN, PROCESSES, NOISE_FLOOR, bare_ratio(2.0), None])
def test_a_ratio_is_read_from_a_row_as_it_was_written(ratio: Ratio | None) -> None:
    row = ratio_columns("speedup_ratio", ratio)
    assert ratio_of_row(row, "speedup_ratio") == ratio
    with_nan = {key: float("nan") if value is None else value for key, value in row.items()}
    assert ratio_of_row(with_nan, "speedup_ratio") == ratio

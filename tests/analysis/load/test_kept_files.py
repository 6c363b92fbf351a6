"""Of the copies of a run the fullest counts, whatever the order of the files."""

from __future__ import annotations

import pytest

from perfsuite.analysis.load.kept_files import copied_from


@pytest.mark.parametrize(
    ("run_ids", "sizes", "expected"),
    [
        ([["a"], ["b"]], [3, 3], [None, None]),
        ([["a"], ["a"]], [3, 3], [None, 0]),
        ([["a"], ["a"]], [2, 3], [1, None]),
        ([["a"], ["a", "b"], ["b"]], [1, 4, 2], [1, None, 1]),
        ([[], []], [0, 0], [None, None]),
    ],
)
def test_a_file_is_a_copy_of_the_fullest_one_with_a_run_of_it(
    run_ids: list[list[str]], sizes: list[int], expected: list[int | None]
) -> None:
    assert copied_from(run_ids, sizes) == expected

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import make_content, make_entry, make_record, make_workload

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def file_of(write: Callable[..., Path], name: str, digests: list[str]) -> Path:
    entries = []
    for digest in digests:
        workload = make_workload(model="mine.py:net", model_digest=digest, phase="train_step")
        entries.append(make_entry(make_record(workload, run_id=name), [0.1, 0.101, 0.099] * 10))
    return write(make_content(entries), f"{name}.json")


@pytest.mark.parametrize(("other", "verdicts"), [("b" * 16, {"incomparable"}), ("a" * 16, {"inconclusive"})])
def test_two_networks_of_one_name_are_never_compared(
    write_result: Callable[..., Path], other: str, verdicts: set[str]
) -> None:
    sides = [[read_process(file_of(write_result, name, [digest]))] for name, digest in (("x", "a" * 16), ("y", other))]
    comparison = compare(join_sides(*sides))
    assert {benchmark.time.verdict for benchmark in comparison.benchmarks} == verdicts
    if "incomparable" in verdicts:
        assert all("another network has this name" in benchmark.time.reason for benchmark in comparison.benchmarks)


def test_two_networks_of_one_name_are_two_rows_that_say_which(write_result: Callable[..., Path]) -> None:
    paths = [file_of(write_result, name, [digest]) for name, digest in (("x", "a" * 16), ("y", "b" * 16))]
    table = build_table("steps", collect(paths))
    assert "digest" in [column.heading for column in table.columns]
    assert len(table.frame) == 2


def test_a_digest_is_not_shown_where_names_tell_networks_apart(write_result: Callable[..., Path]) -> None:
    own = make_entry(make_record(), [0.1] * 20)
    other = make_entry(make_record(make_workload(model="mine.py:net", model_digest="a" * 16)), [0.1] * 20)
    table = build_table("steps", collect([write_result(make_content([own, other]))]))
    assert "digest" not in [column.heading for column in table.columns]

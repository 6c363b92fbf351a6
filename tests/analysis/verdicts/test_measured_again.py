"""Which command measures the benchmarks of a file again: it is printed as what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import make_content, make_entry, make_pair, make_paired_entry, make_record, make_workload

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.verdicts.trust import _command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("phases", "comparisons", "command"),
    [
        (["train_step"], [], "pytest benchmarks -m step"),
        (["inference"], [], "pytest benchmarks -m inference"),
        (["train_step", "inference"], [], 'pytest benchmarks -m "step or inference"'),
        ([], ["switch"], "pytest benchmarks -m switches"),
        (["forward"], ["speedup"], 'pytest benchmarks -m "step or interleaved"'),
        (["call"], [], "pytest benchmarks"),
        ([], [], "pytest benchmarks -m step"),
    ],
)
def test_the_command_selects_what_the_file_holds(
    phases: list[str], comparisons: list[str], command: str, write_result: Callable[..., Path]
) -> None:
    entries = [make_entry(make_record(make_workload(phase=phase)), [0.1] * 9) for phase in phases]
    entries += [make_paired_entry(make_pair(comparison=name)) for name in comparisons]  # type: ignore[arg-type]
    assert _command(collect([write_result(make_content(entries))])) == command

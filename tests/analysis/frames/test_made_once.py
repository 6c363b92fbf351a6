"""What several tables and figures are made of is computed once, and none of them changes it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pandas as pd
from builders import make_content, make_entry, make_record, make_workload

from perfsuite.analysis.figures.figure_data import FigureData
from perfsuite.analysis.frames.results import Results, collect
from perfsuite.analysis.frames.speedup import speedup_frame
from perfsuite.analysis.report.page import render_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def two_precisions(write_result: Callable[..., Path]) -> Results:
    entries = [
        make_entry(make_record(make_workload(precision=precision)), [time, time * 1.01] * 15)
        for precision, time in (("fp32", 0.1), ("amp-fp16", 0.06))
    ]
    return collect([write_result(make_content(entries))])


def test_results_have_one_frame_and_other_results_another(write_result: Callable[..., Path]) -> None:
    results = two_precisions(write_result)
    frame = speedup_frame(results)
    assert speedup_frame(results) is frame
    without_amp = results.benchmarks[results.benchmarks["precision"] == "fp32"]
    fewer = dataclasses.replace(results, benchmarks=without_amp, times_s=results.times_s[:1])
    assert len(frame) == 1
    assert speedup_frame(fewer).empty


def test_a_page_leaves_what_it_shares_as_it_is(write_result: Callable[..., Path]) -> None:
    results = two_precisions(write_result)
    frame = speedup_frame(results)
    before = frame.copy(deep=True)
    render_page(FigureData(results=results), version="1")
    pd.testing.assert_frame_equal(frame, before)

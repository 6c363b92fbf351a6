"""Machines of a fleet as a figure, of any number."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from perfsuite.analysis.figures.figure_data import FigureData
from perfsuite.analysis.figures.panels import whole_figure
from perfsuite.analysis.figures.registry import build_chart
from perfsuite.analysis.figures.row_panel import MAX_PANELS, MAX_ROWS
from perfsuite.analysis.frames.fleet_runs import NodeRun
from perfsuite.analysis.frames.results import results_of
from perfsuite.analysis.frames.source_words import source_words


def _fleet(num_nodes: int, num_slow: int) -> FigureData:
    generator = np.random.default_rng(num_nodes)
    runs = []
    for node in range(num_nodes):
        shift = generator.normal(0, 0.002) + (0.05 if node < num_slow else 0.0)
        for repetition in range(3):
            logs = shift + generator.normal(0, 0.003) + generator.normal(0, 0.003, 6)
            runs.append(
                NodeRun(
                    file=f"{node}-{repetition}.json",
                    fleet_node=f"gpu-{node:04d}",
                    host=None,
                    board=None,
                    kind="Tesla T4",
                    environment="torch213",
                    run_ids=frozenset({f"{node}-{repetition}"}),
                    is_quick=False,
                    cells=tuple(f"cell {number}" for number in range(6)),
                    logs=tuple(map(float, logs)),
                )
            )
    return FigureData(results=dataclasses.replace(results_of([]), node_runs=tuple(runs)))


@pytest.mark.parametrize(("num_nodes", "num_slow"), [(4, 0), (8, 1), (24, 2), (25, 0), (40, 5), (300, 40)])
def test_every_odd_node_is_named_and_every_other_one_is_drawn_or_counted(num_nodes: int, num_slow: int) -> None:
    drawing = build_chart("nodes", _fleet(num_nodes, num_slow))
    words = " ".join(panel.finding for panel in drawing.panels)
    num_rows = sum(panel.num_rows for panel in drawing.panels)
    assert len(drawing.panels) <= MAX_PANELS
    assert all(panel.num_rows <= MAX_ROWS for panel in drawing.panels)
    if num_nodes <= MAX_ROWS:
        assert num_rows == num_nodes
    else:
        assert num_rows <= max(num_slow, MAX_ROWS // 2) + 1
        assert num_rows - 1 >= num_slow
    if num_slow:
        assert "▲ gpu-0000" in words or num_slow > 6
    assert whole_figure(drawing).axes


def test_a_figure_of_thousands_of_files_counts_those_that_it_was_made_of() -> None:
    assert source_words(_fleet(8, 1).results) == "24 files."


def test_nodes_that_are_set_together_are_counted_with_their_range() -> None:
    drawing = build_chart("nodes", _fleet(200, 1))
    (panel,) = drawing.panels
    assert panel.num_rows == 13
    assert "n = 200 nodes, 3 processes each" in whole_figure(drawing).axes[0].get_xlabel().replace("\n", " ")


def test_three_nodes_are_not_drawn() -> None:
    with pytest.raises(Exception, match="nodes: nothing in these files to draw; it needs the same benchmarks on 4"):
        build_chart("nodes", _fleet(3, 0))

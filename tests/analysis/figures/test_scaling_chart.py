"""Efficiency against world size, and the parts of a step: what is drawn is what the table says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from report_builders import HOSTILE, h100
from scaling_builders import QUIET, Machine, make_fsdp2, make_scaling, scaling_file, scaling_matrix

from perfsuite.analysis.figures.panels import Marks, whole_figure
from perfsuite.analysis.figures.registry import build_chart, draw
from perfsuite.analysis.figures.style import INK
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.scaling import scaling_frame
from perfsuite.analysis.report.data import gather

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.panels import Panel


def drawn(panel: Panel) -> tuple[Axes, Marks]:
    axes, marks = Figure(figsize=(panel.width, panel.height)).add_subplot(), Marks()
    panel.draw(axes, marks)
    return axes, marks


def test_each_line_has_its_points_where_the_table_has_them_and_the_ideal_line_is_at_100(tmp_path: Path) -> None:
    data = gather([scaling_file(tmp_path / "run.json", world_sizes=(1, 2, 4))])
    efficiency, _ = build_chart("scaling", data).panels
    axes, marks = drawn(efficiency)
    whole = [line for line in axes.get_lines() if np.size(line.get_xdata()) > 1 and line.get_color() != INK]
    dashed, *lines = [np.asarray(line.get_ydata(), dtype=float).tolist() for line in whole]
    assert dashed == [100.0, 100.0]
    expected = scaling_frame(data.results)["efficiency_ratio"].to_numpy().reshape(2, 3)
    assert lines == [pytest.approx(list(100 * row)) for row in expected]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4"]
    low, high = axes.get_ylim()
    assert low < 100 * expected.min()
    assert high > 100
    assert len(marks.texts) == 6
    assert any("amp-fp16, 4 ranks: efficiency" in text for text in marks.texts.values())


def test_the_parts_of_a_step_add_up_to_it(tmp_path: Path) -> None:
    machine = QUIET
    data = gather([scaling_file(tmp_path / "run.json", machine=machine, world_sizes=(1, 2, 8))])
    _, parts = build_chart("scaling", data).panels
    assert parts.num_rows == 4  # one rank loses nothing to others
    axes, marks = drawn(parts)
    bars = [patch for patch in axes.get_children() if isinstance(patch, Rectangle) and patch.get_gid()]
    by_row: dict[float, float] = {}
    for bar in bars:
        by_row[bar.get_y()] = by_row.get(bar.get_y(), 0.0) + bar.get_width()
    assert list(by_row.values()) == [pytest.approx(100.0)] * 4
    assert len(marks.texts) == 12


def test_what_was_measured_below_0_is_in_words_and_has_no_bar(tmp_path: Path) -> None:
    """Sharing that speeds steps up, as it may seem to on a noisy machine, has no length."""
    machine = Machine(rank_sd=0.0, lost_by_sharing=-0.01)
    drawing = build_chart("scaling", gather([scaling_file(tmp_path / "run.json", machine=machine, world_sizes=(2,))]))
    assert "a part that was measured below 0 is not drawn; its number is in words" in drawing.notes
    assert "sharing -0.9%" in drawing.panels[1].finding
    _, marks = drawn(drawing.panels[1])
    assert not any("sharing" in text for text in marks.texts.values())


def test_a_strategy_without_steps_without_exchange_has_one_part_lost(tmp_path: Path) -> None:
    path = scaling_file(tmp_path / "run.json", [make_fsdp2(world_size=n, seed=n) for n in (2, 4)])
    drawing = build_chart("scaling", gather([path]))
    assert "communication" not in {swatch.label for swatch in drawing.legend}
    assert "lost in all" in {swatch.label for swatch in drawing.legend}
    assert "fp32 fsdp2" in drawing.finding


def test_networks_and_places_have_panels_of_their_own_and_many_lines_are_counted(tmp_path: Path) -> None:
    one = scaling_file(tmp_path / "t4.json", models=("resnet18", "resnet50"))
    other = scaling_file(tmp_path / "h100.json", environment=h100(), run_id="h", models=("resnet18", "resnet50"))
    drawing = build_chart("scaling", gather([one, other]))
    assert len(drawing.panels) == 8
    assert len({panel.title for panel in drawing.panels}) == 8
    records = [make_scaling(batch_size=8 * n, world_size=2, seed=n, num_blocks=6) for n in range(1, 13)]
    many = build_chart("scaling", gather([scaling_file(tmp_path / "many.json", records)]))
    axes, _ = drawn(many.panels[0])
    assert "9 of 12 lines" in axes.get_xlabel()
    assert many.panels[1].num_rows == 12


def test_an_interval_has_caps_and_a_spread_has_none(tmp_path: Path) -> None:
    paths = [scaling_file(tmp_path / f"run-{n}.json", run_id=f"r{n}", seed=n) for n in range(3)]
    for files, has_caps in ((paths[:1], False), (paths, True)):
        drawing = build_chart("scaling", gather(files))
        lines = [one for axes in whole_figure(drawing).axes for one in axes.get_lines()]
        assert any(line.get_marker() == "_" for line in lines) is has_caps
        assert ("95% intervals" in drawing.title) is has_caps


@pytest.mark.parametrize("name", HOSTILE[:4])
def test_hostile_names_are_drawn_as_text(name: str, tmp_path: Path) -> None:
    records = [make_scaling(model=name, backend=name, run_id="a"), make_scaling(model=name, run_id="b", seed=2)]
    drawing = build_chart("scaling", gather([scaling_file(tmp_path / "run.json", records)]))
    whole_figure(drawing)


def test_files_without_such_steps_have_no_figure(tmp_path: Path) -> None:
    assert draw("scaling", gather([scaling_file(tmp_path / "none.json", [])])) is None


def test_one_rank_alone_is_drawn_too(tmp_path: Path) -> None:
    data = gather([scaling_file(tmp_path / "one.json", scaling_matrix(world_sizes=(1,)))])
    assert len(rows_of(scaling_frame(data.results))) == 2
    whole_figure(build_chart("scaling", data))

"""The pictures of mixed precision: of each of the studies alone, of all, and of files that hold anything."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from numerics_studies import layer_names, studies_file, study
from report_builders import h100, step_file
from test_figure_properties import check_drawing

from perfsuite.analysis.figures.curves import LABEL_INCHES, spread_out, thinned
from perfsuite.analysis.figures.export import save_chart
from perfsuite.analysis.figures.numerics import MAX_PANELS
from perfsuite.analysis.figures.numerics_gradients import _spread
from perfsuite.analysis.figures.panels import panel_figure, whole_figure
from perfsuite.analysis.figures.registry import build_chart, draw
from perfsuite.analysis.figures.style import in_style
from perfsuite.analysis.report.data import gather
from perfsuite.records.numerics import STUDIES, Curve, ExponentHistogram
from perfsuite.records.operators import Operator

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.analysis.figures.panels import Drawing, Panel

NUM_PANELS = {
    "formats": 2,
    "updates": 2,
    "weights": 2,
    "gradients": 5,
    "scaling": 1,
    "scales": 2,
    "accumulation": 1,
    "types": 1,
}


def chart_of(path: Path, *kinds: str, **changes: Any) -> Drawing:
    return build_chart("numerics", gather([studies_file(path / "some.json", kinds or STUDIES, **changes)]))


def panel_of(drawing: Drawing, title: str) -> Panel:
    (panel,) = [panel for panel in drawing.panels if panel.title.partition("\n")[0] == title]
    return panel


def marks_of(panel: Panel) -> list[str]:
    with in_style():
        return list(panel_figure(panel)[1].texts.values())


@pytest.mark.parametrize("kind", STUDIES)
def test_each_of_the_studies_alone_is_drawn_and_told_in_words(kind: str, tmp_path: Path) -> None:
    drawing = chart_of(tmp_path, kind)
    assert len(drawing.panels) == NUM_PANELS[kind]
    assert all(panel.finding in drawing.finding for panel in drawing.panels)
    check_drawing(drawing)


@pytest.mark.parametrize(("settings", "label"), [({"baseline": "fp32"}, "loss above fp32"), ({}, "training loss")])
def test_losses_are_those_above_the_baseline_where_one_is_named(
    settings: dict[str, Any], label: str, tmp_path: Path
) -> None:
    panel = chart_of(tmp_path, "weights", settings=settings).panels[0]
    with in_style():
        figure, _ = panel_figure(panel)
    assert figure.axes[0].get_ylabel() == label


def test_all_of_them_are_one_figure_that_can_be_saved(tmp_path: Path) -> None:
    drawing = chart_of(tmp_path)
    assert len(drawing.panels) == sum(NUM_PANELS.values())
    assert drawing.finding.startswith("14 of 14 claims hold. Bits of the formats: fp32 32 bits")
    assert len(dict.fromkeys(panel.title for panel in drawing.panels)) == len(drawing.panels)
    save_chart(whole_figure(drawing), tmp_path / "all.svg")
    assert (tmp_path / "all.svg").stat().st_size > 100_000


def test_files_without_studies_have_no_such_figure(tmp_path: Path) -> None:
    assert draw("numerics", gather([step_file(tmp_path / "steps.json")])) is None


def test_several_networks_and_places_are_told_by_the_second_line_and_what_is_not_drawn_is_counted(
    tmp_path: Path,
) -> None:
    paths = [studies_file(tmp_path / "t4.json", models=("resnet18", "resnet50"))]
    paths += [studies_file(tmp_path / "h100.json", environment=h100(), run_id="b")]
    drawing = build_chart("numerics", gather(paths))
    assert len(drawing.panels) == MAX_PANELS
    total = 2 * sum(NUM_PANELS.values()) + sum(NUM_PANELS.values()) - 3
    assert f"{total - MAX_PANELS} of {total} panels are not drawn: draw fewer files at once" in drawing.notes
    first = {panel.title.partition("\n")[0] for panel in drawing.panels[: sum(NUM_PANELS.values())]}
    assert len(first) == sum(NUM_PANELS.values())  # of each the first, before any second one
    assert "\nresnet18 b128 amp-fp16, T4" in panel_title(drawing, "Swallowed updates by layer")


def panel_title(drawing: Drawing, beginning: str) -> str:
    return next(panel.title for panel in drawing.panels if panel.title.startswith(beginning))


def test_of_several_runs_the_first_is_drawn_and_that_is_said(tmp_path: Path) -> None:
    paths = [studies_file(tmp_path / f"run-{number}.json", ["updates"], run_id=f"r{number}") for number in (1, 2)]
    drawing = build_chart("numerics", gather(paths))
    assert len(drawing.panels) == 2
    assert "of several runs the first is drawn" in drawing.notes


def test_marks_say_every_layer_where_only_some_have_their_name(tmp_path: Path) -> None:
    layers = layer_names(60)
    curves = tuple(Curve(name=name, labels=layers, y=tuple(np.linspace(0, 1, 60))) for name in ("fp16", "bf16"))
    drawing = chart_of(tmp_path, "updates", curves=curves)
    check_drawing(drawing)
    (panel,) = drawing.panels
    assert len(marks_of(panel)) == 120
    with in_style():
        figure, _ = panel_figure(panel)
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == list(layers[::3])
    assert panel.height < 4.5


def test_the_windows_of_fp16_move_down_with_the_loss_scale(tmp_path: Path) -> None:
    panel = panel_of(chart_of(tmp_path, "gradients"), "Activation gradients")
    texts = marks_of(panel)
    assert "loss scale 2⁰: FP16 holds gradients of 2⁻²⁴ to 2⁻¹⁴ with fewer digits (subnormal)" in texts
    assert "loss scale 2⁸: FP16 holds gradients of 2⁻³² to 2⁻²² with fewer digits (subnormal)" in texts
    assert "loss scale 2⁸: FP16 holds gradients of 2⁻²² to 2⁸ with all digits" in texts
    with in_style():
        figure, _ = panel_figure(panel)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert [(box.get_x(), box.get_x() + box.get_width()) for box in boxes if box.get_hatch()] == [
        (-24, -14),
        (-32, -22),
        (-40, -30),
    ]


def test_a_name_stands_where_its_line_ends(tmp_path: Path) -> None:
    for panel in chart_of(tmp_path, "formats", "accumulation").panels[1:]:
        with in_style():
            figure, _ = panel_figure(panel)
            figure.draw_without_rendering()
        (axes,) = figure.axes
        drawn: list[Any] = list(axes.get_lines())
        lines = [line for line in drawn if len(line.get_xdata()) > 1]
        places = [
            axes.transAxes.inverted().transform(axes.transData.transform(line.get_xydata()[-1])) for line in lines
        ]
        names = [text.get_position()[1] for text in axes.texts]
        assert len(names) == len(places) > 1
        assert np.abs(np.array(names) - [place[1] for place in places]).max() < 0.06


def test_a_histogram_adds_up_the_values_of_all_layers() -> None:
    both = [
        ExponentHistogram(
            layer=name, tensors="weight gradients", stage="late", num_zeros=10, min_exponent=first, counts=counts
        )
        for name, first, counts in (("a", -3, (10, 20)), ("b", -2, (30, 20)))
    ]
    spread = _spread(both)
    assert spread is not None
    assert (spread.first, spread.shares) == (-3, (10 / 80, 50 / 80, 20 / 80))
    assert spread.zero_ratio == 20 / 100
    assert _spread([]) is None


def test_skipped_steps_are_marked(tmp_path: Path) -> None:
    panel = panel_of(chart_of(tmp_path, "scaling"), "Dynamic loss scaling")
    record = study("scaling")
    skipped = next(curve for curve in record.curves if curve.name == "skipped")
    assert len(marks_of(panel)) == sum(skipped.y)
    assert f"{sum(skipped.y):.0f} of 200 steps skipped" in panel.finding


def test_names_at_the_ends_of_lines_are_never_closer_than_a_line_of_text() -> None:
    found = spread_out([0.5, 0.5, 0.49, 1.4, -3.0], LABEL_INCHES / 1.7)
    assert sorted(range(5), key=found.__getitem__) == [4, 2, 0, 1, 3]
    assert min(np.diff(sorted(found))) >= LABEL_INCHES / 1.7 - 1e-9
    assert min(found) >= 0
    assert max(found) <= 1
    assert len(set(spread_out([0.0] * 40, 0.1))) == 40
    assert thinned(3, 10).tolist() == [0, 1, 2]
    assert thinned(1000, 3)[[0, -1]].tolist() == [0, 999]


def _curve(name: str, num: int, value: float) -> Curve:
    places = tuple(float(number) for number in range(num))
    return Curve(name=name, x=places, y=(value,) * num, low=(-(2.0**62),) * num, high=(2.0**62,) * num)


def _labelled(name: str, num: int, value: float) -> Curve:
    return Curve(name=name, labels=tuple(f"<b>{number}</b>" * 40 for number in range(num)), y=(value,) * num)


EXTREME = (2.0**62, -(2.0**62), 0.0, 1e-300)


@pytest.mark.parametrize("value", EXTREME)
@pytest.mark.parametrize("kind", STUDIES)
def test_whatever_numbers_a_file_holds_it_is_drawn(kind: str, value: float, tmp_path: Path) -> None:
    names = ["fp16", "bf16 matrix product", "fp16 by learning rate", "loss scale", "skipped", "2^3"]
    names += ["weight gradients, late, zero"]
    curves = [_curve(name, num, value) for name in names for num in (1, 30)]
    curves += [_labelled(name, 3, value) for name in ("fp16", "bf16", "accuracy", "final loss")]
    histogram = ExponentHistogram(
        layer="x" * 300,
        tensors="activation gradients",
        stage="early",
        num_zeros=2**62,
        min_exponent=-1100,
        counts=(2**62,) * 2200,
    )
    operator = Operator(name="o" * 300, kind="<i>" * 90, dtype="&" * 90, num_calls=2**62, flops=2**62, num_bytes=2**62)
    changes = {"curves": tuple(curves), "histograms": (histogram,) * 2, "operators": (operator,) * 2}
    drawing = chart_of(tmp_path, kind, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_drawing(drawing)


def test_ten_thousand_layers_and_arms_do_not_take_long_or_grow_the_panel(tmp_path: Path) -> None:
    arms = [Curve(name=f"arm {number}", x=(1.0, 2.0), y=(1.0, 2.0)) for number in range(100)]
    layers = tuple(f"layer {number}" for number in range(10_000))
    many = Curve(name="fp16", labels=layers, y=(0.5,) * 10_000)
    long = Curve(name="fp16", x=tuple(map(float, range(9_000))), y=(1.0,) * 9_000)
    drawing = chart_of(tmp_path, "updates", "weights", "formats", curves=(many, long, *arms))
    check_drawing(drawing)
    assert all(panel.height < 5 for panel in drawing.panels)
    assert all(len(marks_of(panel)) <= 250 for panel in drawing.panels)
    with in_style():
        labels = [panel_figure(panel)[0].axes[0].get_xlabel() for panel in drawing.panels[2:]]
    assert labels == ["weight updates that change nothing, %; 200 of 10,000 layers", "step; 9 of 101 lines"]


def test_studies_without_curves_have_no_empty_panels(tmp_path: Path) -> None:
    kinds = [kind for kind in STUDIES if kind != "formats"]
    path = studies_file(tmp_path / "none.json", kinds, curves=(), histograms=(), operators=())
    assert draw("numerics", gather([path])) is None
    assert len(chart_of(tmp_path, "formats", curves=()).panels) == 1

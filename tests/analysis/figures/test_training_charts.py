from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import make_content, make_workload
from report_builders import training_epochs
from training_builders import make_predicted_training, make_training, make_training_entry

from perfsuite.analysis.figures import panels as figures
from perfsuite.analysis.figures.registry import build_chart
from perfsuite.analysis.figures.style import AMP_FP16, FP32, INK, PAPER
from perfsuite.analysis.frames.confusion import within_noise
from perfsuite.analysis.report.data import gather
from perfsuite.recipes import SMOKE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.records.training import TrainingRecord


@pytest.fixture
def draw(write_result: Callable[..., Path]) -> Callable[..., Any]:
    def drawn(kind: str, *records: TrainingRecord, baseline: tuple[TrainingRecord, ...] = ()) -> Any:
        paths = [
            [write_result(make_content([make_training_entry(record) for record in side]), name)] if side else []
            for side, name in ((records, "new.json"), (baseline, "old.json"))
        ]
        return build_chart(kind, gather(*paths))

    return drawn


def axes_of(drawing: Any) -> list[Any]:
    return list(figures.whole_figure(drawing).axes)


def cells(num_seeds: int = 1) -> list[TrainingRecord]:
    return [
        make_predicted_training(
            precision,
            seed=seed,
            workload=make_workload(model=model, precision=precision, phase="full_training"),
            history=tuple(
                dataclasses.replace(epoch, train_loss=epoch.train_loss + 0.1 * seed)
                for epoch in training_epochs(3, precision)
            ),
        )
        for model in ("resnet18", "resnet34", "resnet50")
        for precision in ("amp-fp16", "fp32")
        for seed in range(num_seeds)
    ]


def hollow_dots(axes: Any) -> list[float]:
    return [
        float(line.get_xdata()[0])
        for line in axes.get_lines()
        if line.get_marker() == "o" and line.get_markerfacecolor() == PAPER
    ]


def lines_of(axes: Any, color: str, marker: str) -> list[Any]:
    return [
        np.asarray(line.get_xdata(), dtype=float)
        for line in axes.get_lines()
        if line.get_color() == color and line.get_marker() == marker
    ]


def test_six_cells_are_one_panel_with_a_dot_an_interval_and_a_target_each(draw: Callable[..., Any]) -> None:
    records = cells()
    drawing = draw("accuracy", *records)
    (axes,) = axes_of(drawing)
    assert [text.get_text() for text in axes.texts][::2] == [
        f"{model} {name}" for model in ("resnet18", "resnet34", "resnet50") for name in ("fp32", "amp-fp16")
    ]
    dots = {line.get_markerfacecolor(): line for line in axes.get_lines() if line.get_marker() == "o"}
    assert set(dots) == {FP32, AMP_FP16}
    drawn = sorted(float(x) for line in axes.get_lines() if line.get_marker() == "o" for x in line.get_xdata())
    assert drawn == pytest.approx(sorted(100 * record.test_accuracy for record in records))
    assert len(lines_of(axes, FP32, "|")) == len(lines_of(axes, AMP_FP16, "|")) == 2 * 3  # both ends of an interval
    targets = sorted(float(xs[0]) for xs in lines_of(axes, INK, "|"))
    assert targets == pytest.approx(sorted(100 * float(one.recipe.target_accuracy or 0) for one in records))
    low, high = axes.get_xlim()
    assert all(low < x < high for xs in (*lines_of(axes, FP32, "|"), *lines_of(axes, INK, "|")) for x in xs)
    assert re.fullmatch(
        r"8\d\.\d to 8\d\.\d%, 95% intervals within ±1\.\d points; targets: .*5 reached\.", drawing.finding
    )


def test_another_recipe_has_a_panel_of_its_own_and_an_unchecked_target_says_so(draw: Callable[..., Any]) -> None:
    smoke = make_training(recipe=SMOKE, accuracy=0.3, weights_sha256="smoke")
    drawing = draw("accuracy", make_training(), smoke)
    assert [panel.title for panel in drawing.panels] == ["test accuracy, thesis", "test accuracy, smoke"]
    other = make_training()
    other = dataclasses.replace(other, data=dataclasses.replace(other.data, is_canonical=False))
    assert any("not checked" in swatch.label for swatch in draw("accuracy", other).legend)


def test_several_seeds_are_one_line_their_mean_and_a_band_from_the_lowest_to_the_highest(
    draw: Callable[..., Any],
) -> None:
    drawing = draw("epochs", *cells(num_seeds=3))
    assert any("band: lowest to highest seed" in swatch.label for swatch in drawing.legend)
    panel = axes_of(drawing)[0]
    assert panel.get_xlabel() == "epoch; n = 3 seeds"
    (line,) = (one for one in panel.get_lines() if len(one.get_xdata()) == 3 and one.get_color() == FP32)
    losses = np.array([epoch.train_loss for epoch in training_epochs(3, "fp32")])
    assert np.asarray(line.get_ydata(), dtype=float) == pytest.approx(losses + 0.1)
    corners = panel.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == pytest.approx((losses[-1], losses[0] + 0.2))


def test_one_seed_is_a_line_without_a_band(draw: Callable[..., Any]) -> None:
    drawing = draw("epochs", *cells())
    assert not any("band" in swatch.label for swatch in drawing.legend)
    assert not any(axes.collections for axes in axes_of(drawing))


def test_networks_of_another_schedule_name_their_learning_rate(draw: Callable[..., Any]) -> None:
    longer = make_training(
        workload=make_workload(model="resnet50", phase="full_training"),
        history=training_epochs(25, "fp32"),
        weights_sha256="longer",
    )
    titles = [panel.title for panel in draw("epochs", *cells(), longer).panels if "learning rate" in panel.title]
    assert len(titles) > 1
    assert all("resnet" in title for title in titles)


def test_changes_of_accuracy_are_drawn_in_points_with_the_margin_dashed(draw: Callable[..., Any]) -> None:
    old, new = (
        tuple(make_predicted_training(seed=seed, run_id=run_id, loss=loss) for seed in range(3))
        for run_id, loss in (("old", 0.0), ("new", 0.03))
    )
    drawing = draw("accuracy-changes", *new, baseline=old)
    (axes,) = axes_of(drawing)
    change = 100 * np.mean([b.test_accuracy - a.test_accuracy for a, b in zip(old, new, strict=True)])
    (dot,) = (line for line in axes.get_lines() if line.get_marker() == "o" and line.get_markerfacecolor() != PAPER)
    assert float(dot.get_xdata()[0]) == pytest.approx(change)
    (margin,) = (line for line in axes.get_lines() if line.get_linestyle() == "--")
    assert {x for x in margin.get_xdata() if np.isfinite(x)} == {-1.0}
    assert drawing.finding == "1 regressed."
    assert "n = 3 seeds a side" in axes.get_xlabel()
    pairs = [100 * (b.test_accuracy - a.test_accuracy) for a, b in zip(old, new, strict=True)]
    assert sorted(hollow_dots(axes)) == pytest.approx(sorted(pairs))
    assert "a pair of one seed" in {swatch.label for swatch in drawing.legend}


def test_seeds_that_are_not_paired_are_drawn_against_the_baseline_s_mean(draw: Callable[..., Any]) -> None:
    old = [make_predicted_training(seed=seed, run_id="old") for seed in (0, 1)]
    new = [make_predicted_training(seed=seed, run_id="new", loss=0.03) for seed in (2, 3)]
    drawing = draw("accuracy-changes", *new, baseline=old)
    (axes,) = axes_of(drawing)
    mean = np.mean([one.test_accuracy for one in old])
    expected = [100 * (one.test_accuracy - mean) for one in (*old, *new)]
    assert sorted(hollow_dots(axes)) == pytest.approx(sorted(expected))
    assert {"a seed of the candidate", "of the baseline"} <= {swatch.label for swatch in drawing.legend}


def test_a_difference_is_noise_as_often_as_chance_says(draw: Callable[..., Any]) -> None:
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.ones(10) * 3, size=10)
    beyond = []
    for _ in range(60):
        one, other = (np.stack([generator.multinomial(1000, row) for row in shares]) for _ in range(2))
        beyond.append(1 - within_noise(one, other).mean())
    assert 0.03 < np.mean(beyond) < 0.07
    changed = one.copy()
    changed[3, 5] += 150
    changed[3, 3] -= 150
    assert not within_noise(one, changed)[3, 5]
    drawing = draw("differences", *cells())
    assert any("of 300 cells; about 15 would be by chance alone" in note for note in drawing.notes)


@pytest.mark.parametrize("kind", ["confusion", "differences"])
def test_a_matrix_names_its_axes(kind: str, draw: Callable[..., Any]) -> None:
    for axes in axes_of(draw(kind, *cells())):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


def test_learning_rate_and_loss_scale_are_steps_in_smaller_panels(draw: Callable[..., Any]) -> None:
    panels = {panel.title: panel for panel in draw("epochs", *cells()).panels}
    small = [panel for title, panel in panels.items() if "learning rate" in title or "loss scale" in title]
    assert len(small) == 4
    assert max(panel.height for panel in small) < min(p.height for p in panels.values() if p not in small)
    figure, _ = figures.panel_figure(small[0])
    assert any(line.get_drawstyle() == "steps-mid" for line in figure.axes[0].get_lines())

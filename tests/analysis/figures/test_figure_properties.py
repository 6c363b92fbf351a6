"""What holds of every figure, whatever the files are: nothing dropped, nothing outside, nothing on top of another."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_content, make_pair, make_paired_entry
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle
from report_builders import MODELS, PHASES, plain_file, step_file
from simulated import write_sides

from perfsuite.analysis.figures.panels import panel_figure, whole_figure
from perfsuite.analysis.figures.registry import FIGURES, build_chart, draw
from perfsuite.analysis.figures.row_labels import MAX_LINES, distinct_labels, label_lines, without_common_beginning
from perfsuite.analysis.figures.row_panel import MAX_PANELS, MAX_ROWS
from perfsuite.analysis.figures.style import WORSE, in_style
from perfsuite.analysis.report.data import gather

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Drawing

GPUS = {
    "Tesla T4": 1.0,
    "NVIDIA A100-SXM4-40GB": 0.2,
    "NVIDIA H100 80GB HBM3": 0.06,
    "NVIDIA GeForce RTX 3090": 0.3,
    "NVIDIA L4": 0.8,
}
MIN_POINTS = 6.7
"""A panel is at least 350 of 390 pixels wide on a phone, and 3.6 inches of 72 points: 9 pixels are 6.7 points."""


def environments(folder: Path) -> list[Path]:
    """Write a file of each of five GPUs, one of which is 17 times as fast as another."""
    paths = []
    for index, (name, factor) in enumerate(GPUS.items()):
        environment = dataclasses.replace(ENVIRONMENT, device=name, gpu=name, power_limit_watts=70.0 + index)
        path = folder / f"gpu-{index}.json"
        step_file(path, environment=environment, run_id=f"g{index}", seed=index, evidence=True, factor=factor)
        paths.append(path)
    return paths


def matrix(folder: Path) -> list[Path]:
    """Write three networks in four precisions at four batch sizes: 144 cells, 48 of each phase."""
    precisions = ("fp32", "tf32", "amp-fp16", "amp-bf16")
    path = folder / "matrix.json"
    return [step_file(path, precisions=precisions, batch_sizes=(8, 32, 128, 512), evidence=True)]


def repetitions(folder: Path) -> list[Path]:
    return [step_file(folder / f"run-{n}.json", run_id=f"r{n}", seed=n, evidence=True) for n in range(5)]


WORLDS = {"environments": environments, "matrix": matrix, "repetitions": repetitions}
KINDS = ("speedup", "phases", "memory", "roofline", "telemetry", "thesis", "rounds")


@pytest.fixture(scope="module")
def files_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Path]]:
    """Write the files of each world once; tests only read them."""
    return functools.cache(lambda name: WORLDS[name](tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="module")
def gathered(files_of: Callable[[str], list[Path]]) -> Callable[[str], FigureData]:
    """Read each world once."""
    return functools.cache(lambda name: gather(files_of(name)))


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest, gathered: Callable[[str], FigureData]) -> tuple[str, FigureData]:
    return request.param, gathered(request.param)


def num_expected(kind: str, figure_data: FigureData) -> int:
    """Count what a figure has rows of, from the raw columns."""
    frame = figure_data.results.benchmarks
    keys = ["device", "model", "batch_size", "precision"]
    cells = frame.drop_duplicates([*keys, "phase"])
    if kind in {"phases", "memory"}:
        return len(cells.drop_duplicates(keys))
    if kind == "speedup":
        return int((cells["precision"] != "fp32").sum())
    if kind == "thesis":
        own = cells[cells["precision"].str.startswith("amp") & (cells["phase"] == "train_step")]
        return len(own) + int((own["batch_size"] == 128).sum())  # times, and memory at the thesis's batch
    return len(cells)


def num_counted(drawing: Drawing) -> int:
    found = [re.match(r"([\d,]+) of [\d,]+ rows are not drawn", note) for note in drawing.notes]
    return sum(int(match[1].replace(",", "")) for match in found if match)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_drawn_or_counted_as_not_drawn(kind: str, world: tuple[str, FigureData]) -> None:
    _, figure_data = world
    drawing = build_chart(kind, figure_data)
    num_drawn = sum(panel.num_rows for panel in drawing.panels)
    assert num_drawn + num_counted(drawing) == num_expected(kind, figure_data)
    assert len(drawing.panels) <= MAX_PANELS
    assert all(panel.num_rows <= MAX_ROWS for panel in drawing.panels)


def test_what_is_beyond_the_largest_figure_is_counted(files_of: Callable[[str], list[Path]], tmp_path: Path) -> None:
    paths = []
    for index in range(12):
        environment = dataclasses.replace(ENVIRONMENT, device=f"GPU {index}", gpu=f"GPU {index}")
        paths.append(step_file(tmp_path / f"{index}.json", environment=environment, run_id=f"g{index}", evidence=True))
    paths += files_of("matrix")
    drawing = build_chart("roofline", gather(paths))
    assert len(drawing.panels) == MAX_PANELS
    assert num_counted(drawing) == 12 * 18 + 144 - sum(panel.num_rows for panel in drawing.panels) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_n_is_what_the_files_hold(kind: str, world: tuple[str, FigureData]) -> None:
    name, figure_data = world
    num_processes = 5 if name == "repetitions" else 1
    for axes in whole_figure(build_chart(kind, figure_data)).axes:
        n = axes.get_xlabel().partition("\nn = ")[2]
        processes = re.search(r"(\d+) process", n)
        assert processes is not None
        assert int(processes[1]) == num_processes
        rounds = re.search(r"(\d+) rounds", n)
        if rounds is not None:
            assert int(rounds[1]) == 30 * num_processes


def drawn(drawing: Drawing) -> Any:
    """Lay the panels out one by one, as the page has them, and return their axes.

    Everything is put where it is drawn and nothing is painted, which takes longer and moves nothing.
    """
    found = []
    with in_style():
        for panel in (*drawing.panels, *drawing.forest):
            figure, _ = panel_figure(panel)
            canvas = FigureCanvasAgg(figure)
            figure.draw_without_rendering()
            found.append((panel, figure, canvas.get_renderer()))  # type: ignore[no-untyped-call]
    return found


def every_drawing(figure_data: FigureData) -> list[Drawing]:
    return [drawing for kind in FIGURES if (drawing := draw(kind, figure_data)) is not None]


@pytest.fixture(scope="module")
def other_drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Drawing]:
    """Draw what the worlds lack: verdicts with large changes, interleaved pairs, hostile foreign names."""
    folder = tmp_path_factory.mktemp("others")
    old, new = write_sides(folder, changes=[1.0, 1.1, 7.7, 0.06, 1.0, 0.5] * 5)
    found = every_drawing(gather(new, old))
    pairs = folder / "pairs.json"
    pairs.write_text(json.dumps(make_content([make_paired_entry(make_pair())])))
    found += every_drawing(gather([pairs]))
    names = [f"test_{'very_' * 30}long[{index}-{'x' * 90}]" for index in range(40)]
    found += every_drawing(gather([plain_file(folder / "plain.json", names)]))
    return found


def check_drawing(drawing: Drawing) -> None:
    for panel, figure, renderer in drawn(drawing):
        (axes,) = figure.axes
        low, high = axes.get_xlim()
        room = 1e-6 * (high - low)
        for line in axes.get_lines():
            xs = np.asarray(line.get_xdata(), dtype=float)
            xs = xs[np.isfinite(xs)]
            assert ((xs >= low - room) & (xs <= high + room)).all(), (drawing.kind, panel.title)
        for patch in axes.patches:
            if isinstance(patch, Rectangle) and panel.num_rows > 1:
                assert low - room <= patch.get_x()
                assert patch.get_x() + patch.get_width() <= high + room
        texts = [text for text in (*axes.texts, *figure.texts) if text.get_text()]
        boxes = [text.get_window_extent(renderer) for text in texts]
        for text, box in zip(texts, boxes, strict=True):
            assert text.get_fontsize() >= MIN_POINTS, (drawing.kind, text.get_text())
            assert box.x1 <= figure.bbox.x1 + 1, (drawing.kind, text.get_text())
        if panel.num_rows > 1:
            for (one, first), (other, second) in itertools.combinations(zip(texts, boxes, strict=True), 2):
                apart = first.x1 <= second.x0 or second.x1 <= first.x0
                apart = apart or first.y1 <= second.y0 + 1 or second.y1 <= first.y0 + 1
                assert apart, (drawing.kind, one.get_text(), other.get_text())


def test_every_mark_is_within_its_axis_and_no_text_lies_over_another(world: tuple[str, FigureData]) -> None:
    drawings = every_drawing(world[1])
    assert len(drawings) >= len(KINDS)
    for drawing in drawings:
        check_drawing(drawing)


def test_the_same_holds_of_large_changes_of_pairs_and_of_long_foreign_names(other_drawings: list[Drawing]) -> None:
    assert {"verdicts", "interleaved", "plain"} <= {drawing.kind for drawing in other_drawings}
    for drawing in other_drawings:
        check_drawing(drawing)


def test_a_process_is_a_dot_of_its_own_beside_its_verdict(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.0, 1.2])
    figure_data = gather(new, old)
    with in_style():
        (panel,) = build_chart("verdicts", figure_data).panels
        figure, marks = panel_figure(panel)
    lines: list[Any] = list(figure.axes[0].get_lines())
    dots = [line for line in lines if line.get_marker() == "o" and line.get_markersize() < 4]
    medians = {
        path: [np.median(one["stats"]["data"]) for one in json.loads(path.read_text())["benchmarks"]]
        for path in (*old, *new)
    }
    expected = []
    for index in range(2):
        mean = np.exp(np.mean([np.log(medians[path][index]) for path in old]))
        expected += [medians[path][index] / mean for path in (*old, *new)]
    assert sorted(float(dot.get_xdata()[0]) for dot in dots) == pytest.approx(sorted(expected))
    assert sum("a process of the candidate" in text for text in marks.texts.values()) == 2 * len(new)
    num = f"{len(new)} files, and {len(old)} of the baseline."
    assert build_chart("verdicts", figure_data).source.endswith(num)
    assert "baseline" not in build_chart("plain", figure_data).source


def test_a_change_of_a_thousandfold_is_read_whole_in_its_row(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.0, 1000.0])
    drawing = build_chart("verdicts", gather(new, old))
    texts = [text.get_text() for text in whole_figure(drawing).axes[0].texts]
    (change,) = (text for text in texts if text.startswith(("+9", "+1")))
    assert re.fullmatch(r"\+[\d,]+% \[\+[\d,]+, \+[\d,]+\]", change)


def test_more_memory_is_no_slower_time(tmp_path: Path) -> None:
    paths = [
        [step_file(tmp_path / f"{side}{n}.json", run_id=f"{side}{n}", seed=n, models=["resnet18"]) for n in range(5)]
        for side in ("old", "new")
    ]
    for path in paths[1]:
        content = json.loads(path.read_text())
        for entry in content["benchmarks"]:
            entry["extra_info"]["perfsuite"]["metrics"]["peak_allocated_bytes"] *= 2
        path.write_text(json.dumps(content))
    figure_data = gather(paths[1], paths[0])
    assert figure_data.comparison is not None
    assert figure_data.comparison.count() == {"regressed": 6}
    with in_style():
        (panel,) = build_chart("verdicts", figure_data).panels
        figure, _ = panel_figure(panel)
    assert "uses more memory" in panel.finding
    colors = {line.get_markerfacecolor() for line in figure.axes[0].get_lines() if line.get_markersize() == 6}
    assert WORSE not in colors


def test_an_environment_17_times_as_fast_is_drawn_where_it_is_on_a_logarithmic_axis(
    gathered: Callable[[str], FigureData],
) -> None:
    drawing = build_chart("across", gathered("environments"))
    panels = {panel.title: figure for panel, figure, _ in drawn(drawing)}
    (fastest,) = (figure.axes[0] for title, figure in panels.items() if "H100" in title)
    dots = [float(line.get_xdata()[0]) for line in fastest.get_lines() if line.get_marker() == "o"]
    assert len(dots) == len(MODELS) * len(PHASES) * 2
    assert min(dots) > 16
    assert max(dots) < 17.5
    assert fastest.get_xscale() == "log"
    assert len({figure.axes[0].get_xlim() for figure in panels.values()}) == 1
    assert "16." in drawing.finding


@pytest.mark.parametrize("kind", ["phases", "memory"])
def test_a_bar_is_as_long_as_what_it_stands_for_in_every_environment_of_a_network(
    kind: str, gathered: Callable[[str], FigureData]
) -> None:
    panels = build_chart(kind, gathered("environments")).panels
    assert [panel.title for panel in panels] == list(MODELS)
    assert all(panel.num_rows == 2 * len(GPUS) for panel in panels)


def test_gpus_stand_in_the_order_of_their_speed_which_is_that_of_the_raw_rounds(
    files_of: Callable[[str], list[Path]], gathered: Callable[[str], FigureData]
) -> None:
    paths = files_of("environments")
    drawing = build_chart("gpus", gathered("environments"))
    assert [panel.title for panel in drawing.panels] == list(MODELS)
    with in_style():
        figure, marks = panel_figure(drawing.panels[0])
    widths = [patch.get_width() for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    rates = {}
    for path in paths:
        content = json.loads(path.read_text())
        for entry in content["benchmarks"]:
            if "resnet18" in entry["fullname"] and "train_step" in entry["fullname"]:
                precision = entry["extra_info"]["perfsuite"]["workload"]["precision"]
                rates[path.stem, precision] = 128 / np.median(entry["stats"]["data"])
    expected = []
    for name in sorted({name for name, _ in rates}, key=lambda name: -rates[name, "amp-fp16"]):
        expected += [rates[name, "amp-fp16"], rates[name, "fp32"]]
    assert widths == pytest.approx(expected)
    assert "H100" in next(iter(marks.texts.values()))
    assert draw("gpus", gather(paths[:1])) is None


def test_what_follows_from_the_gpu_is_no_part_of_a_name_and_names_are_short(
    gathered: Callable[[str], FigureData], tmp_path: Path
) -> None:
    drawing = build_chart("phases", gathered("environments"))
    assert "power limit" not in drawing.finding
    assert "NVIDIA" not in drawing.finding
    assert all(f"{name} amp-fp16" in drawing.panels[0].finding for name in ("T4", "A100", "H100"))
    limits = [dataclasses.replace(ENVIRONMENT, power_limit_watts=float(watts)) for watts in (60, 70)]
    paths = [
        step_file(tmp_path / f"{n}.json", environment=one, run_id=f"limit-{n}", models=["resnet18"])
        for n, one in enumerate(limits)
    ]
    assert "60 W amp-fp16" in build_chart("phases", gather(paths)).panels[0].finding


def test_a_saved_figure_says_what_it_was_measured_on_and_its_notes(gathered: Callable[[str], FigureData]) -> None:
    drawing = build_chart("memory", gathered("environments"))
    figure = whole_figure(drawing)
    words = " ".join(text.get_text() for text in figure.texts)
    assert drawing.source == (
        "Measured on T4, A100, H100 and 2 more, torch 2.13.0+cu130, CUDA 13.0, driver 580.95.05, batch 128; 5 files."
    )
    for text in (drawing.source, *drawing.notes, *(swatch.label for swatch in drawing.legend)):
        assert text in words


def test_memory_at_another_batch_than_the_thesis_is_not_compared_with_it(tmp_path: Path) -> None:
    drawing = build_chart("thesis", gather([step_file(tmp_path / "steps.json", batch_sizes=[8])]))
    assert [panel.title for panel in drawing.panels] == ["projected training time, AMP / FP32"]
    assert any("measured at batch 8, the thesis at 128" in note for note in drawing.notes)


def test_names_lose_what_all_of_them_begin_with_but_no_part_of_a_word() -> None:
    names = ["tests/test_it.py::test_read", "tests/test_it.py::test_report"]
    assert without_common_beginning(names) == (["read", "report"], "tests/test_it.py::test_")
    assert without_common_beginning(["test_a", "test_"]) == (["test_a", "test_"], "")
    assert without_common_beginning(["test[a-1]", "test[b-2]"]) == (["a-1", "b-2"], "test[")
    assert without_common_beginning(["one", "one"]) == (["one", "one"], "")


def test_a_label_takes_as_many_lines_as_it_needs_and_no_two_are_alike() -> None:
    assert label_lines("RTX 3090 amp-fp16", 20) == ("RTX 3090 amp-fp16",)
    lines = label_lines("test_parse_something_long[alpha-beta-gamma-0.123-float32]", 38)
    assert "".join(lines) == "test_parse_something_long[alpha-beta-gamma-0.123-float32]"
    assert len(label_lines("x" * 500, 18)) == MAX_LINES
    labels = distinct_labels([("", f"{'a' * 200}{index}{'b' * 200}") for index in range(3)])
    assert max(Counter(labels).values()) == 1

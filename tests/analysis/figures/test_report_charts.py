from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builders import make_content, make_pair, make_paired_entry
from fleet_builders import fleet_files
from numerics_studies import studies_file
from report_builders import h100, plain_file, step_file, training_epochs
from scaling_builders import scaling_file
from simulated import write_sides
from training_builders import make_predicted_training, make_training, make_training_entry

from perfsuite.analysis.figures.axis import spread_limits
from perfsuite.analysis.figures.panels import fitted, whole_figure
from perfsuite.analysis.figures.registry import FIGURES, build_chart
from perfsuite.analysis.figures.style import SEQUENCE
from perfsuite.analysis.report.data import gather
from perfsuite.cli import main
from perfsuite.precisions import POLICIES

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Files for every kind of figure, which tests only read."""
    folder = tmp_path_factory.mktemp("files")

    def write_result(content: object, name: str) -> Path:
        path = folder / name
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    steps = str(step_file(folder / "steps.json"))
    other = str(step_file(folder / "other.json", environment=h100(), run_id="other"))
    records = [make_training(name, history=training_epochs(3, name)) for name in ("fp32", "amp-fp16")]
    trainings = str(write_result(make_content([make_training_entry(record) for record in records]), "trainings.json"))
    both = [make_paired_entry(make_pair(comparison=name)) for name in ("speedup", "switch")]
    pairs = str(write_result(make_content(both), "pairs.json"))
    sides = folder / "sides"
    sides.mkdir()
    old, new = write_sides(sides, changes=[1.0, 1.1, 1.0, 1.0])
    of_sides = [
        str(write_result(make_content([make_training_entry(record)]), f"{name}.json"))
        for name in ("old", "new")
        for record in [make_predicted_training(run_id=name)]
    ]
    evidence = str(step_file(folder / "evidence.json", evidence=True))
    known = {
        "roofline": [evidence],
        "telemetry": [evidence],
        "interleaved": [pairs],
        "switches": [pairs],
        "across": [steps, other],
        "numerics": [str(studies_file(folder / "studies.json"))],
        "scaling": [str(scaling_file(folder / "scaling.json"))],
        "gpus": [steps, other],
        "nodes": [str(path) for path in fleet_files(folder)],
        "plain": [str(plain_file(folder / "plain.json", ["test_$x$", "test_y"]))],
        "verdicts": [*map(str, new), "--baseline", *map(str, old)],
        "accuracy-changes": [of_sides[1], "--baseline", of_sides[0]],
        **{kind: [trainings] for kind in ("accuracy", "epochs", "confusion", "differences")},
    }
    return {kind: known.get(kind, [steps]) for kind in FIGURES}


@pytest.mark.parametrize("kind", sorted(FIGURES))
@pytest.mark.parametrize("suffix", HEADERS)
def test_every_kind_is_written_in_every_format(
    kind: str, suffix: str, files: dict[str, list[str]], tmp_path: Path
) -> None:
    target = tmp_path / f"figure.{suffix}"
    assert main(["chart", kind, *files[kind], "-o", str(target)]) == 0
    assert target.read_bytes().startswith(HEADERS[suffix])


@pytest.mark.no_cover  # the figures are drawn once more
@pytest.mark.parametrize("suffix", HEADERS)
def test_the_same_files_give_the_same_figure(suffix: str, files: dict[str, list[str]], tmp_path: Path) -> None:
    targets = [tmp_path / f"{name}.{suffix}" for name in ("one", "other")]
    for target in targets:
        main(["chart", "speedup", *files["speedup"], "-o", str(target)])
    assert targets[0].read_bytes() == targets[1].read_bytes()


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", sorted(set(FIGURES) - {"epochs", "confusion", "differences", "numerics"}))
def test_every_axis_of_rows_has_its_unit_and_its_n(kind: str, files: dict[str, list[str]]) -> None:
    paths, _, baseline = " ".join(files[kind]).partition(" --baseline ")
    figure_data = gather([Path(name) for name in paths.split()], [Path(name) for name in baseline.split()])
    figure = whole_figure(build_chart(kind, figure_data))
    assert figure.axes
    for axes in figure.axes:
        text = axes.get_xlabel()
        assert re.search(r"\nn = \d", text), text
        assert re.search(r"\bx\b|ms|MiB|mJ|%|images/s|time of an iteration", text), text


def test_panels_are_drawn_within_the_figure_and_never_over_each_other(files: dict[str, list[str]]) -> None:
    figure = whole_figure(build_chart("speedup", gather([Path(files["speedup"][0])])))
    boxes = [axes.get_position() for axes in figure.axes]
    for index, box in enumerate(boxes):
        assert min(box.x0, box.y0) >= 0
        assert max(box.x1, box.y1) <= 1
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pie", "{steps}", "-o", "x.svg"], "unknown figure 'pie'; choose from accuracy, accuracy-changes, across"),
        (["speedup", "{steps}", "-o", "x.gif"], "a figure is written as .svg, .png, .pdf"),
        (["epochs", "{steps}", "-o", "x.svg"], "epochs: nothing in these files to draw; it needs full trainings"),
        (["verdicts", "{steps}", "-o", "x.svg"], "it needs --baseline files"),
        (["telemetry", "{steps}", "-o", "x.svg"], "it needs steps with energy"),
        (["speedup", "no.json", "-o", "x.svg"], "no.json: no such file"),
    ],
)
def test_a_figure_that_cannot_be_drawn_ends_in_one_line(
    arguments: list[str], words: str, files: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    steps = files["speedup"][0]
    assert main(["chart", *(argument.replace("{steps}", steps) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("kind", ["speedup", "across", "interleaved", "thesis"])
def test_the_spread_of_one_run_is_thin_without_caps_and_named_and_an_interval_has_caps(
    kind: str, files: dict[str, list[str]], tmp_path: Path, write_result: Callable[..., Path]
) -> None:
    several = [step_file(tmp_path / f"s{n}.json", run_id=f"s{n}", seed=n) for n in range(2)]
    if kind == "across":
        several += [step_file(tmp_path / f"o{n}.json", environment=h100(), run_id=f"o{n}", seed=n) for n in (2, 3)]
    if kind == "interleaved":
        several = [
            write_result(make_content([make_paired_entry(make_pair(run_id=f"p{n}"))]), f"p{n}.json") for n in range(2)
        ]
    for paths, is_interval in (([Path(name) for name in files[kind]], False), (several, True)):
        drawing = build_chart(kind, gather(paths))
        figure = whole_figure(drawing)
        lines = [one for axes in figure.axes for one in axes.get_lines()]
        assert any(line.get_marker() == "|" for line in lines) is is_interval
        words = drawing.title + " ".join(swatch.label for swatch in drawing.legend)
        assert ("95% interval" in words) is is_interval
        assert ("spread within one run" in words) is not is_interval


def _luminance(color: str) -> float:
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", [*(policy.color for policy in POLICIES.values()), *SEQUENCE])
def test_colours_stand_out_from_paper(color: str) -> None:
    assert 1.05 / (_luminance(color) + 0.05) >= 3  # WCAG 2.1, 1.4.11


@pytest.mark.parametrize("name", ["test", "x" * 200])
def test_a_long_name_keeps_its_beginning_and_its_end(name: str) -> None:
    short = fitted(f"begin {name} end", 30)
    assert len(short) <= 30
    assert short.startswith("begin")
    assert short.endswith("end")


def test_limits_hold_every_value_and_the_middle() -> None:
    low, high = spread_limits([0.8, 1.3], 1.0, 0.05)
    assert low < 0.8
    assert high > 1.3
    low, high = spread_limits([1.0], 1.0, 0.05)
    assert low < 1.0 < high

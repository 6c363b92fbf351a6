"""Which figures there are, by name: a module each, imported when its figure is asked for."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.source_words import source_words
from perfsuite.errors import InvalidChoiceError
from perfsuite.parsing import choose

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureKind:
    """One kind of figure.

    Attributes:
        module: Of `perfsuite.analysis.figures`; it has a function `<name>_chart(figure_data)`, which returns None where
            the results have nothing for it.
        needs: What results it needs, in words.
        has_baseline: Whether it shows the baseline's results too, where there is one.
    """

    module: str
    needs: str
    has_baseline: bool = False


FIGURES: dict[str, FigureKind] = {
    "gpus": FigureKind(module="gpus", needs="train_step on several GPUs, or with several versions"),
    "speedup": FigureKind(module="steps", needs="fp32 and another precision of the same step"),
    "interleaved": FigureKind(module="steps", needs="results of pytest benchmarks -m interleaved"),
    "switches": FigureKind(module="switches", needs="results of pytest benchmarks -m switches"),
    "scaling": FigureKind(module="scaling", needs="results of pytest benchmarks -m scaling"),
    "phases": FigureKind(module="steps", needs="forward, backward and train_step of the same network"),
    "memory": FigureKind(module="resources", needs="steps with peak memory"),
    "roofline": FigureKind(module="resources", needs="steps with their share of hardware peak"),
    "telemetry": FigureKind(module="resources", needs="steps with energy, which NVML reports on a GPU"),
    "thesis": FigureKind(
        module="thesis", needs="train_step or full trainings of resnet18, resnet34 or resnet50, with AMP"
    ),
    "accuracy": FigureKind(module="accuracy", needs="full trainings"),
    "epochs": FigureKind(module="trainings", needs="full trainings"),
    "confusion": FigureKind(module="confusion", needs="full trainings of at most 256 classes"),
    "differences": FigureKind(module="confusion", needs="full trainings in fp32 and with AMP"),
    "verdicts": FigureKind(module="verdicts", needs="--baseline files of the same machine", has_baseline=True),
    "accuracy-changes": FigureKind(
        module="accuracy_changes", needs="full trainings, and --baseline files with some", has_baseline=True
    ),
    "across": FigureKind(
        module="environments", needs="the same benchmarks in files of several GPUs or torch versions", has_baseline=True
    ),
    "nodes": FigureKind(module="nodes", needs="the same benchmarks on 4 machines of one kind, or more"),
    "numerics": FigureKind(module="numerics", needs="results of pytest benchmarks -m numerics"),
    "rounds": FigureKind(module="rounds", needs="steps with their raw rounds"),
    "plain": FigureKind(module="plain", needs="benchmarks that are not the suite's"),
}
"""In the order in which they are listed."""


def draw(name: str, figure_data: FigureData) -> Drawing | None:
    """Return a figure by the name of its kind, or None where the results have nothing for it."""
    module = importlib.import_module(f"perfsuite.analysis.figures.{FIGURES[name].module}")
    build: Callable[[FigureData], Drawing | None] = getattr(module, f"{name.replace('-', '_')}_chart")
    drawing = build(figure_data)
    if drawing is None:
        return None
    baseline = figure_data.baseline if FIGURES[name].has_baseline else None
    return dataclasses.replace(drawing, source=source_words(figure_data.results, baseline=baseline))


def build_chart(name: str, figure_data: FigureData) -> Drawing:
    """Return a figure by name.

    Raises:
        InvalidChoiceError: An unknown name, or nothing in the results for it.
    """
    kind = choose(FIGURES, name, kind="figure")
    drawing = draw(name, figure_data)
    if drawing is None:
        raise InvalidChoiceError(f"{name}: nothing in these files to draw; it needs {kind.needs}")
    return drawing

"""Which figures there are, by name, and what each needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.accuracy import accuracy_chart
from perfsuite.analysis.figures.accuracy_changes import accuracy_changes_chart
from perfsuite.analysis.figures.environments import across_chart
from perfsuite.analysis.figures.resources import limits_chart, memory_chart, telemetry_chart
from perfsuite.analysis.figures.rounds import plain_chart, rounds_chart
from perfsuite.analysis.figures.steps import interleaved_chart, phases_chart, speedup_chart
from perfsuite.analysis.figures.thesis import thesis_chart
from perfsuite.analysis.figures.trainings import confusion_chart, differences_chart, epochs_chart
from perfsuite.analysis.figures.verdicts import verdicts_chart
from perfsuite.errors import InvalidChoiceError
from perfsuite.parsing import choose

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of figure.

    Attributes:
        build: Returns the figure, or None where the results have nothing for it.
        needs: What results it needs, in words.
    """

    build: Callable[[FigureData], Drawing | None]
    needs: str


KINDS: dict[str, Kind] = {
    "speedup": Kind(build=speedup_chart, needs="fp32 and another precision of the same step"),
    "interleaved": Kind(build=interleaved_chart, needs="results of pytest benchmarks -m interleaved"),
    "phases": Kind(build=phases_chart, needs="forward, backward and train_step of the same network"),
    "memory": Kind(build=memory_chart, needs="steps with peak memory"),
    "limits": Kind(build=limits_chart, needs="steps with their share of hardware peak"),
    "telemetry": Kind(build=telemetry_chart, needs="steps with energy, which NVML reports on a GPU"),
    "thesis": Kind(
        build=thesis_chart, needs="train_step or full trainings of resnet18, resnet34 or resnet50, with AMP"
    ),
    "accuracy": Kind(build=accuracy_chart, needs="full trainings"),
    "epochs": Kind(build=epochs_chart, needs="full trainings"),
    "confusion": Kind(build=confusion_chart, needs="full trainings"),
    "differences": Kind(build=differences_chart, needs="full trainings in fp32 and with AMP"),
    "verdicts": Kind(build=verdicts_chart, needs="--baseline files of the same machine"),
    "accuracy-changes": Kind(build=accuracy_changes_chart, needs="full trainings, and --baseline files with some"),
    "across": Kind(build=across_chart, needs="files of several GPUs or torch versions"),
    "rounds": Kind(build=rounds_chart, needs="steps with their raw rounds"),
    "plain": Kind(build=plain_chart, needs="benchmarks that are not the suite's"),
}


def build_chart(name: str, figure_data: FigureData) -> Drawing:
    """Return a figure by name.

    Raises:
        InvalidChoiceError: An unknown name, or nothing in the results for it.
    """
    kind = choose(KINDS, name, kind="figure")
    drawing = kind.build(figure_data)
    if drawing is None:
        raise InvalidChoiceError(f"{name}: nothing in these files to draw; it needs {kind.needs}")
    return drawing

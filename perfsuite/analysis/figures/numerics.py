"""Why mixed precision works, in pictures: formats, swallowed updates, gradients, loss scaling, sums, types."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.numerics_formats import (
    accumulation_panel,
    bits_panel,
    format_color,
    smallest_update_panel,
)
from perfsuite.analysis.figures.numerics_gradients import histogram_panel, lost_panel, map_panel
from perfsuite.analysis.figures.numerics_training import (
    arms_panel,
    layers_panel,
    learning_rates_panel,
    loss_scale_panel,
    losses_panel,
)
from perfsuite.analysis.figures.numerics_types import types_panel
from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.style import INK, MUTED
from perfsuite.analysis.frames.labels import place_words, titled
from perfsuite.analysis.frames.numerics import claims_count, first_runs, in_order, origins
from perfsuite.number_formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel
    from perfsuite.analysis.frames.results import NumericsResult
    from perfsuite.records.numerics import NumericsRecord

MAX_PANELS = 18
"""More than these are not read in one figure: what is not drawn is counted."""

ACTIVATIONS, WEIGHTS = "activation gradients", "weight gradients"

PANELS: dict[str, tuple[tuple[str, Callable[[str, NumericsRecord], Panel | None]], ...]] = {
    "formats": (
        ("Bits of the formats", lambda title, _: bits_panel(title)),
        ("Smallest update that changes a weight", smallest_update_panel),
    ),
    "updates": (
        ("Swallowed updates by layer", layers_panel),
        ("Swallowed updates by learning rate", learning_rates_panel),
    ),
    "weights": (
        ("Loss by the type of the weights", losses_panel),
        ("Accuracy by the type of the weights", arms_panel),
    ),
    "gradients": (
        ("Activation gradients", lambda title, record: histogram_panel(title, record, ACTIVATIONS)),
        ("Weight gradients", lambda title, record: histogram_panel(title, record, WEIGHTS)),
        ("Activation gradients by layer, early", lambda title, record: map_panel(title, record, ACTIVATIONS, "early")),
        ("Activation gradients that FP16 loses", lambda title, record: lost_panel(title, record, ACTIVATIONS)),
        ("Weight gradients that FP16 loses", lambda title, record: lost_panel(title, record, WEIGHTS)),
    ),
    "scaling": (("Dynamic loss scaling", loss_scale_panel),),
    "scales": (
        ("Loss by loss scale", losses_panel),
        ("Accuracy by loss scale", arms_panel),
    ),
    "accumulation": (("Error of a sum by its length", accumulation_panel),),
    "types": (("Types that autocast chooses", types_panel),),
}
"""What is drawn of each of the studies, in the order in which it is drawn."""


def numerics_chart(figure_data: FigureData) -> Drawing | None:
    """Draw what was found about mixed precision; of several runs of the same the first."""
    found = first_runs(in_order(figure_data.results.numerics))
    panels = _panels(found)
    if not panels:
        return None
    notes = list(_notes(found))
    if len(found) < len(figure_data.results.numerics):
        notes.append("of several runs the first is drawn")
    if len(panels) > MAX_PANELS:
        num_left_out = len(panels) - MAX_PANELS
        notes.append(f"{num_left_out} of {len(panels)} panels are not drawn: draw fewer files at once")
    return Drawing(
        kind="numerics",
        title="Why mixed precision works",
        finding=f"{claims_count(figure_data.results)}. {_findings(panels)}",
        panels=tuple(panels[:MAX_PANELS]),
        legend=tuple(_legend(found)),
        notes=tuple(notes),
    )


def _panels(found: Sequence[NumericsResult]) -> list[Panel]:
    """Return the panels: of each kind of study the first one, and then those of further networks or places."""
    if not found:
        return []
    frame = origins(found)
    place = place_words(frame)
    subjects: dict[str, set[str]] = {}
    for one in found:
        subjects.setdefault(one.record.study, set()).add(_subject(one))
    counts: Counter[str] = Counter()
    panels: list[tuple[int, Panel]] = []
    for one in found:
        record = one.record
        counts[record.study] += 1
        named = _subject(one) if len(subjects[record.study]) > 1 or record.study == "types" else record.subject
        where = ", ".join(part for part in (named, place(one.origin)) if part)
        for title, build in PANELS[record.study]:
            panel = build(titled(title, where), record)
            if panel is not None:
                panels.append((counts[record.study], panel))
    return [panel for _, panel in sorted(panels, key=lambda pair: pair[0])]


def _subject(one: NumericsResult) -> str:
    workload = one.record.workload
    return "" if workload is None else f"{one.record.subject} {workload.precision}"


def _findings(panels: Sequence[Panel]) -> str:
    return "".join(f"{panel.finding}. " for panel in panels[:MAX_PANELS]).strip()


def _legend(found: Sequence[NumericsResult]) -> list[Swatch]:
    names = {one.record.study for one in found}
    legend = [Swatch(label=name, color=format_color(name)) for name in FORMATS if names & _PANELS_WITH[name]]
    if "gradients" in names:
        legend += [
            Swatch(label="early in training", color=MUTED),
            Swatch(label="late in training", color=INK, look="dashed"),
            Swatch(label="FP16, all digits", color=format_color("fp16")),
            Swatch(label="FP16, fewer digits (subnormal)", color=format_color("fp16"), look="hatch"),
        ]
    if "types" in names:
        legend.append(Swatch(label="float32", color=format_color("fp32"), look="hatch"))
    return legend


_HALF = {"formats", "updates", "weights", "accumulation", "types"}
_PANELS_WITH = {"fp32": {"formats", "weights", "types"}, "tf32": {"formats"}, "bf16": _HALF, "fp16": _HALF}
"""Those of the studies whose panels have the colour of a format."""


def _notes(found: Sequence[NumericsResult]) -> list[str]:
    names = {one.record.study for one in found}
    notes = {
        "updates": "swallowed: a weight of this type is the same after the update as before it",
        "weights": "band and [low, high]: 95% interval over seeds",
        "scales": "band and [low, high]: 95% interval over seeds",
        "gradients": "gradients: of all layers together, those that are exactly 0 left out; FP16 holds what lies above "
        "its bar, where the loss is multiplied by that scale",
        "accumulation": "one by one: every addition is rounded; matmul: matrix product",
    }
    return list(dict.fromkeys(text for name, text in notes.items() if name in names))

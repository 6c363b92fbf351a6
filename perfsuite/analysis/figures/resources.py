"""What a workload takes and how much of the machine it uses: memory, hardware peak, energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.axis import Axis, upper_limit
from perfsuite.analysis.figures.legend import precision_swatches
from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.ratio_marks import drawn_values
from perfsuite.analysis.figures.row_labels import group_and_label
from perfsuite.analysis.figures.row_marks import Bar, Point
from perfsuite.analysis.figures.row_panel import Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import INK, MUTED, SEQUENCE, precision_color
from perfsuite.analysis.frames.cells import Cell, by_network, by_phase, n_words, processes_words
from perfsuite.analysis.frames.columns import LEDGER_PARTS
from perfsuite.analysis.frames.labels import PHASE_TITLES, enumerate_words
from perfsuite.formatting import MIB_BYTES, significant
from perfsuite.metrics import METRICS
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel

LEFT_OVER = SEQUENCE[7]


def memory_chart(figure_data: FigureData) -> Drawing | None:
    """Draw each peak as it was predicted, part by part, and as it was measured: a panel and an axis per network."""
    cells = [cell for cell in figure_data.cells if cell.metrics.get("peak_allocated_bytes")]
    cells = _largest_phase(cells)
    if not cells:
        return None
    panels: list[Panel] = []
    for network, members in by_network(cells).items():
        rows = [_memory_row(cell) for cell in members]
        limits = (0.0, upper_limit(drawn_values(rows)))
        axis = Axis(label=f"MiB at the peak; {processes_words(members)}", limits=limits)
        panels += rows_panels(network, "Peak memory", rows, axis)
    drawn, not_drawn = drawn_panels(panels)
    phase = PHASE_TITLES.get(cells[0].workload["phase"], cells[0].workload["phase"])
    title = f"Peak memory of a {phase}, measured"
    legend = []
    for key, color in zip(LEDGER_PARTS, SEQUENCE, strict=False):
        if any(cell.metrics.get(key) for cell in cells):
            legend.append(Swatch(label=METRICS[key].heading, color=color))
    legend.append(Swatch(label="measured", color=MUTED))
    notes = []
    if any(_predicted(cell) for cell in cells):
        title += " and predicted part by part"
        legend.append(Swatch(label="measured beyond the prediction", color=LEFT_OVER, look="hatch"))
        notes.append("thick: predicted by a dry run, part by part; thin: measured")
    return Drawing(
        kind="memory",
        title=title,
        finding=_memory_finding(cells),
        panels=drawn,
        legend=tuple(legend),
        notes=(*notes, *not_drawn),
    )


def _largest_phase(cells: list[Cell]) -> list[Cell]:
    for phase in PHASE_TITLES:
        chosen = [cell for cell in cells if cell.workload["phase"] == phase]
        if chosen:
            return chosen
    return []


def _mebibytes(cell: Cell, key: str) -> float:
    return float(cell.metrics.get(key) or 0) / MIB_BYTES


def _predicted(cell: Cell) -> float:
    return sum(_mebibytes(cell, key) for key in LEDGER_PARTS)


def _memory_row(cell: Cell) -> Row:
    _, name = group_and_label("", cell.place, cell.workload["precision"])
    measured, predicted = _mebibytes(cell, "peak_allocated_bytes"), _predicted(cell)
    bars, start = [], 0.0
    for key, color in zip(LEDGER_PARTS, SEQUENCE, strict=False):
        width = _mebibytes(cell, key)
        if width > 0:
            tip = f"{name} {METRICS[key].heading}: {significant(width)} MiB, {width / predicted:.0%} of the prediction"
            bars.append(Bar(start=start, width=width, color=color, tip=tip))
            start += width
    words = f"{significant(measured)} MiB"
    tip = f"{name} measured: {words}" + (f", predicted {significant(predicted)} MiB" if predicted else "")
    bars.append(Bar(start=0, width=measured, color=MUTED, tip=tip, thin=bool(predicted)))
    beyond = measured - predicted
    if predicted and beyond > 0:
        tip = f"{name} measured beyond the prediction: {significant(beyond)} MiB"
        bars.append(Bar(start=predicted, width=beyond, color=LEFT_OVER, tip=tip, hatched=True))
    return Row(
        label=name, value=f"{words}{f' ({measured / predicted - 1:+.1%})' if predicted else ''}", bars=tuple(bars)
    )


def _memory_finding(cells: Sequence[Cell]) -> str:
    baselines = {(cell.place, cell.label): cell for cell in cells if cell.workload["precision"] == BASELINE}
    parts = []
    for cell in cells:
        baseline = baselines.get((cell.place, cell.label))
        if baseline is not None and baseline is not cell:
            ratio = _mebibytes(cell, "peak_allocated_bytes") / _mebibytes(baseline, "peak_allocated_bytes")
            name = ", ".join(part for part in (cell.label, cell.place) if part)
            parts.append(f"{name} with {cell.workload['precision']} {ratio:.2f}x")
    if not parts:
        return "Peak memory as measured."
    return f"Peak memory against FP32: {_first_words(parts)}."


def _first_words(parts: Sequence[str]) -> str:
    """Return the first of these, and how many more there are."""
    named, num_others = list(parts[:MAX_NAMED]), len(parts) - MAX_NAMED
    return enumerate_words([*named, f"{num_others} more"] if num_others > 0 else named)


MAX_NAMED = 6
"""Of what a finding names."""

_LIGHT = ("probe_ratio", "data_sheet_ratio")


def roofline_chart(figure_data: FigureData) -> Drawing | None:
    """Draw how much of the hardware peak is reached: of what probes reach on the device, and of its data sheet."""
    found = [cell for cell in figure_data.cells if _highest_light(cell)]
    if not found:
        return None
    panels: list[Panel] = []
    by_share: list[tuple[float, Row]] = []
    highest_percent = 100 * max(map(_highest_light, found))
    for phase, cells in by_phase(found).items():
        rows = [_light_row(cell) for cell in cells]
        by_share += [(cell.metrics.get("probe_ratio") or 0.0, row) for cell, row in zip(cells, rows, strict=True)]
        axis = Axis(
            label=f"of what probes reach on this device, %; {n_words(cells)}",
            limits=(0, max(100.0, highest_percent) * 1.02),
            reference=100.0,
        )
        panels += rows_panels(PHASE_TITLES.get(phase, phase), "Share of hardware peak", rows, axis)
    drawn, not_drawn = drawn_panels(panels)
    _, highest = max(by_share, key=lambda pair: pair[0])
    _, lowest = min(by_share, key=lambda pair: pair[0])
    legend = [
        Swatch(label=f"{name}, of the probes", color=precision_color(name))
        for name in dict.fromkeys(cell.workload["precision"] for cell in found)
    ]
    if any(cell.metrics.get("data_sheet_ratio") for cell in found):
        legend.append(Swatch(label="of the data sheet", color=INK, look="diamond"))
    return Drawing(
        kind="roofline",
        title="Percent of hardware peak",
        finding=f"From {_named(lowest)} to {_named(highest)}.",
        panels=drawn,
        notes=not_drawn,
        legend=tuple(legend),
    )


def _highest_light(cell: Cell) -> float:
    """Return the larger of the shares of a cell; 0 where none is known."""
    return max(float(cell.metrics.get(key) or 0) for key in _LIGHT)


def _light_row(cell: Cell) -> Row:
    group, label = group_and_label(cell.label, cell.place, cell.workload["precision"])
    name = f"{group} {label}".strip()
    probe, sheet, bound = (cell.metrics.get(key) for key in ("probe_ratio", "data_sheet_ratio", "bound"))
    words = []
    if probe:
        words.append(f"{100 * probe:.1f}% of the probes")
    if sheet:
        words.append(f"{100 * sheet:.1f}% of the data sheet")
    if bound:
        words.append(str(bound))
    tip = f"{name}: {', '.join(words)}"
    color = precision_color(cell.workload["precision"])
    value = f"{100 * (probe or sheet or 0):.1f}%" + (f", {bound}" if isinstance(bound, str) else "")
    return Row(
        group=group,
        label=label,
        value=value,
        bars=(Bar(start=0, width=100 * probe, color=color, tip=tip),) if probe else (),
        points=(Point(value=100 * sheet, color=INK, tip=tip, look="diamond"),) if sheet else (),
    )


def _named(row: Row) -> str:
    return f"{row.value} ({row.name})"


def telemetry_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the energy of an image, by phase."""
    found = [cell for cell in figure_data.cells if cell.metrics.get("energy_per_image_joules")]
    if not found:
        return None
    limit = upper_limit([1e3 * float(cell.metrics["energy_per_image_joules"]) for cell in found])
    panels: list[Panel] = []
    for phase, cells in by_phase(found).items():
        rows = [_energy_row(cell) for cell in cells]
        n = f"{processes_words(cells)}, one reading each"
        axis = Axis(label=f"energy of an image, mJ; {n}", limits=(0, limit))
        panels += rows_panels(PHASE_TITLES.get(phase, phase), "Energy of an image", rows, axis)
    drawn, not_drawn = drawn_panels(panels)
    return Drawing(
        kind="telemetry",
        title="Energy per image",
        finding=_energy_finding(found),
        panels=drawn,
        notes=not_drawn,
        legend=tuple(precision_swatches(cell.workload["precision"] for cell in found)),
    )


def _energy_row(cell: Cell) -> Row:
    group, label = group_and_label(cell.label, cell.place, cell.workload["precision"])
    name = f"{group} {label}".strip()
    millijoules = 1e3 * float(cell.metrics["energy_per_image_joules"])
    details = {"power_median_watts": "W", "sm_clock_median_mhz": "MHz", "temperature_max_celsius": "°C"}
    state: list[str] = []
    for key, unit in details.items():
        value: Any = cell.metrics.get(key)
        if value:
            state.append(f"{significant(float(value), 3)} {unit}")
    energy = f"{significant(millijoules)} mJ"
    tip = f"{name}: {energy} an image"
    if state:
        tip += f" at {enumerate_words(state)}"
    bar = Bar(start=0, width=millijoules, color=precision_color(cell.workload["precision"]), tip=tip)
    return Row(group=group, label=label, value=energy, bars=(bar,))


def _energy_finding(cells: list[Cell]) -> str:
    baselines = {(c.place, c.label, c.workload["phase"]): c for c in cells if c.workload["precision"] == "fp32"}
    ratios = []
    for cell in cells:
        baseline = baselines.get((cell.place, cell.label, cell.workload["phase"]))
        if baseline is not None and baseline is not cell and cell.workload["phase"] == "train_step":
            ratio = cell.metrics["energy_per_image_joules"] / baseline.metrics["energy_per_image_joules"]
            name = " ".join(part for part in (cell.label, cell.workload["precision"], cell.place) if part)
            ratios.append(f"{name} {ratio:.2f}x")
    if not ratios:
        return "Energy per image, from the device's own counter."
    return f"Energy of an image against FP32: {_first_words(ratios)} (no interval: one reading a process)."

"""Which GPU: speed, largest batch, and what a full training takes, by network and environment: only renders."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.gpu_best import best_of
from perfsuite.analysis.frames.gpu_notes import decision_notes
from perfsuite.analysis.frames.gpu_words import (
    best_text,
    cost_text,
    largest_batch_text,
    missing_text,
    network_words,
    shared_words,
    speed_text,
)
from perfsuite.analysis.frames.gpus import decide_gpus
from perfsuite.analysis.frames.ratio_text import ratio_columns, ratio_of_row
from perfsuite.analysis.tables.shared_columns import notes_of
from perfsuite.analysis.tables.table import Column, Priority, Table, metric_column, shown, text_column
from perfsuite.metrics import METRICS
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfsuite.analysis.frames.gpus import CostName, GpuDecision, GpuRow
    from perfsuite.analysis.frames.results import Results

NO_ROWS = "which GPU: it needs train_step results (pytest benchmarks -m step), or full trainings by the thesis's recipe"

Values = dict[str, Any]

COSTS: tuple[tuple[CostName, str, str, str], ...] = (
    ("time_s", "training_time_s", "training_time_basis", "hours"),
    ("energy_joules", "training_energy_joules", "training_energy_basis", "kWh"),
    ("money", "training_cost", "training_cost_basis", "cost"),
)
"""What a full training takes: its name in a row, the columns of its value and of what that rests on, its heading."""


def gpus_table(results: Results, *, against: str | None = None, prices: Mapping[str, float] | None = None) -> Table:
    """Return what each GPU gives for each network; see `decide_gpus`."""
    return decision_table(decide_gpus(results, against=against, prices=prices))


def decision_table(decision: GpuDecision) -> Table:
    """Return a decision as a table: CSV and JSON have every value in base units, and say which are projected."""
    notes = notes_of(decision.results)
    if not decision.rows:
        return Table(title="Which GPU", frame=[], columns=(), notes=(NO_ROWS, *notes))
    rows: list[Values] = []
    name = network_words(decision)
    for of_network in decision.by_network():
        found = best_of(of_network, decision)
        rows += [_values(row, name(row.network), best_text(row, found), decision) for row in of_network]
    return Table(
        title=f"Which GPU: a training step, and a full training by the thesis's recipe{shared_words(decision)}",
        frame=rows,
        columns=_columns(rows, decision),
        notes=(*decision_notes(decision), *notes),
    )


def _values(row: GpuRow, network: str, best: str, decision: GpuDecision) -> Values:
    """Return a row of the frame, in base units."""
    fastest, other, fp32 = row.fastest, row.other, row.steps.get(BASELINE)
    costs: Values = {}
    for name, key, basis, _ in COSTS:
        amount = row.cost(name)
        costs |= {key: amount.value, basis: amount.basis}
    return {
        "network": network,
        "environment": row.environment.label,
        **{name: row.environment.origin[name] for name in ("device", "torch", "driver", "host", "board")},
        **{field.name: getattr(row.network, field.name) for field in dataclasses.fields(row.network)},
        "batch_size": row.batch_size,
        "num_processes": None if fastest is None else fastest.num_processes,
        "fp32_images_per_second": None if fp32 is None else fp32.images_per_second,
        "other_precision": None if other is None else other.precision,
        "other_images_per_second": None if other is None else other.images_per_second,
        "precision": row.precision,
        "images_per_second": None if fastest is None else fastest.images_per_second,
        "baseline": None if decision.baseline is None else decision.baseline.label,
        "baseline_precision": row.baseline_precision,
        **ratio_columns("speed_ratio", row.speed),
        **ratio_columns("fp32_speed_ratio", row.fp32_speed),
        "largest_batch_size": row.largest_batch.size,
        "largest_batch_basis": row.largest_batch.basis,
        "out_of_memory_batch_size": row.largest_batch.too_large,
        **costs,
        "num_trainings": row.num_trainings,
        "projected_training_time_s": row.projected.time_s,
        "images_per_joule": row.images_per_joule,
        "price_per_hour": row.price_per_hour,
        "best_at": best or None,
        "without_result": missing_text(row) or None,
        "warnings": row.warnings,
    }


def _columns(rows: list[Values], decision: GpuDecision) -> tuple[Column, ...]:
    others = {row["other_precision"] for row in rows} - {None}
    other = next(iter(others)) if len(others) == 1 else None
    return shown(
        text_column("network"),
        text_column("environment", _what_kind(decision)),
        text_column("batch_size", "batch", shown_when=len({row["batch_size"] for row in rows} - {None}) > 1),
        metric_column(
            "images_per_second",
            source="fp32_images_per_second",
            heading="FP32 images/s",
            priority=Priority.NORMAL,
        ),
        Column(
            heading="other images/s" if other is None else f"{other} images/s",
            show=lambda row: _other_text(row, named=other is None),
            numeric=True,
            shown_when=bool(others),
            priority=Priority.MAIN,
        ),
        Column(
            heading="speed" if decision.baseline is None else f"speed vs {decision.baseline.label}",
            show=_speed_text,
            numeric=True,
            shown_when=len(decision.environments) > 1,
            priority=Priority.MAIN,
        ),
        Column(heading="largest batch", show=_batch_text, numeric=True),
        *(_cost_column(*cost, shown_when=_any(rows, cost[1])) for cost in COSTS),
        metric_column("images_per_joule", shown_when=_any(rows, "images_per_joule"), priority=Priority.DETAIL),
        _words_column("best_at", "best", shown_when=_any(rows, "best_at"), foldable=False),
        _words_column("without_result", "without result", shown_when=_any(rows, "without_result")),
        _words_column("warnings", "warnings", shown_when=_any(rows, "warnings")),
    )


def _words_column(key: str, heading: str, *, shown_when: bool, foldable: bool = True) -> Column:
    """Show words that only some rows have: the others are empty."""
    return Column(heading=heading, show=lambda row: row[key] or "", foldable=foldable, shown_when=shown_when)


def _any(rows: list[Values], key: str) -> bool:
    return any(row[key] is not None for row in rows)


def _what_kind(decision: GpuDecision) -> str:
    kinds = {one.is_gpu for one in decision.environments}
    if len(kinds) > 1:
        return "GPU or CPU"
    return "GPU" if kinds == {True} else "CPU"


def _other_text(row: Values, *, named: bool) -> str:
    text = METRICS["images_per_second"].show(row["other_images_per_second"])
    return f"{text} {row['other_precision']}" if named and row["other_precision"] else text


def _speed_text(row: Values) -> str:
    if row["environment"] == row["baseline"]:
        return "baseline"
    ratio = ratio_of_row(row, "speed_ratio")
    return "-" if ratio is None else speed_text(ratio)


def _batch_text(row: Values) -> str:
    return largest_batch_text(row["largest_batch_size"], row["largest_batch_basis"], row["out_of_memory_batch_size"])


def _cost_column(name: CostName, key: str, basis: str, heading: str, *, shown_when: bool) -> Column:
    def show(row: Values) -> str:
        return cost_text(name, row[key], row[basis])

    priority = Priority.NORMAL if name == "energy_joules" else Priority.MAIN
    return Column(heading=heading, show=show, numeric=True, shown_when=shown_when, priority=priority)

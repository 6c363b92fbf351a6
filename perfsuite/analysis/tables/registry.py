"""Which tables there are, by name: a module each, imported when its table is asked for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from perfsuite.parsing import choose

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.tables.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKind:
    """One kind of table.

    Attributes:
        module: Of `perfsuite.analysis.tables`; it has a function `<name>_table(results)`.
        about: What a reader finds in it, for help texts.
        of: What results it shows. One of `steps` shows those alone, and says so where the files hold none; one of
            `machines` needs no workloads: files of other projects show which machine is slow as well.
    """

    module: str
    about: str
    of: Literal["steps", "pairs", "scaling", "trainings", "numerics", "machines", "steps and trainings"]


TABLES: dict[str, TableKind] = {
    "steps": TableKind(module="steps", of="steps", about="a row per cell"),
    "speedup": TableKind(module="speedup", of="steps", about="AMP vs FP32 by network and phase"),
    "inference": TableKind(module="inference", of="steps", about="latency, throughput, memory in eval mode"),
    "interleaved": TableKind(module="pairs", of="pairs", about="FP32 and AMP interleaved"),
    "switches": TableKind(
        module="switches", of="pairs", about="what to switch on: channels_last, AMP, compile, CUDA graphs"
    ),
    "scaling": TableKind(module="scaling", of="scaling", about="several devices: efficiency, communication, memory"),
    "gpus": TableKind(
        module="gpus", of="steps and trainings", about="which GPU: speed, largest batch, hours, energy, cost"
    ),
    "memory": TableKind(module="memory", of="steps", about="what each peak consists of"),
    "roofline": TableKind(module="roofline", of="steps", about="% of hardware peak and of the eager roofline"),
    "operators": TableKind(module="operators", of="steps", about="which operators lose most to memory"),
    "telemetry": TableKind(module="telemetry", of="steps", about="clocks, power, energy"),
    "kernels": TableKind(module="kernels", of="steps", about="where the time goes"),
    "accuracy": TableKind(module="trainings", of="trainings", about="full trainings: accuracy, time, memory"),
    "epochs": TableKind(module="trainings", of="trainings", about="full trainings by epoch"),
    "confusion": TableKind(module="confusion", of="trainings", about="full trainings: which classes are confused"),
    "thesis": TableKind(module="thesis", of="trainings", about="compared with the thesis"),
    "overhead": TableKind(module="pairs", of="pairs", about="harness overhead"),
    "input_pipeline": TableKind(module="pairs", of="pairs", about="what feeding a full training costs"),
    "numerics": TableKind(
        module="numerics", of="numerics", about="why mixed precision works: claims, measured and expected"
    ),
    "nodes": TableKind(module="nodes", of="machines", about="machines of one kind: the odd ones first, and why"),
    "kinds": TableKind(module="nodes", of="machines", about="kinds of machines by versions"),
    "types": TableKind(module="autocast_types", of="numerics", about="in which type operators compute under autocast"),
}
"""In the order in which a reader needs them."""


def tables_of(results: str) -> list[str]:
    """Return the names of the tables that show one kind of results, in their order."""
    return [name for name, kind in TABLES.items() if kind.of == results]


def held_tables(results: Results) -> list[str]:
    """Return which tables show all that files hold, one for each kind of result; `steps` where they hold nothing."""
    from perfsuite.analysis.frames.pairs import COMPARISONS, has_pairs  # brings pandas, which help texts do without

    held = cell_tables(results)
    held += [name for name in COMPARISONS if has_pairs(results, name)]
    if results.trainings:
        held.append("accuracy")
    if results.scaling:
        held.append("scaling")
    if results.numerics:
        held.append("numerics")
    return held or ["steps"]


def cell_tables(results: Results) -> list[str]:
    """Return which tables show what was measured alone: `steps`, and `inference` where there is any."""
    from perfsuite.analysis.frames.latency import has_inference  # brings numpy, which help texts do without

    if results.benchmarks.empty:
        return []
    if not results.has_records or not has_inference(results):
        return ["steps"]
    is_inference = results.benchmarks["num_latencies"].notna()
    return ["inference"] if is_inference.all() else ["steps", "inference"]


def build_table(name: str, results: Results, **choices: Any) -> Table:
    """Return a table by name.

    Foreign files have no workloads: with one among them, every name but those of machines gives the plain table, with
    a note.

    Args:
        name: Which table.
        results: What it shows.
        choices: What else its function takes, by name.

    Raises:
        InvalidChoiceError: An unknown name.
    """
    from perfsuite.analysis.tables.steps import no_steps_table, plain_table

    kind = choose(TABLES, name, kind="table")
    if kind.of != "machines":
        has_others = bool(results.pairs or results.trainings or results.numerics or results.scaling)
        if not results.has_records and (kind.of == "steps" or not has_others):
            return plain_table(results)
        if kind.of == "steps" and results.benchmarks.empty:
            return no_steps_table(results)
    module = importlib.import_module(f"perfsuite.analysis.tables.{kind.module}")
    build: Callable[..., Table] = getattr(module, f"{name}_table")
    return build(results, **choices)

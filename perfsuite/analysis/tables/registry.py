"""Which tables there are, by name: a module each, imported when its table is asked for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
        needs_steps: Whether it is of step benchmarks alone, and says so where the files hold none.
    """

    module: str
    about: str
    needs_steps: bool = False


TABLES: dict[str, TableKind] = {
    "steps": TableKind(module="steps", about="a row per cell", needs_steps=True),
    "speedup": TableKind(module="speedup", about="AMP vs FP32 by network and phase", needs_steps=True),
    "inference": TableKind(module="inference", about="latency, throughput, memory in eval mode", needs_steps=True),
    "interleaved": TableKind(module="pairs", about="FP32 and AMP interleaved"),
    "switches": TableKind(module="switches", about="what to switch on: channels_last, AMP, compile, CUDA graphs"),
    "scaling": TableKind(module="scaling", about="several devices: efficiency, communication, memory"),
    "gpus": TableKind(module="gpus", about="which GPU: speed, largest batch, hours, energy, cost"),
    "memory": TableKind(module="memory", about="what each peak consists of", needs_steps=True),
    "roofline": TableKind(module="roofline", about="% of hardware peak and of the eager roofline", needs_steps=True),
    "operators": TableKind(module="operators", about="which operators lose most to memory", needs_steps=True),
    "telemetry": TableKind(module="telemetry", about="clocks, power, energy", needs_steps=True),
    "kernels": TableKind(module="kernels", about="where the time goes", needs_steps=True),
    "accuracy": TableKind(module="trainings", about="full trainings: accuracy, time, memory"),
    "epochs": TableKind(module="trainings", about="full trainings by epoch"),
    "confusion": TableKind(module="confusion", about="full trainings: which classes are confused"),
    "thesis": TableKind(module="thesis", about="compared with the thesis"),
    "overhead": TableKind(module="pairs", about="harness overhead"),
    "input_pipeline": TableKind(module="pairs", about="what feeding a full training costs"),
    "numerics": TableKind(module="numerics", about="why mixed precision works: claims, measured and expected"),
    "nodes": TableKind(module="nodes", about="machines of one kind: the odd ones first, and why"),
    "kinds": TableKind(module="nodes", about="kinds of machines by versions"),
    "types": TableKind(module="autocast_types", about="in which type operators compute under autocast"),
}
"""In the order in which a reader needs them."""

OF_ANY_FILES = ("nodes", "kinds")
"""Tables that need no workloads: files of other projects show which machine is slow as well."""


def held_tables(results: Results) -> list[str]:
    """Return which tables show all that files hold, one for each kind of result; `steps` where they hold nothing."""
    from perfsuite.analysis.frames.pairs import COMPARISONS, has_pairs  # brings pandas, which help texts do without

    held = cell_tables(results)
    held += [name for name in COMPARISONS if has_pairs(results, name)]
    held += ["accuracy"] if results.trainings else []
    held += ["scaling"] if results.scaling else []
    held += ["numerics"] if results.numerics else []
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
    if name in OF_ANY_FILES:
        return _built(kind, name, results, choices)
    has_others = bool(results.pairs or results.trainings or results.numerics or results.scaling)
    if not results.has_records and (kind.needs_steps or not has_others):
        return plain_table(results)
    if kind.needs_steps and results.benchmarks.empty:
        return no_steps_table(results)
    return _built(kind, name, results, choices)


def _built(kind: TableKind, name: str, results: Results, choices: dict[str, Any]) -> Table:
    module = importlib.import_module(f"perfsuite.analysis.tables.{kind.module}")
    build: Callable[..., Table] = getattr(module, f"{name}_table")
    return build(results, **choices)

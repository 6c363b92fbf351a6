"""What the user sees before the first cell and after the last: how it is measured, and what AMP gives here."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.errors import PerfsuiteError
from perfsuite.formatting import duration_in_words, plural
from perfsuite.plugin.expected_time import expected_time
from perfsuite.plugin.matrix import is_scaling
from perfsuite.plugin.outcomes import is_study
from perfsuite.plugin.results import environment, result_path, write_error
from perfsuite.plugin.selection import is_training, left_out
from perfsuite.plugin.session import has_cells, is_recording, suite
from perfsuite.plugin.trainings import kept_in_words
from perfsuite.precisions import BASELINE
from perfsuite.records.workload import INFERENCE

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from perfsuite.analysis.frames.results import Results
    from perfsuite.plugin.session import Suite
    from perfsuite.records.environment import Environment


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say on what and how it is measured."""
    if not has_cells(config):
        return []
    state, where = suite(config), environment(config)
    lines = [_environment_in_words(where), *_batch_size_in_words(state)]
    if any(cell.get_closest_marker("overhead") for cell in state.cells):
        time_s = state.options.overhead_time_s
        lines.append(f"harness overhead: a check that cannot tell continues for {time_s} s (--perf-overhead-time)")
    lines += _devices_in_words(state)
    lines += _time_in_words(config, state)
    if where.device_type == "cpu":
        scaling = [cell for cell in state.cells if is_scaling(cell)]
        lines += _slow_precisions([cell.callspec.params["precision"] for cell in scaling])  # type: ignore[attr-defined]
    not_asked_for = left_out(config)
    if not_asked_for:
        lines.append(f"not selected: {', '.join(not_asked_for)} (select them with -m)")
    path = result_path(config)
    if path is not None:
        lines.append(f"results go to {shown_path(path)}, after every cell")
        lines += _short_examination(state, path)
    return lines


def _environment_in_words(where: Environment) -> str:
    """Say on what is measured."""
    if where.gpu is None:
        details = f"{where.num_threads} threads"
    else:
        details = f"CUDA {where.cuda}, cuDNN {where.cudnn}, driver {where.driver}"
    return f"perfsuite {where.perfsuite}: {where.device}, torch {where.torch}, {details}"


def _batch_size_in_words(state: Suite) -> list[str]:
    """Say how large batches are, where the names of the cells or the user do not; nothing elsewhere."""
    options = state.options
    if options.global_batch_size is not None and any(map(is_scaling, state.cells)):
        return [f"global batch size {options.global_batch_size}, shared by the ranks"]
    if options.batch_sizes or all(is_training(cell) or is_study(cell) for cell in state.cells):
        return []
    if state.device.type == "cuda":
        return [f"batch size {state.budget.batch_size}"]
    return [f"batch size {state.budget.batch_size} (the default on a CPU; 128 on a GPU; --perf-batch-size sets it)"]


def _devices_in_words(state: Suite) -> list[str]:
    """Say over which devices trainings are spread; nothing where they are not."""
    if not state.devices:
        return []
    size, listed = state.options.world_size, ", ".join(state.devices)
    if size == 1:
        return [f"side by side on {listed}, one cell on each; the longest cells first"]
    groups = len(state.devices) // size
    if groups == 1:
        return [f"each training on {listed}, which share every batch"]
    return [
        f"{groups} cells side by side, each on {size} of {listed}, which share every batch; the longest cells first"
    ]


def _time_in_words(config: pytest.Config, state: Suite) -> list[str]:
    """Say how long the step benchmarks of this run take, everything included; nothing where there are none."""
    expected = expected_time(config)
    if expected is None:
        return []
    workloads = expected.workloads
    kind = "inference" if all(workload.phase == INFERENCE for workload in workloads) else "step"
    what = plural(len(workloads), f"{kind} benchmark")
    quick = ": --perf-quick, less precise" if state.options.quick else ""
    if expected.plan is None:
        return [f"{what}; the remaining time is shown after the first one{quick}"]
    text = f"{what}: about {duration_in_words(expected.plan.seconds)}"
    profiles_s = expected.plan.items.get("profiles", 0.0)
    if profiles_s:
        text += f", {duration_in_words(profiles_s)} of it for profiles (--perf-no-profile)"
    text += quick
    if not expected.is_known_device:
        text += ", if this GPU is as fast as a T4"
    on_cpu = [workload.precision for workload in workloads if workload.device_type == "cpu"]
    return [text, *_slow_precisions(on_cpu)]


SLOW_RATIO = 3.0
"""From so many times the time of FP32 on, a precision is said to be slow on this CPU: it gains nothing there."""


def _slow_precisions(precisions: Sequence[str]) -> list[str]:
    """Return a line for each precision that this CPU has no instructions for."""
    from perfsuite.measure.timed_pass import cpu_slowdown

    lines = []
    for precision in dict.fromkeys(precisions):
        slowdown = cpu_slowdown(precision)
        if slowdown > SLOW_RATIO:
            lines.append(
                f"WARNING: {precision}: a convolution takes this CPU about {slowdown:.0f} times as long as in "
                f"{BASELINE}; it has no instructions for it (--perf-precisions={BASELINE} leaves it out)"
            )
    return lines


def _short_examination(state: Suite, path: Path) -> list[str]:
    """Return a line for everything that would spoil the numbers, as far as it can be told at once."""
    from perfsuite.measure.doctor import diagnose
    from perfsuite.measure.machine_state import read_condition

    if state.devices and state.device.type == "cuda":
        return []  # looking at a GPU takes memory on it for good; the processes that train look themselves
    lines = []
    for check in diagnose(read_condition(str(state.device), results=path.parent, short=True)):
        if check.status == "unfit":
            fix = f" ({check.fix})" if check.fix else ""
            lines.append(f"WARNING: {check.name}: {check.found}{fix}")
    if lines:
        lines.append("more: perfsuite doctor")
    return lines


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None, object, object]:
    """Answer the user's question last of all, also where pytest-benchmark ends in an error (a regression it found)."""
    try:
        return (yield)
    finally:
        _write_summary(terminalreporter, config)


def _write_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show what AMP gives here, in time and in memory, and where the results are."""
    path = result_path(config)
    if not is_recording(config) or path is None:
        return
    terminalreporter.section("perfsuite", sep="=")
    error = write_error(config)
    if error is not None:
        terminalreporter.write_line(f"ERROR: {error}", red=True)
    if not path.exists():
        return
    writer = terminalreporter._tw  # noqa: SLF001 - the terminal writer has no public name
    try:
        text, table = _render(path, width=writer.fullwidth if terminalreporter.isatty else None, color=writer.hasmarkup)
    except PerfsuiteError as problem:
        terminalreporter.write_line(f"ERROR: {problem}", red=True)
        return
    terminalreporter.write(text)
    terminalreporter.write_line("")
    if any(map(is_training, suite(config).cells)):
        for line in kept_in_words(config):
            terminalreporter.write_line(line)
    terminalreporter.write_line(f"Results: {shown_path(path)}")
    terminalreporter.write_line(f"Show again: {_command()} collect --table {table} {shlex.quote(shown_path(path))}")


OTHER_WAYS = "perfsuite collect with -o table.csv"
"""How the columns are shown for which the terminal is too narrow: pytest has no such option."""


def _render(path: Path, *, width: int | None, color: bool) -> tuple[str, str]:
    """Return what there is to show, and the name of the first table."""
    from perfsuite.analysis.frames.noise_floor import collect_with_noise_floor
    from perfsuite.analysis.tables.registry import build_table
    from perfsuite.analysis.tables.terminal import render_terminal

    results = collect_with_noise_floor([path])
    if results.benchmarks.empty and not (results.pairs or results.trainings or results.scaling or results.numerics):
        lines = ["No benchmark produced a result.", *results.outcomes_in_words()]
        return "".join(f"{line}\n" for line in lines), "steps"
    names = _tables_of(results)
    *tables, last = [build_table(name, results) for name in names]
    texts = []
    for table in tables:
        # What holds for the file stands once, below the last table.
        notes = tuple(note for note in table.notes if note not in last.notes)
        legend = tuple(line for line in table.legend if line not in last.legend)
        texts.append(
            render_terminal(replace(table, notes=notes, legend=legend), width=width, color=color, other_ways=OTHER_WAYS)
        )
    texts.append(render_terminal(last, width=width, color=color, other_ways=OTHER_WAYS))
    return "\n".join(texts), names[0]


def _tables_of(results: Results) -> list[str]:
    """Return the names of the tables that are shown of a run; AMP vs FP32 in place of times where both are there."""
    from perfsuite.analysis.frames.pairs import has_pairs
    from perfsuite.analysis.tables.registry import build_table, cell_tables

    names = list(cell_tables(results))
    if "steps" in names and not build_table("speedup", results).is_empty:
        names[names.index("steps")] = "speedup"
    if results.trainings:
        names.append("accuracy")
    names += [name for name in ("interleaved", "switches", "overhead", "input_pipeline") if has_pairs(results, name)]
    if results.scaling:
        names.append("scaling")
    if results.numerics:
        names.append("numerics")
    return names


def _command() -> str:
    """Return how the command is called from where the user stands.

    By its name where the package is installed, through Python in a plain checkout, and through the Python of its
    environment where tox started the run: that one is on nobody's PATH afterwards.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    if "TOX_ENV_NAME" in os.environ:
        return f"{shown_path(Path(sys.executable))} -m perfsuite"
    try:
        distribution("perfsuite")
    except PackageNotFoundError:
        return "python -m perfsuite"
    return "perfsuite"


def shown_path(path: Path) -> str:
    """Return a path relative to the working folder where it lies below it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)

"""Where the time of an iteration went, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.frames.labels import shared_in_words
from perfsuite.analysis.tables.roofline import identity_columns
from perfsuite.analysis.tables.shared_columns import notes_of, one_of_each_cell, origin_column
from perfsuite.analysis.tables.table import Column, Priority, Table, text_column

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results

NO_PROFILES = "these results carry no profiles: the run was cut short, or --perf-no-profile left them out"


def kernels_table(results: Results) -> Table:
    """Return the most expensive kernels of each cell (on a CPU: operators)."""
    places, cells, several = one_of_each_cell(results)
    profiles = [(cell, results.profiles[index]) for index, cell in cells.items()]
    rows = [
        {
            **cell,
            "wall_s": profile.wall_s,
            "tensor_core_ratio": profile.tensor_core_ratio,
            "bound": profile.bound,
            "kernel": kernel.name,
            "kernel_s": kernel.seconds,
            "kernel_ratio": kernel.ratio,
            "num_calls": kernel.num_calls,
        }
        for cell, profile in profiles
        if profile is not None
        for kernel in profile.kernels
    ]
    frame = pd.DataFrame(rows)
    title = f"Where the time of an iteration goes{shared_in_words(results.benchmarks)}"
    if frame.empty:
        return Table(title=title, frame=frame, columns=(), notes=(NO_PROFILES, *notes_of(results)))
    tensor_cores = frame["tensor_core_ratio"].notna().any()
    return Table(
        title=title,
        frame=frame,
        columns=(
            *(origin_column(name) for name in places),
            *identity_columns(frame),
            Column(heading="share %", show=lambda row: f"{100 * row['kernel_ratio']:.1f}", numeric=True),
            Column(heading="ms", show=lambda row: f"{1e3 * row['kernel_s']:.3f}", numeric=True, priority=Priority.MAIN),
            Column(heading="calls", show=lambda row: f"{row['num_calls']:.0f}", numeric=True),
            # Last, as profilers have it: names of kernels are long.
            text_column("kernel", "kernel" if tensor_cores else "operator", foldable=True),
        ),
        legend=(
            "share: of the sum of all kernels of an iteration, profiled apart from the timed rounds",
            *(["of several runs the profile of the first is shown"] if several else []),
        ),
        notes=notes_of(results),
    )

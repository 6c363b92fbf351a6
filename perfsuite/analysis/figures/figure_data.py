"""What a page or a figure may show."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.cells import Cell, measured_cells
from perfsuite.analysis.frames.speedup import speedup_frame
from perfsuite.analysis.verdicts.compare import ALPHA, MIN_EFFECT
from perfsuite.analysis.verdicts.nodes import judge_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from perfsuite.analysis.frames.environments import Across
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.verdicts.compare import Comparison
    from perfsuite.analysis.verdicts.nodes import FleetVerdict


@dataclass(frozen=True, kw_only=True)
class FigureData:
    """All that a page or a figure may show.

    Attributes:
        results: What the files hold.
        baseline: What the files of a baseline hold, where one was given.
        comparison: Verdicts against a baseline, where one was given and the machines are the same.
        across: Machines or versions side by side, where the files differ in them.
        prices: Price per hour by the short name of a device, as the user gave them.
        min_effect: What counts as a difference between machines, as a ratio less 1.
        alpha: Chance of any false alarm among machines.
    """

    results: Results
    baseline: Results | None = None
    comparison: Comparison | None = None
    across: Across | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    min_effect: float = MIN_EFFECT
    alpha: float = ALPHA

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells of the suite among the results, in their order."""
        return measured_cells(self.results)

    @property
    def speedups(self) -> pd.DataFrame:
        """Speed-ups of every precision over FP32; see `speedup_frame`."""
        return speedup_frame(self.results)

    @cached_property
    def fleet(self) -> FleetVerdict:
        """Which machine is unlike the others of its kind; see `judge_nodes`."""
        return judge_nodes(self.results.node_runs, min_effect=self.min_effect, alpha=self.alpha)

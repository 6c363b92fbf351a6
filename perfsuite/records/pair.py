"""Two things measured interleaved."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from perfsuite.errors import RecordError
from perfsuite.records.environment import Process  # noqa: TC001 - read at run time, to check files
from perfsuite.records.schema import SCHEMA_VERSION
from perfsuite.records.strict_json import to_strict_json
from perfsuite.records.telemetry import Telemetry  # noqa: TC001 - read at run time, to check files
from perfsuite.records.workload import Workload  # noqa: TC001 - read at run time, to check files

Comparison = Literal["speedup", "overhead", "pipeline_step", "pipeline_thesis", "switch"]


TURNS = ("baseline", "candidate", "candidate", "baseline")
"""Which side each of the four times of a block belongs to."""


TurnOrder = Literal["abba", "abba_or_baab"]
"""`abba`: blocks ran as `TURNS` says. `abba_or_baab`: half ran the other way round; stored by `TURNS` all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCost:
    """What one side takes besides time.

    Attributes:
        peak_allocated_bytes: Peak memory of one of its iterations, what the other side holds left out.
        start_s: Seconds until its first iteration was done: what is compiled, captured and loaded for it included.
    """

    peak_allocated_bytes: int
    start_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRecord:
    """Two things measured interleaved in one process: their drift-free ratio.

    Attributes:
        comparison: `speedup`: one workload in two precisions; `overhead`: a step as reported (candidate) against a
            bare loop of it (baseline); `pipeline_step`, `pipeline_thesis`: a step of full training, its images taken
            from the device (candidate), against a step on one batch, and against the thesis's way of loading;
            `switch`: a step with something switched on (candidate) against the eager FP32 step.
        baseline: The workload of the first and the last time of a block.
        candidate: The workload of the two times between.
        num_iterations: Iterations in a turn.
        blocks: Seconds per iteration of the four turns of each block, in the order of `TURNS`.
        limit_ratio: How far the ratio may be from 1, or None where there is no such limit.
        settings: What was pinned while measuring, by name.
        findings: What a reader should know before trusting the numbers, in words.
        process: Which process measured.
        turn_order: In which order the turns of a block ran.
        num_looks: How often it could stop because its interval decided; 1 where it could not.
        settle_s: How long a turn that follows one of the other side runs before it is timed; 0: one iteration.
        quick: Whether it is a first answer (`--perf-quick`): fewer blocks, shorter warm-up.
        telemetry: What the hardware did while the blocks ran; None in files of before it was read.
        costs: What baseline and candidate take besides time; empty where that is not measured.
    """

    comparison: Comparison
    baseline: Workload
    candidate: Workload
    num_iterations: int
    blocks: tuple[tuple[float, ...], ...]
    limit_ratio: float | None
    settings: dict[str, str | int | float | bool]
    findings: tuple[str, ...]
    process: Process
    turn_order: TurnOrder = "abba"
    num_looks: int = 1
    settle_s: float = 0.0
    quick: bool = False
    telemetry: Telemetry | None = None
    costs: tuple[SideCost, ...] = ()

    def __post_init__(self) -> None:
        if not self.blocks:
            raise RecordError("a pair needs at least one block")
        if self.num_looks < 1:
            raise RecordError(f"num_looks is {self.num_looks!r}, at least 1 is needed")
        if len(self.costs) not in {0, 2}:
            raise RecordError(f"costs are of {len(self.costs)} sides; of both or of none is needed")
        for number, block in enumerate(self.blocks):
            if len(block) != len(TURNS) or not all(seconds > 0 for seconds in block):
                raise RecordError(f"blocks[{number}] is {list(block)!r:.80}, {len(TURNS)} times above 0 are needed")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `extra_info["perfsuite"]`.

        Raises:
            RecordError: A value that JSON cannot carry without loss.
        """
        return to_strict_json({"schema_version": SCHEMA_VERSION, "kind": "pair", **dataclasses.asdict(self)})

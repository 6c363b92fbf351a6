"""One training step on several devices: what it takes alone, without and with the exchange of gradients."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from perfsuite.errors import RecordError
from perfsuite.records.environment import Process  # noqa: TC001 - read at run time, to check files
from perfsuite.records.numerics import Claim  # noqa: TC001 - read at run time, to check files
from perfsuite.records.schema import SCHEMA_VERSION
from perfsuite.records.strict_json import to_strict_json
from perfsuite.records.telemetry import Telemetry  # noqa: TC001 - read at run time, to check files
from perfsuite.records.workload import MAX_SIZE, Workload

STRATEGIES = ("ddp", "fsdp2")
"""How a network is spread. Sources: PyTorch, `torch.nn.parallel.DistributedDataParallel` and
`torch.distributed.fsdp.fully_shard`."""

Strategy = Literal["ddp", "fsdp2"]

COMPRESSIONS = ("none", "bf16")
"""What gradients are compressed to for their exchange. Source: PyTorch,
`torch.distributed.algorithms.ddp_comm_hooks.default_hooks.bf16_compress_hook`."""

Compression = Literal["none", "bf16"]

SCALING_TURNS = ("alone", "no exchange", "exchange", "exchange", "no exchange", "alone")
"""Which kind of step each of the six times of a block is of. The same forwards and backwards, so that a linear drift
cancels. `alone`: rank 0 steps, the others wait; on weak scaling with a rank's batch, on strong scaling with the global
one. `no exchange`: all ranks step at once, each for itself. `exchange`: all ranks step, gradients are exchanged."""

TURNS_OF_A_KIND = 2
"""In a block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRecord:
    """One training step on several devices, all kinds of turns interleaved in the same processes.

    Attributes:
        workload: The step of one rank; its batch size is that of a rank.
        world_size: Ranks, one a device.
        strategy: `ddp` or `fsdp2`.
        compression: Of the gradients that are exchanged.
        scaling: `weak`: the batch of a rank was given; `strong`: the global batch was, and is shared by the ranks.
        backend: `nccl` or `gloo`.
        backend_version: Of NCCL, `2.27.3`; of torch where the backend comes with it.
        num_iterations: Steps in a turn.
        alone_s: Seconds per step of rank 0 alone, two turns a block [block][2].
        no_exchange_s: Seconds per step of every rank without exchange [rank][block][2]; empty where the strategy has no
            such step.
        exchange_s: Seconds per step of every rank with exchange [rank][block][2].
        all_reduce_s: Seconds of a bare all-reduce of as many bytes as the gradients have, of the slowest rank [round].
        gradient_bytes: Of the gradients as they are exchanged.
        peak_allocated_bytes: Peak memory of a step with exchange, by rank; empty where it is not measured.
        predicted_peak_bytes: Of a rank by dry run, buckets included; None where it is not predicted.
        absent: The reason for whatever is empty or None, by field.
        checks: That gradients are equal on all ranks, and equal to those of one process with the whole batch.
        settings: What was pinned while measuring, by name.
        findings: What a reader should know before trusting the numbers, in words.
        process: Which process measured: the one that launched the ranks.
        telemetry: Hardware telemetry, by rank; empty where it was not read.
        quick: Whether it is a first answer (`--perf-quick`).
    """

    workload: Workload
    world_size: int
    strategy: Strategy
    compression: Compression
    scaling: Literal["weak", "strong"]
    backend: str
    backend_version: str
    num_iterations: int
    alone_s: tuple[tuple[float, ...], ...]
    no_exchange_s: tuple[tuple[tuple[float, ...], ...], ...]
    exchange_s: tuple[tuple[tuple[float, ...], ...], ...]
    all_reduce_s: tuple[float, ...]
    gradient_bytes: int
    peak_allocated_bytes: tuple[int, ...]
    predicted_peak_bytes: int | None
    absent: dict[str, str]
    checks: tuple[Claim, ...]
    settings: dict[str, str | int | float | bool]
    findings: tuple[str, ...]
    process: Process
    telemetry: tuple[Telemetry, ...] = ()
    quick: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.world_size <= MAX_SIZE:
            raise RecordError(f"world_size is {self.world_size!r:.40}, at least 1 is needed")
        if self.num_iterations < 1:
            raise RecordError(f"num_iterations is {self.num_iterations!r:.40}, at least 1 is needed")
        num_blocks = len(self.alone_s)
        if not num_blocks:
            raise RecordError("a scaling record needs at least one block")
        _check_turns(self.alone_s, num_blocks, "alone_s")
        for name, ranks, numbers in (
            ("no_exchange_s", self.no_exchange_s, {0, self.world_size}),
            ("exchange_s", self.exchange_s, {self.world_size}),
        ):
            if len(ranks) not in numbers:
                raise RecordError(f"{name} is of {len(ranks)} ranks, {self.world_size} are needed")
            for rank, blocks in enumerate(ranks):
                _check_turns(blocks, num_blocks, f"{name}[{rank}]")
        if not all(seconds > 0 for seconds in self.all_reduce_s):
            raise RecordError("all_reduce_s holds a time that is not above 0")
        if len(self.peak_allocated_bytes) not in {0, self.world_size}:
            raise RecordError(
                f"peak_allocated_bytes is of {len(self.peak_allocated_bytes)} ranks, {self.world_size} are needed"
            )
        if self.gradient_bytes < 1:
            raise RecordError(f"gradient_bytes is {self.gradient_bytes!r:.40}, at least 1 is needed")

    @property
    def global_batch_size(self) -> int:
        """Samples in a step of all ranks."""
        return self.workload.batch_size * self.world_size

    @property
    def failed(self) -> tuple[Claim, ...]:
        """The checks that do not hold."""
        return tuple(claim for claim in self.checks if not claim.holds)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `extra_info["perfsuite"]`.

        Raises:
            RecordError: A value that JSON cannot carry without loss.
        """
        return to_strict_json({"schema_version": SCHEMA_VERSION, "kind": "scaling", **dataclasses.asdict(self)})


def _check_turns(blocks: tuple[tuple[float, ...], ...], num_blocks: int, where: str) -> None:
    """Check that there are two times above 0 for each block.

    Raises:
        RecordError: There are not.
    """
    if len(blocks) != num_blocks:
        raise RecordError(f"{where} has {len(blocks)} blocks, {num_blocks} are needed")
    for number, block in enumerate(blocks):
        if len(block) != TURNS_OF_A_KIND or not all(seconds > 0 for seconds in block):
            raise RecordError(f"{where}[{number}] is {list(block)!r:.80}, {TURNS_OF_A_KIND} times above 0 are needed")

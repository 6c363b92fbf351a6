"""What ranks are told, and what they tell: files in a private folder, plain JSON and a few counters, never pickles."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import mmap
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import RecordError
from perfsuite.records.numerics import Claim  # noqa: TC001 - read at run time, to check files
from perfsuite.records.scaling import Compression, Strategy  # noqa: TC001 - read at run time, to check files
from perfsuite.records.strict_json import read_dataclass, to_strict_json
from perfsuite.records.telemetry import Telemetry  # noqa: TC001 - read at run time, to check files
from perfsuite.records.workload import Workload  # noqa: TC001 - read at run time, to check files

if TYPE_CHECKING:
    from pathlib import Path

STAGES = (
    "starting",
    "building",
    "checking gradients",
    "warming up",
    "timing",
    "timing all-reduces",
    "measuring memory",
)
"""What ranks do, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankBudget:
    """How long the parts of a measurement take.

    Attributes:
        min_warm_up_s: A warm-up is never shorter.
        max_warm_up_s: A warm-up is never longer.
        stable_ratio: By how much times may rise or fall at its end.
        min_turn_s: A turn of the fastest kind has as many steps as it takes to last so long.
        min_blocks: Blocks that are run, unless they would take longer than `MAX_BLOCKS_S`.
        blocks_s: How long the blocks take together at least.
        is_fixed: Whether so many blocks are run, however long they take: the user asked for them.
        num_all_reduces: Rounds of the bare all-reduce.
    """

    min_warm_up_s: float
    max_warm_up_s: float
    stable_ratio: float
    min_turn_s: float
    min_blocks: int
    blocks_s: float
    is_fixed: bool
    num_all_reduces: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingJob:
    """What all ranks of a cell are told.

    Attributes:
        workload: The step of one rank; its batch size is that of a rank.
        models: How the user names the networks: a rank loads them as the launching process did.
        world_size: Ranks, one a device.
        strategy: `ddp` or `fsdp2`.
        compression: Of the gradients that are exchanged.
        is_strong: Whether rank 0 steps alone with the global batch.
        gpus: Index of each rank's GPU [rank]; empty on a CPU.
        num_threads: Of each rank on a CPU, in every world size of a run.
        budget: How long things take.
        is_timed: Whether anything is timed; False runs everything once.
        timeout_s: How long no rank may make progress before the cell is ended.
    """

    workload: Workload
    models: tuple[str, ...]
    world_size: int
    strategy: Strategy
    compression: Compression
    is_strong: bool
    gpus: tuple[int, ...]
    num_threads: int
    budget: RankBudget
    is_timed: bool
    timeout_s: float

    @property
    def label(self) -> str:
        """The cell in words."""
        words = [self.workload.label, f"on {self.world_size}", self.strategy]
        return " ".join(words if self.compression == "none" else [*words, f"{self.compression} gradients"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RankResult:
    """What one rank measured; times are seconds per step.

    Attributes:
        rank: Which one.
        num_iterations: Steps in a turn.
        alone_s: Of rank 0 alone [block][2]; empty for the others.
        no_exchange_s: Without exchange [block][2]; empty where the strategy has no such step.
        exchange_s: With exchange [block][2].
        all_reduce_s: Of the bare all-reduce [round].
        gradient_bytes: Of the gradients as they are exchanged.
        peak_allocated_bytes: Peak memory of a step with exchange; None where it is not measured.
        backend_version: Of NCCL, or of torch.
        checks: Of gradients; of rank 0 alone.
        settings: What was pinned.
        findings: What a reader should know.
        absent: The reason for what is not there.
        num_skipped: Timed steps that the loss scaler skipped.
        telemetry: What the hardware did while blocks were timed.
    """

    rank: int
    num_iterations: int
    alone_s: tuple[tuple[float, ...], ...]
    no_exchange_s: tuple[tuple[float, ...], ...]
    exchange_s: tuple[tuple[float, ...], ...]
    all_reduce_s: tuple[float, ...]
    gradient_bytes: int
    peak_allocated_bytes: int | None
    backend_version: str
    checks: tuple[Claim, ...]
    settings: dict[str, str | int | float | bool]
    findings: tuple[str, ...]
    absent: dict[str, str]
    num_skipped: int
    telemetry: Telemetry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankError:
    """Why a rank ended early.

    Attributes:
        rank: Which one.
        kind: Name of the class of the error: one of perfsuite's, or any other.
        message: In one line.
        is_waiting: Whether it only says that another rank did not answer.
        seconds: When, by the clock of the machine.
    """

    rank: int
    kind: str
    message: str
    is_waiting: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReport:
    """What the elastic launcher saw.

    Attributes:
        exit_codes: Of the ranks that failed, by rank; negative: ended by that signal.
        message: Why ranks could not be started, in one line; empty where they were.
    """

    exit_codes: dict[str, int]
    message: str


_POSITION = struct.Struct("=QQQ")
"""Process id, place and stage of a rank."""

_TICKS_OF_A_PLACE = 2**32
"""Steps between two barriers: more than there will ever be."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a rank has come: the later, the larger.

    Attributes:
        place: Barriers reached, and halves of steps since the last of them.
        stage: Index in `STAGES`.
        pid: Its process.
    """

    place: int
    stage: int
    pid: int


class RankProgress:
    """A rank's own counter, in memory that the launching process can read as a file: it costs less than a microsecond.

    No thread of a rank reports anything: it would take time from the steps that are timed.
    """

    def __init__(self, path: Path) -> None:
        """Create the file."""
        with path.open("wb") as created:
            created.write(b"\0" * _POSITION.size)
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _POSITION.size)
        self._pid, self._place, self._stage = os.getpid(), 0, 0
        self._write()

    def tick(self) -> None:
        """Note half a step."""
        self._place += 1
        self._write()

    def next_place(self) -> None:
        """Note that a barrier is reached: whatever was done before, it is as far as the others that stand there."""
        self._place = (self._place // _TICKS_OF_A_PLACE + 1) * _TICKS_OF_A_PLACE
        self._write()

    def begin(self, stage: str) -> None:
        """Note what is done now."""
        self._stage = STAGES.index(stage)
        self._write()

    def _write(self) -> None:
        _POSITION.pack_into(self._memory, 0, self._pid, self._place, self._stage)


class RankFolder:
    """The folder by which the ranks of a cell and the process that launched them exchange what they know."""

    def __init__(self, path: Path) -> None:
        """Use a folder that nobody else can read or write."""
        self.path = path

    @property
    def output(self) -> Path:
        """What launcher and ranks print."""
        return self.path / "output.txt"

    def write_job(self, job: ScalingJob) -> None:
        """Tell the ranks what to do."""
        self._write("job", job)

    def read_job(self) -> ScalingJob:
        """Return what to do."""
        job: ScalingJob = self._read_known(ScalingJob, "job")
        return job

    def write_report(self, rank: int, report: RankResult | RankError) -> None:
        """Tell what a rank measured, or why it ended early."""
        self._write(f"{'error' if isinstance(report, RankError) else 'result'}-{rank}", report)

    def write_agent(self, report: AgentReport) -> None:
        """Tell what the launcher saw."""
        self._write("agent", report)

    def results(self, world_size: int) -> list[RankResult]:
        """Return what the ranks measured; those that did not are missing."""
        found = [self._read(RankResult, f"result-{rank}") for rank in range(world_size)]
        return [result for result in found if result is not None]

    def errors(self, world_size: int) -> list[RankError]:
        """Return why ranks ended early."""
        found = [self._read(RankError, f"error-{rank}") for rank in range(world_size)]
        return [error for error in found if error is not None]

    def agent(self) -> AgentReport | None:
        """Return what the launcher saw, or None where it told nothing."""
        report: AgentReport | None = self._read(AgentReport, "agent")
        return report

    def progress(self, rank: int) -> RankProgress:
        """Return a rank's counter, for the rank itself."""
        return RankProgress(self.path / f"progress-{rank}")

    def positions(self, world_size: int) -> dict[int, Position]:
        """Return how far each rank has come; those that have not begun are missing."""
        found = {}
        for rank in range(world_size):
            with contextlib.suppress(OSError, struct.error):
                content = (self.path / f"progress-{rank}").read_bytes()
                pid, place, stage = _POSITION.unpack(content)
                if pid:
                    found[rank] = Position(place=place, stage=min(stage, len(STAGES) - 1), pid=pid)
        return found

    def _write(self, name: str, value: Any) -> None:
        content = json.dumps(to_strict_json(dataclasses.asdict(value)))
        write_atomically(self.path / f"{name}.json", content)

    def _read(self, cls: type[Any], name: str) -> Any:
        try:
            return self._read_known(cls, name)
        except (OSError, ValueError, RecordError):
            return None

    def _read_known(self, cls: type[Any], name: str) -> Any:
        content = json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))
        return read_dataclass(cls, content, name)

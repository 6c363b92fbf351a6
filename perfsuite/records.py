"""What a result is: Workload, Recipe, Environment, Record; their schema version; to and from strict JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from perfsuite.errors import RecordError
from perfsuite.evidence import Profile, Telemetry  # noqa: TC001 - read at run time, to check files
from perfsuite.metrics import METRICS
from perfsuite.strict_json import is_number, kind_of, read_dataclass, to_strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_VERSION = 5
"""Version of everything under the key `perfsuite` in a result file. Raised when an old reader would misread it.

1: cells. 2: a record has a kind, `cell` (the only one before), `pair` or `training`. 3: how a pair was measured; the
outcome `cannot_tell`: a check was measured, and its interval did not decide in the time that it had. 4: a training
says in which environment it was trained, keeps its test predictions, its interruptions and the reasons of its choices;
its peak memory is that of training alone.
"""

KEY = "perfsuite"
"""The one key under which all of ours stands in `extra_info`, in `machine_info` and at the top of a result file."""

PHASES = ("forward", "backward", "train_step")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is measured: the identity under which results are compared.

    Attributes:
        model: Name of the network, `resnet18`.
        precision: Name of the precision policy, `amp-fp16`.
        phase: `forward`, `backward` or `train_step`.
        batch_size: N, images in a batch.
        image_size: H and W in pixels.
        memory_format: `contiguous` (NCHW) or `channels_last` (NHWC).
        compiled: Whether the network went through `torch.compile`.
        gradients: `freed` (set to None by zero_grad) or `kept` (zeroed in place).
        device_type: `cuda` or `cpu`.
        cudnn_benchmark: Whether cuDNN times its algorithms and takes the fastest, or takes what its heuristic says.
    """

    model: str
    precision: str
    phase: str
    batch_size: int
    image_size: int = 32
    memory_format: str = "contiguous"
    compiled: bool = False
    gradients: str = "freed"
    device_type: str
    cudnn_benchmark: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise RecordError(f"batch size is {self.batch_size!r}, at least 1 is needed")

    @property
    def label(self) -> str:
        """The workload in words, the defaults left out: `resnet18 amp-fp16 train_step b128`."""
        extra = [self.memory_format] if self.memory_format != "contiguous" else []
        extra += ["compiled"] if self.compiled else []
        extra += [f"gradients {self.gradients}"] if self.gradients != "freed" else []
        extra += ["cudnn-benchmark"] if self.cudnn_benchmark else []
        return " ".join([self.model, self.precision, self.phase, f"b{self.batch_size}", *extra])


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a full training is done.

    SGD with momentum, cross-entropy, no augmentation; after the warm-up the learning rate falls by a factor every so
    many epochs.

    Attributes:
        name: What it is called.
        epochs: Passes over the training images.
        batch_size: N, images in a batch; the last one of an epoch is smaller.
        learning_rate: Of the first epochs after the warm-up.
        decay_factor: What the learning rate is multiplied by ...
        decay_every_epochs: ... after so many epochs, each time.
        momentum: Of SGD.
        weight_decay: Of SGD.
        num_train: Images to train on; None for all that are not validated on.
        num_validation: Images to validate on; None for a tenth of the training images.
        num_test: Images to test on; None for all.
        target_accuracy: Validation accuracy whose time is taken, and test accuracy to be reached on CIFAR-10 itself
            less a tolerance, as a ratio; None if there is no target.
        source: Where the recipe stands.
        warmup_epochs: How many epochs the warm-up takes; 0 for none.
        warmup_factor: What the learning rate is multiplied by in them.
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    decay_factor: float
    decay_every_epochs: int
    momentum: float
    weight_decay: float
    num_train: int | None
    num_validation: int | None
    num_test: int | None
    target_accuracy: float | None
    source: str
    warmup_epochs: int = 0
    warmup_factor: float = 1.0

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        epochs_since_warmup = epoch - self.warmup_epochs
        if epochs_since_warmup < 0:
            return self.learning_rate * self.warmup_factor
        return self.learning_rate * self.decay_factor ** (epochs_since_warmup // self.decay_every_epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Which process measured, so that a copied file can be told from a second run.

    Attributes:
        run_id: Random, one per pytest run (a process id alone repeats between containers).
        pid: The operating system's process id.
        started: UTC time at which the run started, ISO 8601.
    """

    run_id: str
    pid: int
    started: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Which machine and which versions; what could not be read is None and has its reason in `absent`.

    `board` is a part of a hash of the GPU's UUID, never the UUID: which of several boards of one model it is. It is
    None and not in `absent` in files of before it was recorded.
    """

    perfsuite: str
    python: str
    torch: str
    torchvision: str | None
    device_type: str
    device: str
    gpu: str | None
    gpu_memory_bytes: int | None
    num_gpus: int
    compute_capability: str | None
    driver: str | None
    cuda: str | None
    cudnn: str | None
    power_limit_watts: float | None
    max_sm_clock_mhz: int | None
    max_memory_clock_mhz: int | None
    cpu: str
    num_cpus: int
    num_threads: int
    memory_bytes: int | None
    cpu_capability: str | None
    system: str
    commit: str | None
    commit_dirty: bool | None
    variables: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    board: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `machine_info["perfsuite"]`."""
        return to_strict_json({"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, value: object, where: str = "environment") -> Self:
        """Read what `to_json` wrote.

        Raises:
            RecordError: A newer schema, a field missing or of the wrong type.
        """
        return read_dataclass(cls, versioned(value, where), where)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofReading:
    """One numerical probe of a precision.

    Attributes:
        probe: What was computed, `conv2d forward` for instance.
        relative_error: ||out - reference|| / ||reference|| against float64.
        dtype: Type of the output.
        low: Smallest error that is consistent with the precision, or 0.
        high: Largest error that is consistent with the precision.
    """

    probe: str
    relative_error: float
    dtype: str
    low: float
    high: float


def check_metrics(metrics: Mapping[str, int | float | None], absent: Mapping[str, str]) -> None:
    """Check that metrics are registered and finite, and that absent ones have a reason.

    Raises:
        RecordError: One is not.
    """
    for key, value in metrics.items():
        if key not in METRICS:
            raise RecordError(f"metric {key!r} is not registered; register it in perfsuite.metrics")
        if value is None and key not in absent:
            raise RecordError(f"metric {key!r} is absent without a reason")
        if value is not None and not is_number(value):
            raise RecordError(f"metric {key!r} is {value!r}; a finite number is needed, or None with a reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One result: a cell of the matrix that became numbers. Times stay where pytest-benchmark keeps them.

    Attributes:
        workload: What was measured.
        metrics: Values by registered metric key; None where one is absent.
        absent: The reason for every metric that is None.
        settings: What was pinned while measuring, by name.
        proof: The probes that showed the precision to be in force.
        findings: What a reader should know before trusting the numbers, in words.
        process: Which process measured.
        outcome: Always `measured`: what did not become a number has no record but an outcome.
        telemetry: What the hardware did meanwhile; None in files of before it was read.
        profile: Where the time of a pass went; None until the suite has come to its profile pass.
        quick: Whether it is a first answer (`--perf-quick`): fewer rounds, shorter warm-up.
    """

    workload: Workload
    metrics: dict[str, int | float | None]
    absent: dict[str, str]
    settings: dict[str, str | int | float | bool]
    proof: tuple[ProofReading, ...]
    findings: tuple[str, ...]
    process: Process
    outcome: Literal["measured"] = "measured"
    telemetry: Telemetry | None = None
    profile: Profile | None = None
    quick: bool = False

    def __post_init__(self) -> None:
        check_metrics(self.metrics, self.absent)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `extra_info["perfsuite"]`.

        Raises:
            RecordError: A value that JSON cannot carry without loss.
        """
        return to_strict_json({"schema_version": SCHEMA_VERSION, "kind": "cell", **dataclasses.asdict(self)})


Comparison = Literal["speedup", "fidelity", "pipeline_step", "pipeline_study"]

TURNS = ("baseline", "candidate", "candidate", "baseline")
"""Which side each of the four times of a block belongs to."""

TurnOrder = Literal["abba", "abba_or_baab"]
"""`abba`: blocks ran as `TURNS` says. `abba_or_baab`: half ran the other way round; stored by `TURNS` all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRecord:
    """Two things measured interleaved in one process: their drift-free ratio.

    Attributes:
        comparison: `speedup`: one workload in two precisions; `fidelity`: a step as reported (candidate) against a
            bare loop of it (baseline); `pipeline_step`, `pipeline_study`: a step of full training, its images taken
            from the device (candidate), against a step on one batch, and against the study's way of loading.
        baseline: The workload of the first and the last time of a block.
        candidate: The workload of the two times between.
        num_passes: Iterations in a turn.
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
    """

    comparison: Comparison
    baseline: Workload
    candidate: Workload
    num_passes: int
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

    def __post_init__(self) -> None:
        if not self.blocks:
            raise RecordError("a pair without blocks is no result")
        if self.num_looks < 1:
            raise RecordError(f"num_looks is {self.num_looks!r}, at least 1 is needed")
        for number, block in enumerate(self.blocks):
            if len(block) != len(TURNS) or not all(seconds > 0 for seconds in block):
                raise RecordError(f"blocks[{number}] is {list(block)!r:.80}, {len(TURNS)} times above 0 are needed")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `extra_info["perfsuite"]`.

        Raises:
            RecordError: A value that JSON cannot carry without loss.
        """
        return to_strict_json({"schema_version": SCHEMA_VERSION, "kind": "pair", **dataclasses.asdict(self)})


OutcomeKind = Literal["skipped", "failed", "cannot_tell", "out_of_memory", "interrupted", "not_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A benchmark that did not pass; one that missed a limit has a result as well.

    Attributes:
        nodeid: pytest's name of the cell.
        outcome: What became of it.
        reason: Why, in one line.
        workload: What it would have measured, if it came to be known.
    """

    nodeid: str
    outcome: OutcomeKind
    reason: str
    workload: Workload | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the list under the top-level key `perfsuite.outcomes`."""
        return to_strict_json(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, value: object, where: str = "outcome") -> Self:
        """Read what `to_json` wrote.

        Raises:
            RecordError: A field missing or of the wrong type.
        """
        return read_dataclass(cls, value, where)


def versioned(value: object, where: str) -> dict[str, Any]:
    """Return the fields of an object that carries its schema version, which must not be a newer one.

    Raises:
        RecordError: It is, or there is none.
    """
    if not isinstance(value, dict):
        raise RecordError(f"{where} is {kind_of(value)}, an object is needed")
    version = value.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int):
        raise RecordError(f"{where}.schema_version is {version!r}, a whole number is needed")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{where} has schema version {version}, this perfsuite reads up to {SCHEMA_VERSION}: upgrade perfsuite"
        )
    return {key: item for key, item in value.items() if key != "schema_version"}

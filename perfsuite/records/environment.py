"""In which environment, and by which process, something was measured."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self

from perfsuite.records.schema import SCHEMA_VERSION, versioned
from perfsuite.records.strict_json import read_dataclass, to_strict_json


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

"""What a result is: Workload, Recipe, Environment, Record; their schema version; to and from strict JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from perfsuite.errors import RecordError
from perfsuite.records.environment import Process  # noqa: TC001 - read at run time, to check files
from perfsuite.records.operators import OperatorCost  # noqa: TC001 - read at run time, to check files
from perfsuite.records.profile import Profile  # noqa: TC001 - read at run time, to check files
from perfsuite.records.proof import ProofReading  # noqa: TC001 - read at run time, to check files
from perfsuite.records.schema import SCHEMA_VERSION, check_metrics
from perfsuite.records.strict_json import to_strict_json
from perfsuite.records.telemetry import Telemetry  # noqa: TC001 - read at run time, to check files
from perfsuite.records.workload import Workload  # noqa: TC001 - read at run time, to check files


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One result: a cell of the matrix that was measured. Times stay where pytest-benchmark keeps them.

    Attributes:
        workload: What was measured.
        metrics: Values by registered metric key; None where one is absent.
        absent: The reason for every metric that is None.
        settings: What was pinned while measuring, by name.
        proof: The probes that showed the precision to be active.
        findings: What a reader should know before trusting the numbers, in words.
        process: Which process measured.
        outcome: Always `measured`: what failed, was skipped or not run has no record but an outcome.
        telemetry: Hardware telemetry; None in files of before it was read.
        profile: Where the time of an iteration went; None until the suite has come to its profile pass.
        quick: Whether it is a first answer (`--perf-quick`): fewer rounds, shorter warm-up.
        latencies_s: Seconds of single iterations, each waited for, in their order; of inference alone.
        operators: What its operators take at the eager roofline, those first that lose most to memory; empty where
            they could not be counted.
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
    latencies_s: tuple[float, ...] = ()
    operators: tuple[OperatorCost, ...] = ()

    def __post_init__(self) -> None:
        check_metrics(self.metrics, self.absent)
        if not all(seconds > 0 for seconds in self.latencies_s):
            raise RecordError("latencies_s holds a time that is not above 0")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `extra_info["perfsuite"]`.

        Raises:
            RecordError: A value that JSON cannot carry without loss.
        """
        return to_strict_json({"schema_version": SCHEMA_VERSION, "kind": "cell", **dataclasses.asdict(self)})

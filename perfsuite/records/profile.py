"""Where the time of an iteration went."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One kind of kernel in an iteration; on a CPU an operator, without those that it calls.

    Attributes:
        name: As the profiler has it, cut to 160 characters.
        seconds: Of all its calls in one iteration.
        num_calls: In one iteration.
        ratio: Its share of the sum of all kernels.
    """

    name: str
    seconds: float
    num_calls: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Three clocks of one iteration, and what it is made of; taken apart from the timed rounds.

    Attributes:
        wall_s: By the host's clock, device synchronised.
        device_s: By the device's own events; None on a CPU.
        kernels_s: Sum of all kernels.
        synchronize_s: How long the host stood waiting for the device within an iteration, our own wait at its end left
            out.
        bound: `device-bound`, `launch-bound` or `synchronisation-bound`; None on a CPU, which has no queue.
        kernels: The ten most expensive.
        num_kernels: Kernels launched in one iteration.
        tensor_core_ratio: Share of the kernels' time in those that are named as tensor-core kernels; None on a CPU.
        absent: The reason for everything that is None.
    """

    wall_s: float
    device_s: float | None
    kernels_s: float
    synchronize_s: float | None
    bound: str | None
    kernels: tuple[Kernel, ...]
    num_kernels: float
    tensor_core_ratio: float | None
    absent: dict[str, str] = field(default_factory=dict)

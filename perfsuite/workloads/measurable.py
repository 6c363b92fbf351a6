"""What is measured alone, whatever it is: a body that is timed, and what surrounds it."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from perfsuite.workloads.cuda_graph import CapturedGraph
from perfsuite.workloads.precision import policy_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """An iteration whose memory is measured.

    Attributes:
        prepare: Makes the state in which it begins, outside of the window.
        run: The iteration; its result is held until it ends.
        is_allocating: Whether it surely allocates something, so that an account without it is a broken one.
    """

    prepare: Callable[[], object]
    run: Callable[[], object]
    is_allocating: bool = True


class Measurable(abc.ABC):
    """Something on a device that has a body to be timed; nothing in the body waits for the device.

    Attributes:
        workload: What this is.
        device: Where.
        policy: The precision.
        num_iterations: How many times the body was run, counted on the host.
        num_skipped: How many optimizer steps were skipped: [] float32 on the device.
        findings: What a look at it has found, in words.
        generators: Of random numbers that the body draws, but for torch's own.
    """

    def __init__(self, workload: Workload, *, device: torch.device) -> None:
        self.workload = workload
        self.device = device
        self.policy = policy_named(workload.precision)
        self.num_iterations = 0
        self.num_skipped = torch.zeros((), device=device)
        self.findings: tuple[str, ...] = ()
        self.generators: tuple[torch.Generator, ...] = ()
        self._captured: CapturedGraph | None = None

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What is pinned, by name, for the record."""
        return {"cudnn_benchmark": self.workload.cudnn_benchmark}

    @property
    @abc.abstractmethod
    def body(self) -> Callable[[], object]:
        """The body of the workload's phase: no arguments, no waiting for the device."""

    @property
    def phase(self) -> Callable[[], object]:
        """What is timed: the body, or the replay of the graph that was captured of it."""
        if self._captured is None:
            return self.body
        return self._replay

    def capture(self) -> None:
        """Capture an iteration as a CUDA graph, where the workload asks for one; from then on it is replayed.

        Raises:
            NotSupportedError: The device is no GPU, or the phase cannot be captured.
            ModelError: The network does what cannot be captured.
        """
        if self.workload.cuda_graphs:
            self._captured = CapturedGraph(self.body, self.workload, self.device, generators=self.generators)

    def _replay(self) -> None:
        self.num_iterations += 1
        if self._captured is not None:
            self._captured.replay()

    @abc.abstractmethod
    def settle(self) -> None:
        """Run until nothing changes from one iteration to the next but the time."""

    def prepare(self) -> None:  # noqa: B027 - nothing, unless a phase needs something
        """Bring everything into the state in which an iteration of the phase begins."""

    def zero_gradients(self) -> None:  # noqa: B027 - nothing, unless there are gradients
        """Bring the gradients into the state in which an iteration begins."""

    def release_graph(self) -> None:  # noqa: B027 - nothing, unless a graph is kept
        """Drop what `prepare` keeps for the iterations."""

    @abc.abstractmethod
    def memory_iteration(self) -> Iteration:
        """Return the iteration whose peak memory is measured."""

    @abc.abstractmethod
    def resident_tensors(self) -> list[torch.Tensor]:
        """Return what lives between two iterations."""

    def close(self) -> None:
        """Let go of everything on the device."""
        self._captured = None

"""An iteration captured once as a CUDA graph and replayed: all of its kernels are launched by one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perfsuite.errors import ModelError, NotSupportedError, PerfsuiteError
from perfsuite.formatting import first_line
from perfsuite.workloads.device_errors import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.workload import Workload

NUM_WARM_UP_PASSES = 3
"""Before the capture, on the stream of the capture: libraries initialise themselves and choose algorithms. Source:
PyTorch, CUDA semantics, CUDA Graphs, whole-network capture."""


def require_graph_support(workload: Workload, device: torch.device) -> None:
    """Check that an iteration can be captured at all.

    Raises:
        NotSupportedError: The device is no GPU, or the phase is half of what can be captured.
    """
    if device.type != "cuda":
        raise NotSupportedError("CUDA graphs need a GPU; this is the CPU")
    if workload.phase == "backward":
        raise NotSupportedError("a backward pass alone cannot be captured: its forward pass ran outside of the graph")
    if workload.compile_mode in {"reduce-overhead", "max-autotune"}:
        raise NotSupportedError(f"torch.compile in mode {workload.compile_mode} uses CUDA graphs itself")


class CapturedGraph:
    """A captured iteration."""

    def __init__(
        self,
        run: Callable[[], object],
        workload: Workload,
        device: torch.device,
        *,
        generators: tuple[torch.Generator, ...] = (),
    ) -> None:
        """Capture an iteration.

        Args:
            run: The iteration. It must not wait for the device, nor depend on what the host knows.
            workload: What it is.
            device: Where.
            generators: Of random numbers that it draws, but for torch's own: each replay draws the next ones. Source:
                PyTorch, `torch.cuda.CUDAGraph.register_generator_state`.

        Raises:
            NotSupportedError: It cannot be captured here.
            ModelError: It does what cannot be captured.
        """
        require_graph_support(workload, device)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(NUM_WARM_UP_PASSES):
                run()
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        for generator in generators:
            self._graph.register_generator_state(generator)
        problem: ModelError | None = None
        try:
            with torch.cuda.graph(self._graph, stream=stream):
                self._output = run()  # the graph writes to its memory at every replay
        except PerfsuiteError:
            raise
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            problem = ModelError(f"{workload.model} cannot be captured as a CUDA graph: {first_line(error)[:300]}")
        if problem is not None:
            raise problem

    def replay(self) -> None:
        """Launch the captured iteration once more."""
        self._graph.replay()

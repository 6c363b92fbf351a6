"""A callable of a user's own test, and the batch that it is given."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import torch
from torch import nn

from perfsuite.workloads.measurable import Iteration, Measurable
from perfsuite.workloads.model_spec import map_tensors, run_network
from perfsuite.workloads.models import called
from perfsuite.workloads.precision import autocast, cast_inputs, weight_dtype
from perfsuite.workloads.precision_proof import check_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.workload import Workload
    from perfsuite.workloads.model_spec import Tensors


class Call(Measurable):
    """A callable, run in the precision of the workload."""

    def __init__(
        self, workload: Workload, *, device: torch.device, run: Callable[..., object], batch: Tensors = None
    ) -> None:
        """Bring the batch to the device.

        Args:
            workload: What this is.
            device: Where.
            run: What is timed.
            batch: Its argument; a tuple of its arguments, or a dictionary of its keyword arguments. None for none.

        Raises:
            PrecisionNotActiveError: It is a module whose weights are not BF16, in a precision whose weights are: a
                module is left as it is, and its batch is cast.
        """
        super().__init__(workload, device=device)
        if isinstance(run, nn.Module) and weight_dtype(self.policy) != torch.float32:
            check_weights(self.policy, run)
        self._run = run
        moved = () if batch is None else map_tensors(batch, lambda tensor: tensor.to(device))
        self._batch: Tensors = cast_inputs(self.policy, moved)

    @property
    def body(self) -> Callable[[], object]:
        """The body of the phase."""
        return self.call

    def call(self) -> object:
        """Call it; inside the window are the autocast region of the precision, and what it does itself."""
        self.num_iterations += 1
        with autocast(self.policy, self.device.type):
            return run_network(self._run, self._batch)

    def settle(self) -> None:
        """Call it once; whatever it raises is one line.

        Raises:
            ModelError: It raises.
            NotSupportedError: There is no kernel for the type that is computed in.
        """
        called(self.workload.model, "the callable", self.call)

    def memory_iteration(self) -> Iteration:
        """Return the call itself."""
        return Iteration(prepare=lambda: None, run=self.call, is_allocating=False)

    def resident_tensors(self) -> list[torch.Tensor]:
        """Return every tensor of the process, for a callable may use any: a GPU's allocator counts them all as well."""
        return [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor) and one.device.type == "cpu"]

    def close(self) -> None:
        """Let go of the batch and of the callable."""
        super().close()
        self._batch = ()
        self._run = _nothing


def _nothing() -> None:
    """Stand in place of a callable that was let go of."""

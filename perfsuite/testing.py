"""Public names for a user's own benchmarks and networks: the fixture `perf`, and what networks consist of.

A test that asks for `perf` measures any callable as the suite measures its own: the same clock, warm-up, memory,
telemetry, verified precision and record. `perfsuite collect`, `compare` and `report` read the results. The plugin is
loaded with `pytest -p perfsuite.plugin`, or in conftest.py: `pytest_plugins = ["perfsuite.plugin"]`.

    def test_attention(perf):
        attention = nn.MultiheadAttention(256, 8, batch_first=True).to(perf.device)
        perf(attention, {name: torch.randn(8, 128, 256) for name in ("query", "key", "value")}, precision="amp")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.workloads.model_spec import Batch, InputSizes, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from perfsuite.records.cell import Record
    from perfsuite.workloads.model_spec import Tensors

__all__ = ["Batch", "InputSizes", "ModelSpec", "Perf"]


class Perf:
    """Measures one callable; what the fixture `perf` gives.

    Attributes:
        device: Where: that of `--perf-device`.
    """

    def __init__(self, device: torch.device, measure: Callable[..., Record | None]) -> None:
        self.device = device
        self._measure = measure

    def __call__(
        self,
        run: Callable[..., object],
        batch: Tensors = None,
        *,
        precision: str = "fp32",
        name: str | None = None,
    ) -> Record | None:
        """Measure a callable, and store the record in the result file. Once in a test.

        It is called many times, and must do the same every time; the clock waits for the device around it, so it need
        not. Its peak memory is that of all tensors of the process while it runs.

        Args:
            run: What is timed. It is called in the autocast region of the precision.
            batch: What it is given: a tensor, a tuple of arguments or a dictionary of keyword arguments, brought to the
                device before. The first dimension of the first tensor is the number of samples, N.
            precision: `amp`, or a name from `perfsuite.precisions.POLICIES`. With BF16 weights, the batch is cast to
                BF16; a module must have such weights itself.
            name: What it is called in tables; by default that of the test without `test_`.

        Returns:
            The record, or None where pytest-benchmark is disabled and nothing was timed.

        Raises:
            pytest.fail.Exception, pytest.skip.Exception: It cannot be measured; the reason is one line.
        """
        return self._measure(run, batch, precision=precision, name=name)

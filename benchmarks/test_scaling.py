"""One training step on 1, 2, 4, ... devices: `pytest benchmarks -m scaling`.

Ranks are fresh processes, one per device. A block is a palindrome of turns: rank 0 alone while the others wait; all
ranks without exchange of gradients; all with it; and back again. The cost of sharing the machine and the cost of the
exchange are ratios in which a linear drift cancels. `--perf-world-sizes`, `--perf-global-batch-size` (strong scaling),
`--perf-strategy ddp,fsdp2` and `--perf-gradient-compression none,bf16` choose what is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from perfsuite.plugin.scaling import MeasureScaling
    from perfsuite.records.scaling import Compression, Strategy
    from perfsuite.records.workload import Workload


@pytest.mark.scaling
def test_scaling(
    measure_scaling: MeasureScaling,
    workload: Workload,
    world_size: int,
    strategy: Strategy,
    compression: Compression,
) -> None:
    """A whole training step alone, without and with the exchange of gradients; gradients are checked first."""
    measure_scaling(workload, world_size, strategy, compression)

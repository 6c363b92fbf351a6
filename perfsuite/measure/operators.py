"""The operators of an iteration, as torch runs them one by one: the arithmetic of each, and the bytes that it moves."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.errors import NotSupportedError
from perfsuite.measure.dry_run import inference_dry_run, step_dry_run
from perfsuite.records.workload import CALL, INFERENCE, NOT_COMPILED

if TYPE_CHECKING:
    from perfsuite.records.operators import Operator
    from perfsuite.records.workload import Workload


def count_operators(workload: Workload) -> tuple[Operator, ...]:
    """Return the operators of an iteration of the workload's phase, on fake tensors and without a GPU.

    Those that are alike (name, type, arithmetic, bytes) are one, with their number. Bytes are those of every tensor
    that an operator reads and of every one that it writes, once each: what a kernel moves that finds nothing in a
    cache. The arithmetic is that of `torch.utils.flop_counter`. A compiled network is counted as it is without.

    Raises:
        NotSupportedError: A dry run cannot follow the network, or nothing is known of the workload before it runs.
    """
    if workload.phase == CALL:
        raise NotSupportedError("what a callable does is not known before it runs")
    plain = dataclasses.replace(workload, compile_mode=NOT_COMPILED, cuda_graphs=False)
    if workload.phase == INFERENCE:
        return inference_dry_run(plain).operators[INFERENCE]
    by_phase = step_dry_run(plain).operators
    if workload.phase in by_phase:
        return by_phase[workload.phase]
    return tuple(one for operators in by_phase.values() for one in operators)

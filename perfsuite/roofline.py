"""The eager roofline: what an iteration takes at least where every operator is a kernel of its own.

A kernel takes its arithmetic / the peak, or its bytes / the bandwidth if that takes longer. Torch in eager mode runs
the operators one after the other, and each reads from memory what the one before wrote: their sum is a bound that real
runs come near, where the bound of the whole iteration (all arithmetic, or the bytes that no cache could save) is not.
Kernels that are fused, and what a large cache keeps between two of them, can beat it.

Source of the idea: S. Williams et al., Roofline: An Insightful Visual Performance Model for Multicore Architectures,
CACM 2009; kernel by kernel: C. Yang et al., Hierarchical Roofline Analysis for GPUs, 2020.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from perfsuite.records.operators import OperatorCost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.records.operators import Operator


def operator_s(operator: Operator, *, flops_per_second: float, bytes_per_second: float) -> float:
    """Return the seconds of all calls of an operator."""
    arithmetic_s = operator.flops / flops_per_second
    memory_s = operator.num_bytes / bytes_per_second
    return operator.num_calls * max(arithmetic_s, memory_s)


def roofline_s(operators: Iterable[Operator], *, flops_per_second: float, bytes_per_second: float) -> float:
    """Return the eager roofline of an iteration in seconds.

    Args:
        operators: All of it.
        flops_per_second: Peak of the products' type.
        bytes_per_second: Bandwidth of the memory.
    """
    return sum(
        operator_s(one, flops_per_second=flops_per_second, bytes_per_second=bytes_per_second) for one in operators
    )


def memory_bound_s(operators: Iterable[Operator], *, flops_per_second: float, bytes_per_second: float) -> float:
    """Return the seconds at the roofline of those operators that wait for memory longer than for arithmetic."""
    waiting = [one for one in operators if one.num_bytes / bytes_per_second > one.flops / flops_per_second]
    return roofline_s(waiting, flops_per_second=flops_per_second, bytes_per_second=bytes_per_second)


def operator_costs(
    operators: Iterable[Operator], *, flops_per_second: float, bytes_per_second: float
) -> tuple[OperatorCost, ...]:
    """Return what the operators of each name take at the roofline, those first that lose most to memory."""
    by_name: dict[tuple[str, str], list[Operator]] = defaultdict(list)
    for one in operators:
        by_name[one.name, one.kind].append(one)
    costs = []
    for (name, kind), alike in by_name.items():
        flops = sum(one.num_calls * one.flops for one in alike)
        seconds = roofline_s(alike, flops_per_second=flops_per_second, bytes_per_second=bytes_per_second)
        cost = OperatorCost(
            name=name,
            kind=kind,
            num_calls=num_calls(alike),
            flops=flops,
            num_bytes=sum(one.num_calls * one.num_bytes for one in alike),
            roofline_s=seconds,
            lost_s=max(seconds - flops / flops_per_second, 0.0),
        )
        costs.append(cost)
    return tuple(sorted(costs, key=lambda cost: cost.lost_s, reverse=True))


def num_calls(operators: Iterable[Operator]) -> int:
    """Return how many operators the host starts in an iteration."""
    return sum(one.num_calls for one in operators)

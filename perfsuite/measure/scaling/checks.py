"""Shows that gradients were exchanged: equal on all ranks, and those of one process with the whole batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perfsuite.errors import ClaimError, MeasurementError
from perfsuite.formatting import plural
from perfsuite.measure.scaling.strategies import DdpStep, SpreadStep, local, statistics_frozen, whole, whole_batch
from perfsuite.records.numerics import Claim
from perfsuite.workloads.device_errors import is_out_of_memory
from perfsuite.workloads.model_spec import run_network
from perfsuite.workloads.precision import BATCH_NORMS, autocast, cast_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from perfsuite.measure.scaling.rank_group import RankGroup
    from perfsuite.precisions import PrecisionPolicy
    from perfsuite.workloads.step import TrainingStep

EQUAL = "largest difference of a gradient between ranks"
SHARED = "gradients that all ranks hold together, in parts of all"
SAME_AS_ONE = "error of the gradients against one process with the whole batch"

BF16_ROUNDING = 2.0**-9
"""The most that rounding to BF16 changes a number by, relative to it: half a unit of its 8 significant bits."""

MAX_HALVINGS = 40
"""Of the loss scale, until no gradient overflows; see `perfsuite.workloads.step.MAX_SETTLING_STEPS`."""


def tolerance_of(policy: PrecisionPolicy, world_size: int, *, compressed: bool) -> float:
    """Return how far exchanged gradients may be from those of one process: ||difference|| / ||gradient||.

    That of the precision; where gradients are compressed to BF16, each of N summands and of the N - 1 sums is rounded
    besides.
    """
    roundings = (2 * world_size - 1) * BF16_ROUNDING if compressed else 0.0
    return policy.gradient_tolerance + roundings


def require_all(claims: Sequence[Claim]) -> None:
    """Check that all claims hold: times of an exchange that does not do its work are no result.

    Raises:
        ClaimError: One does not; the message says which.
    """
    failed = [claim for claim in claims if not claim.holds]
    if failed:
        first = failed[0]
        more = f", and {plural(len(failed) - 1, 'more check')}" if len(failed) > 1 else ""
        raise ClaimError(
            f"{len(failed)} of {len(claims)} checks do not hold: {first.name}: measured {first.measured:.6g}, "
            f"{first.relation} {first.expected:.6g} (tolerance {first.tolerance:.3g}) expected{more}"
        )


def check_exchange(spread: SpreadStep, group: RankGroup, *, compressed: bool) -> tuple[Claim, ...]:
    """Compare gradients after an exchange; all ranks must call it.

    First those of a training step, rank by rank. Then those of a pass in which the network is in eval mode, its
    batch statistics being those of rank 0's images: in training, each rank normalises by its own images, and no
    process with the whole batch would have the same gradients.

    Returns:
        What was found, on rank 0; nothing on the others.

    Raises:
        MeasurementError: Gradients are not finite at any loss scale, or missing.
    """
    step = spread.step
    first = _exchanged(spread, group)
    claims = [_equal(first, group) if isinstance(spread, DdpStep) else _shared(first, group)]
    del first
    _take_statistics(spread, group)
    with statistics_frozen(step):
        gradients = [whole(gradient).detach().clone() for gradient in _exchanged(spread, group)]
        scale = step.scaler.get_scale()
        step.zero_gradients()
        weights = [whole(parameter.detach()) for parameter in step.model.parameters()]
        if group.rank == 0:
            plain = spread.plain()
            _give(plain.model, weights, list(step.model.buffers()))
            with statistics_frozen(plain):
                reference = _of_one_process(plain, group.world_size, scale)
            error = _relative_error(gradients, reference)
            tolerance = tolerance_of(step.policy, group.world_size, compressed=compressed)
            claims.append(
                Claim(
                    name=SAME_AS_ONE,
                    measured=error,
                    expected=0.0,
                    tolerance=tolerance,
                    relation="at most",
                    source="one process, no exchange, the images of all ranks; the network in eval mode on both sides, "
                    "with the batch statistics of rank 0's images",
                )
            )
    group.barrier()
    return tuple(claims) if group.rank == 0 else ()


def _exchanged(spread: SpreadStep, group: RankGroup) -> list[torch.Tensor]:
    """Return this rank's gradients after an exchange, scaled by the loss scale; they are kept by the parameters.

    Raises:
        MeasurementError: They are not finite, or there are none.
    """
    step = spread.step
    spread.enter("exchange")
    for _ in range(MAX_HALVINGS):
        step.zero_gradients()
        step.scaler.scale(step.loss()).backward()  # type: ignore[no-untyped-call]
        gradients = [parameter.grad for parameter in step.model.parameters() if parameter.grad is not None]
        if not gradients:
            raise MeasurementError("no parameter has a gradient after an exchange")
        is_finite = all(bool(local(gradient).isfinite().all()) for gradient in gradients)
        if not group.largest(0.0 if is_finite else 1.0):
            return gradients
        if not step.scaler.is_enabled():
            break
        step.scaler.update(step.scaler.get_scale() / 2)
    raise MeasurementError("gradients are not finite after an exchange")


def _equal(gradients: Sequence[torch.Tensor], group: RankGroup) -> Claim:
    """Compare each gradient with that of rank 0."""
    differences = [
        float((gradient.double() - group.from_first(gradient).double()).abs().max()) for gradient in gradients
    ]
    return Claim(
        name=EQUAL,
        measured=group.largest(max(differences)),
        expected=0.0,
        tolerance=0.0,
        source="PyTorch, DistributedDataParallel: gradients are averaged over all ranks, and are the same on each",
    )


def _shared(gradients: Sequence[torch.Tensor], group: RankGroup) -> Claim:
    """Add up what the ranks hold: 1 where each has a part, and as many as there are ranks where each has all."""
    held = group.total(float(sum(local(gradient).numel() for gradient in gradients)))
    return Claim(
        name=SHARED,
        measured=held / sum(gradient.numel() for gradient in gradients),
        expected=1.0,
        tolerance=0.0,
        source="PyTorch, fully_shard: each rank holds its part of every gradient",
    )


def _take_statistics(spread: SpreadStep, group: RankGroup) -> None:
    """Make the statistics of rank 0's images the running statistics of all ranks.

    Those that a network begins with, mean 0 and variance 1, would let activations grow from block to block.
    """
    step = spread.step
    norms = [module for module in step.model.modules() if isinstance(module, BATCH_NORMS)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad(), autocast(step.policy, step.device.type):
            run_network(step.network, cast_inputs(step.policy, step.inputs))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    for buffer in step.model.buffers():
        buffer.copy_(group.from_first(buffer))


def _give(model: nn.Module, weights: Sequence[torch.Tensor], buffers: Sequence[torch.Tensor]) -> None:
    """Copy weights and buffers to a network, where they are not its own."""
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(weight)
        for buffer, value in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(value)


def _of_one_process(plain: TrainingStep, world_size: int, scale: float) -> list[torch.Tensor]:
    """Return the gradients of the images of all ranks, scaled, all at once or, where that does not fit, in parts."""
    own = plain.inputs, plain.targets
    batch = whole_batch(plain, world_size)
    try:
        gradients = _gradients_of(plain, [(batch.inputs, batch.targets)], scale)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        gradients = None
    try:
        if gradients is None:
            parts = [whole_batch(plain, rank + 1) for rank in range(world_size)]
            size = plain.workload.batch_size
            gradients = _gradients_of(plain, [(part.inputs[-size:], part.targets[-size:]) for part in parts], scale)
    finally:
        plain.inputs, plain.targets = own
    return gradients


def _gradients_of(
    plain: TrainingStep, batches: Sequence[tuple[torch.Tensor, torch.Tensor]], scale: float
) -> list[torch.Tensor]:
    """Return the mean gradients of batches of the same size."""
    plain.optimizer.zero_grad(set_to_none=True)
    for inputs, targets in batches:
        plain.inputs, plain.targets = inputs, targets
        (plain.loss() * (scale / len(batches))).backward()  # type: ignore[no-untyped-call]
    gradients = plain.gradients()
    plain.zero_gradients()
    return gradients


def _relative_error(gradients: Sequence[torch.Tensor], reference: Sequence[torch.Tensor]) -> float:
    """Return ||difference|| / ||reference|| over all parameters.

    Raises:
        MeasurementError: One of the two has gradients that the other has not, or all are zero.
    """
    if len(gradients) != len(reference):
        raise MeasurementError("an exchange gives gradients to other parameters than a step of one process does")
    difference = _norm([one.double() - other.double() for one, other in zip(gradients, reference, strict=True)])
    norm = _norm([other.double() for other in reference])
    if not norm > 0:
        raise MeasurementError("all gradients of one process with the whole batch are zero")
    return difference / norm


def _norm(tensors: Sequence[torch.Tensor]) -> float:
    return float(torch.stack([tensor.norm() for tensor in tensors]).norm())

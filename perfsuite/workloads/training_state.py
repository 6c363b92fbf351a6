"""Whether the state in a checkpoint is one that a training can go on from; looked at before any of it is loaded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from perfsuite.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable


def check_state(saved: Any, own: dict[str, Any], device: torch.device) -> None:
    """Compare a saved state with the training's own: the same tensors and settings, other values.

    Args:
        saved: What a checkpoint holds.
        own: What `Training.state` returns before anything is loaded.
        device: Where it is trained.

    Raises:
        RecordError: Something is missing, of another form or of a value that no training has.
    """
    if not isinstance(saved, dict):
        raise RecordError("the state is no dictionary")
    needed = own.keys() - {"step", "losses", "skipped_before"}  # checkpoints of older versions are of whole epochs
    missing = sorted(needed - saved.keys())
    if missing:
        raise RecordError(f"the state has no {missing[0]}")
    if saved.get("step", 0) != 0:
        _compare(saved.get("losses"), own["losses"], "losses")
        _compare(saved.get("skipped_before"), own["skipped_before"], "skipped_before")
    for name in ("model", "num_skipped"):
        _compare(saved[name], own[name], name)
    _compare(_without_learning_rates(saved["optimizer"]), _without_learning_rates(own["optimizer"]), "optimizer")
    _check_scaler(saved["scaler"], own["scaler"])
    _check_generator(saved["rng"], own["rng"], torch.Generator().set_state, "rng")
    if device.type == "cuda":
        _check_generator(
            saved["cuda_rng"], own["cuda_rng"], lambda state: torch.cuda.set_rng_state(state, device), "cuda_rng"
        )
        torch.cuda.set_rng_state(own["cuda_rng"], device)
    if "ranks" in own:
        _check_ranks(saved["ranks"], own["ranks"], device)
    if "rounding_rng" in own:
        _check_generator(saved["rounding_rng"], own["rounding_rng"], torch.Generator(device).set_state, "rounding_rng")


def _check_ranks(saved: Any, own: list[dict[str, Any]], device: torch.device) -> None:
    """Check what is each rank's own: the sum of its losses, and its random numbers."""
    if not isinstance(saved, list) or len(saved) != len(own):
        raise RecordError(f"the state is not of {len(own)} ranks")
    for rank, (found, expected) in enumerate(zip(saved, own, strict=True)):
        if not isinstance(found, dict) or found.keys() != expected.keys():
            raise RecordError(f"ranks[{rank}] has other entries")
        losses = found["losses"]
        _compare(
            losses.cpu() if isinstance(losses, torch.Tensor) else losses, expected["losses"], f"losses of rank {rank}"
        )
        _check_generator(found["rng"], expected["rng"], torch.Generator().set_state, f"rng of rank {rank}")
        if "cuda_rng" in expected:
            set_state = torch.Generator(device).set_state
            _check_generator(found["cuda_rng"], expected["cuda_rng"], set_state, f"cuda_rng of rank {rank}")


def _compare(saved: Any, own: Any, where: str) -> None:
    """Check that two nested values differ in the content of their tensors alone.

    Raises:
        RecordError: They differ in more.
    """
    if isinstance(own, torch.Tensor):
        if not _is_like(saved, own):
            raise RecordError(f"{where} is not a tensor of shape {tuple(own.shape)} and type {own.dtype}")
    elif isinstance(own, dict):
        if not isinstance(saved, dict) or saved.keys() != own.keys():
            raise RecordError(f"{where} has other entries")
        for key, value in own.items():
            _compare(saved[key], value, f"{where}.{key}")
    elif isinstance(own, list):
        if not isinstance(saved, list) or len(saved) != len(own):
            raise RecordError(f"{where} has another length")
        for index, value in enumerate(own):
            _compare(saved[index], value, f"{where}[{index}]")
    elif type(saved) is not type(own) or saved != own:
        raise RecordError(f"{where} is not {own!r:.40}")


def _is_like(saved: Any, own: torch.Tensor) -> bool:
    """Whether a saved value is a tensor that could be copied to another one."""
    return (
        isinstance(saved, torch.Tensor)
        and (saved.shape, saved.dtype, saved.layout) == (own.shape, own.dtype, own.layout)
        and (saved.device.type, saved.requires_grad) == (own.device.type, False)
    )


def _without_learning_rates(optimizer: Any) -> Any:
    """Return the state of an optimizer without what is set again in every epoch."""
    if not isinstance(optimizer, dict) or not isinstance(optimizer.get("param_groups"), list):
        return optimizer
    groups = [dict(group) if isinstance(group, dict) else group for group in optimizer["param_groups"]]
    for group in groups:
        if isinstance(group, dict):
            group.pop("lr", None)
    return {**optimizer, "param_groups": groups}


def _check_scaler(saved: Any, own: dict[str, Any]) -> None:
    changing = {"scale", "_growth_tracker"}
    if not isinstance(saved, dict) or saved.keys() != own.keys():
        raise RecordError("scaler has other entries")
    if not own:  # a precision without a loss scale
        return
    for key, value in own.items():
        if key not in changing:
            _compare(saved[key], value, f"scaler.{key}")
    scale, tracker = saved["scale"], saved["_growth_tracker"]
    if type(scale) is not float or not math.isfinite(scale) or scale <= 0:
        raise RecordError("scaler.scale is not a number above 0")
    if type(tracker) is not int or not 0 <= tracker <= own["growth_interval"]:
        raise RecordError("scaler._growth_tracker is not a number of steps")


def _check_generator(saved: Any, own: Any, set_state: Callable[[Any], object], where: str) -> None:
    """Check the state of a generator of random numbers, which refuses what it cannot have."""
    if isinstance(saved, torch.Tensor):
        saved = saved.cpu()  # loaded to the device
    _compare(saved, own, where)
    try:
        set_state(saved)
    except RuntimeError as error:
        raise RecordError(f"{where} is none: {str(error)[:80]}") from None

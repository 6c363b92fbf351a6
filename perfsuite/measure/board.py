"""Which board of a model it is, without its serial number: part of a hash of the UUID, which nobody can turn back."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from perfsuite.measure.nvml import plain_uuid

if TYPE_CHECKING:
    from perfsuite.measure.nvml import NvmlGpu

DIGITS = 12
"""Of the hash that is kept: 48 bits, so that two of a thousand boards share them with a chance of 2e-9."""


def board_digest(uuid: str | None, *, name: str, seen: NvmlGpu | None) -> tuple[str | None, str | None]:
    """Return what identifies the board, and why nothing does.

    Args:
        uuid: The UUID by which torch names the GPU; None where this torch reports none.
        name: The name by which torch names it.
        seen: What NVML reports of it. Of a slice it knows the whole GPU, whose UUID counts.
    """
    if seen is not None and seen.is_virtual:
        return None, "a virtual GPU (vGPU), whose UUID is not that of a board"
    if seen is not None and seen.uuid is not None:
        return _digest(seen.uuid), None
    if uuid is None:
        return None, "no UUID is reported by torch or NVML"
    if " MIG " in name:
        return None, "a slice of a divided GPU (MIG), whose board is not reported by NVML"
    return _digest(uuid), None


def _digest(uuid: str) -> str:
    text = f"perfsuite board {plain_uuid(uuid).lower()}"
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]

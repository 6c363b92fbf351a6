"""How many threads a process computes with on a CPU."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def threads(num: int | None) -> Iterator[None]:
    """Compute with so many threads, None for as many as before: sums over other parts have other last digits."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before if num is None else num)
        yield
    finally:
        torch.set_num_threads(before)

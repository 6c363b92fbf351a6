"""Searches for the largest batch whose predicted peak memory fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_BATCH_SIZE = 1_048_576
"""Where the search for a batch size ends; no GPU holds the activations of as many images."""


def largest_batch_size(predict_peak: Callable[[int], int], capacity_bytes: int, *, start: int = 128) -> int | None:
    """Return the largest batch size whose predicted peak fits, or None if not even one image does.

    The peak is made of straight pieces, so a line through the two nearest points leads near the answer. Where it is at
    a bend, the line gains little each time; so every second time the gap between the largest size that is known to fit
    and the smallest that is known not to is halved.

    Args:
        predict_peak: Gives the peak in bytes for a batch size; must not fall as that grows.
        capacity_bytes: What there is.
        start: The first size tried.
    """
    fits, too_large = 0, MAX_BATCH_SIZE + 1
    known: dict[int, int] = {}
    guess = start
    while too_large - fits > 1:
        guess = min(max(guess, fits + 1), too_large - 1)
        known[guess] = predict_peak(guess)
        if known[guess] <= capacity_bytes:
            fits = guess
        else:
            too_large = guess
        guess = _next_guess(known, capacity_bytes, fits, too_large)
    return fits or None


def _next_guess(known: Mapping[int, int], capacity_bytes: int, fits: int, too_large: int) -> int:
    if len(known) == 1:
        (size,) = known
        return max(size * 2 if fits else size // 2, 1)
    if len(known) % 2 and {fits, too_large} <= known.keys():
        return (fits + too_large) // 2
    (low, low_peak), (high, high_peak) = sorted(known.items(), key=lambda item: abs(item[1] - capacity_bytes))[:2]
    slope = (high_peak - low_peak) / (high - low)
    if slope <= 0:
        return (fits + too_large) // 2
    line = int(low + (capacity_bytes - low_peak) / slope)
    if fits < line < too_large and line not in known:
        return line
    return fits + 1 if line <= fits else too_large - 1

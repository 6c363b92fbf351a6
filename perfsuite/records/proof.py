"""What showed that a precision was active."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofReading:
    """One numerical probe of a precision.

    Attributes:
        probe: What was computed, `conv2d forward` for instance.
        relative_error: ||out - reference|| / ||reference|| against float64.
        dtype: Type of the output.
        low: Smallest error that is consistent with the precision, or 0.
        high: Largest error that is consistent with the precision.
    """

    probe: str
    relative_error: float
    dtype: str
    low: float
    high: float

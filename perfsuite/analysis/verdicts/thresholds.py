"""What counts as a change, per benchmark: one minimum effect for all, and others by name from a TOML file."""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.load.benchmark_entry import shown_value
from perfsuite.errors import InvalidChoiceError, ResultFileError
from perfsuite.small_files import read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SECTION = "min-effect"
MAX_PERCENT = 1000.0
"""A change to eleven times as long; beyond it lies a typing error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What counts as a change.

    Attributes:
        default: As a ratio less 1, for benchmarks that no pattern names.
        patterns: Shell patterns (`*`, `?`, `[...]` literally escaped as `[[]`) on the full name; the last match counts.
    """

    default: float
    patterns: tuple[tuple[str, float], ...] = ()

    def __call__(self, fullname: str) -> float:
        """Return what counts as a change of that benchmark."""
        found = self.default
        for pattern, effect in self.patterns:
            if fullname == pattern or fnmatch.fnmatchcase(fullname, pattern):
                found = effect
        return found

    def unused(self, fullnames: Sequence[str]) -> list[str]:
        """Return the patterns that match none of these benchmarks."""
        return [
            pattern
            for pattern, _ in self.patterns
            if pattern not in fullnames and not fnmatch.filter(fullnames, pattern)
        ]


def parse_effect(option: str, text: object) -> float:
    """Return a ratio for `3%` or `0.03`.

    Raises:
        InvalidChoiceError: No number, none above 0 and at most 1000%, or 1 and more without the percent sign.
    """
    is_percent = isinstance(text, str) and text.rstrip().endswith("%")
    number = _number(text.rstrip().removesuffix("%") if isinstance(text, str) else text)
    if not 0 < number <= MAX_PERCENT:
        raise InvalidChoiceError(
            f"{option}: {shown_value(text)} is not a valid change; write 3% or 0.03 for instance, above 0"
        )
    if is_percent:
        return number / 100
    if number >= 1:
        meant = f"{number:g}% or {number / 100:g}"
        raise InvalidChoiceError(f"{option}: {shown_value(text)} would be a change of {100 * number:g}%; write {meant}")
    return number


def _number(value: object) -> float:
    """Return a number, or NaN where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def parse_alpha(text: str) -> float:
    """Return the chance of any false alarm.

    Raises:
        InvalidChoiceError: No number between 0 and 0.5.
    """
    try:
        alpha = float(text)
    except ValueError:
        alpha = -1.0
    if not 1e-6 <= alpha <= 0.5:  # noqa: PLR2004 - beyond a half every coin is a proof
        raise InvalidChoiceError(f"--alpha: {text[:40]!r} is not a probability; choose from 0.000001 to 0.5")
    return alpha


def parse_margin(text: str) -> float:
    """Return the smallest loss of accuracy that counts, as a ratio, for points of a percent.

    Raises:
        InvalidChoiceError: No number from 0.01 to 50.
    """
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0.01 <= points <= 50:  # noqa: PLR2004 - one of 10,000 images; half of all
        raise InvalidChoiceError(
            f"--accuracy-margin: {text[:40]!r} is not a loss of accuracy in points; choose from 0.01 to 50"
        )
    return points / 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What counts as a change, and how often a false verdict may occur.

    Attributes:
        thresholds: What counts as a change of a time.
        margin: The smallest loss of accuracy that counts, as a ratio.
        alpha: Chance of any false verdict.
    """

    thresholds: Thresholds
    margin: float
    alpha: float


def read_thresholds(default: float, path: Path | None) -> Thresholds:
    """Read the file, if there is one: a table `[min-effect]` of patterns and changes, `"*resnet50*" = "5%"`.

    Raises:
        ResultFileError: It cannot be read, is not TOML, or holds something else.
        InvalidChoiceError: A value in it is no change.
    """
    if path is None:
        return Thresholds(default=default)
    content = read_toml(path)
    section = content.get(SECTION)
    if not isinstance(section, dict) or set(content) != {SECTION}:
        found = ", ".join(sorted(content)) or "nothing"
        raise ResultFileError(f"{path}: contains {found[:80]}; one table [{SECTION}] of patterns and changes is needed")
    patterns = tuple((pattern, parse_effect(f"{path}: {pattern}", value)) for pattern, value in section.items())
    return Thresholds(default=default, patterns=patterns)

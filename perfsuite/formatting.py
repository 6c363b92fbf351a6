"""Text for people: what comes from files and command lines is shown without anything that a terminal acts on."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

MAX_LINE_CHARACTERS: Final = 1000
"""Of an error message. Longer ones are cut in the middle: the end says how to fix it."""

_OMITTED = " [...] "

_ASCII_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ASCII_CONTROL_BUT_NEWLINES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_NOT_PLAIN = re.compile(r"[^\x20-\x7e]")
_NOT_PLAIN_BUT_NEWLINES = re.compile(r"[^\x0a\x20-\x7e]")


def printable(text: str) -> str:
    """Replace what a terminal would act on: names come from files, and files from anywhere."""
    if text.isascii():
        return _ASCII_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return _NOT_PLAIN.sub(_visible, text)


def printable_lines(text: str) -> str:
    """Do the same to text of several lines, which stay lines; no-break spaces, which keep intervals together, stay."""
    if text.isascii():
        return _ASCII_CONTROL_BUT_NEWLINES.sub("\N{REPLACEMENT CHARACTER}", text)
    return _NOT_PLAIN_BUT_NEWLINES.sub(_visible_or_space, text)


def printable_json(text: str) -> str:
    """Write such characters of a JSON text as escapes: what it says stays the same."""
    if text.isascii():
        return text.replace("\x7f", "\\u007f")  # the only one that JSON does not escape itself
    return _NOT_PLAIN_BUT_NEWLINES.sub(_escaped, text)


def one_line(text: str) -> str:
    """Return a message as one printable line of limited length."""
    if len(text) > 2 * MAX_LINE_CHARACTERS:  # before anything that takes time in proportion to it
        text = text[:MAX_LINE_CHARACTERS] + text[-MAX_LINE_CHARACTERS:]
    line = printable(re.sub(r"[\t\r\n]+", " ", text.strip()))
    if len(line) <= MAX_LINE_CHARACTERS:
        return line
    end = MAX_LINE_CHARACTERS // 3
    return line[: MAX_LINE_CHARACTERS - end - len(_OMITTED)] + _OMITTED + line[-end:]


def _visible(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else "\N{REPLACEMENT CHARACTER}"


def _visible_or_space(found: re.Match[str]) -> str:
    return found[0] if found[0] == "\N{NO-BREAK SPACE}" else _visible(found)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")  # JSON escapes are UTF-16: two of them beyond U+FFFF
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


MIB_BYTES = 1024**2
"""Bytes in a mebibyte. Source: IEC 80000-13."""

GIB_BYTES = 1024**3
"""Bytes in a gibibyte. Source: IEC 80000-13."""


def significant(value: float, digits: int = 4) -> str:
    """Return `value` with `digits` significant digits and no exponent for the sizes that occur here."""
    if value == 0:
        return "0"
    return f"{value:,.{num_decimals(value, digits)}f}"


def num_decimals(value: float, digits: int) -> int:
    """Return how many decimals show so many significant digits of a value after rounding: 1 of 9.996 and 3 digits."""
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return max(0, digits - 1 - exponent)


def duration(seconds: float) -> str:
    """Return a time with four significant digits in the unit that suits it: `12.34 us`, `1.500 s`."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{significant(seconds * scale)} {unit}"
    return f"{significant(seconds * 1e9)} ns"


def duration_in_words(seconds: float) -> str:
    """Return a duration as people say it: `50 s`, `2 min 10 s`, `3 h 20 min`."""
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:  # noqa: PLR2004 - minutes in an hour
        return f"{minutes} min {seconds % 60 // 10 * 10:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min"


def utc_text(started_s: float, form: str) -> str | None:
    """Return a moment in UTC as text; None for what is none, such as NaN or a year that no calendar has.

    Args:
        started_s: Seconds since 1970.
        form: As `strftime` takes it.
    """
    try:
        return dt.datetime.fromtimestamp(started_s, tz=dt.UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return None


def first_line(error: BaseException | str) -> str:
    """Return the first line of what an error says, or its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


def plural(number: int, noun: str) -> str:
    """Return a number and what is counted: `1 seed`, `3 processes`."""
    return counted(f"{number:,}", noun)


def counted(number: str, noun: str) -> str:
    """Return a number, or a span of numbers, and what is counted: `1 seed`, `3 to 5 seeds`."""
    if number == "1":
        return f"1 {noun}"
    ending = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{ending}"

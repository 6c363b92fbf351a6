"""The exception tree: every error that a user can cause or must act on, each with a one-line message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from perfsuite.formatting import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


class PerfsuiteError(Exception):
    """Base of all errors raised on purpose; the message is one line, fit to be shown to a user as it stands.

    Names, keys and values in it come from files: what a terminal acts on is replaced here, and the length limited.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class InvalidChoiceError(PerfsuiteError):
    """A name or value that is not among those allowed."""


class DeviceUnavailableError(PerfsuiteError):
    """The device that was asked for cannot be used, or none can be chosen without guessing."""


class InstallationError(PerfsuiteError):
    """A package that is needed is missing or broken; a cell that meets it fails."""


class NotSupportedError(PerfsuiteError):
    """This hardware or this torch lacks what was asked for; a cell that meets it is skipped with the reason."""


class PrecisionNotInForceError(PerfsuiteError):
    """The precision asked for is not what the device computes in; a cell that meets it fails and yields no number."""


class MeasurementError(PerfsuiteError):
    """A measurement contradicts itself; a cell that meets it fails and yields no number."""


class HarnessOverheadError(PerfsuiteError):
    """What the suite itself adds to a step is beyond its limit; the cell fails and keeps its readings."""


class InconclusiveError(PerfsuiteError):
    """A check could not be decided in the time that it had; the cell fails as `cannot tell` and keeps its readings."""


class OutOfMemoryError(PerfsuiteError):
    """The device had no room for the workload."""


class DeviceLostError(PerfsuiteError):
    """The device cannot be used any more in this process; the cell fails, and those that follow are not run."""


class ResultFileError(PerfsuiteError):
    """A result file cannot be read or written; the message names the file and the reason."""


class DataError(PerfsuiteError):
    """Images cannot be found, read or trusted; the message names the file."""


class FolderInUseError(PerfsuiteError):
    """Another process works in a folder that only one may work in; the message names the folder and the process."""


class CampaignError(PerfsuiteError):
    """An A/B run cannot be begun, resumed or finished; the message names the option or the process."""


class RecordError(PerfsuiteError):
    """A record does not have the form that its schema asks for; the message names the field."""


def choose(table: Mapping[str, T], name: str, *, kind: str) -> T:
    """Pick an entry by name.

    Args:
        table: The entries by name.
        name: What the user asked for.
        kind: What the entries are, in the singular, for the message.

    Raises:
        InvalidChoiceError: `name` is not in `table`; the message lists what is.
    """
    try:
        return table[name]
    except KeyError:
        raise InvalidChoiceError(f"unknown {kind} {name!r}; choose from {', '.join(sorted(table))}") from None


def require_device_name(option: str, name: str) -> None:
    """Check that an option names a device, whether or not it is there.

    Raises:
        InvalidChoiceError: It does not; the message names the option.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name):
        raise InvalidChoiceError(f"{option}: unknown device {name[:20]!r}; choose from auto, cuda, cuda:N, cpu")


def split_names(option: str, value: str) -> tuple[str, ...]:
    """Return the names of a comma-separated option, each once, in their order.

    Raises:
        InvalidChoiceError: One of them is empty; the message names the option.
    """
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise InvalidChoiceError(f"{option}: {value!r} has an empty name in it; give names separated by commas")
    return tuple(dict.fromkeys(names))


def parse_batch_sizes(option: str, value: str, largest: int) -> tuple[int, ...]:
    """Return the batch sizes of a comma-separated option, each once, in their order.

    Raises:
        InvalidChoiceError: One is no whole number from 1 to `largest`; the message names the option.
    """
    return tuple(dict.fromkeys(_parse_batch_size(option, part, largest) for part in split_names(option, value)))


def _parse_batch_size(option: str, value: str, largest: int) -> int:
    """Return a batch size from what the user wrote.

    Raises:
        InvalidChoiceError: No whole number from 1 to `largest`; the message names the option.
    """
    # Longer texts are not even read: Python refuses whole numbers of thousands of digits.
    fits = value.isascii() and value.isdigit() and len(value) <= len(str(largest)) and 1 <= int(value) <= largest
    if not fits:
        raise InvalidChoiceError(
            f"{option}: {value[:20]!r} is not a batch size; whole numbers from 1 to {largest} are allowed"
        )
    return int(value)

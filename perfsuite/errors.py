"""The exception tree: every error that a user can cause or must act on, each with a one-line message."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


class PerfsuiteError(Exception):
    """Base of all errors raised on purpose; the message is one line, fit to be shown to a user as it stands."""


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


class OutOfMemoryError(PerfsuiteError):
    """The device had no room for the workload."""


class ResultFileError(PerfsuiteError):
    """A result file cannot be read or written; the message names the file and the reason."""


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

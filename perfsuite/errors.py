"""The exception tree: every error that a user can cause or must act on, each with a one-line message."""

from __future__ import annotations

from perfsuite.formatting import one_line


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


class PrecisionNotActiveError(PerfsuiteError):
    """The precision asked for is not what the device computes in; a cell that meets it fails and yields no number."""


class ModelError(PerfsuiteError):
    """A network that is not the suite's own cannot be found, built, fed or trained; the message names it."""


class MeasurementError(PerfsuiteError):
    """A measurement contradicts itself; a cell that meets it fails and yields no number."""


class HarnessOverheadError(PerfsuiteError):
    """What the suite itself adds to a step is beyond its limit; the cell fails and keeps its readings."""


class ClaimError(PerfsuiteError):
    """What was measured is not what it should be; of a study of mixed precision, the cell keeps its record."""


class InconclusiveError(PerfsuiteError):
    """A check could not be decided in the time that it had; the cell fails as `cannot tell` and keeps its readings."""


class OutOfMemoryError(PerfsuiteError):
    """The workload does not fit the device's memory."""


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


class FleetError(PerfsuiteError):
    """A fleet cannot be begun, resumed or finished; the message names the file, kind, environment or node."""


class RecordError(PerfsuiteError):
    """A record does not have the form that its schema asks for; the message names the field."""

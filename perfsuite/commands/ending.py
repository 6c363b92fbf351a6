"""How every command ends: with its status, or with one line that says why not; never with a traceback."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite import __version__
from perfsuite.commands.parser import EXIT_CRASHED, EXIT_INTERRUPTED, EXIT_USAGE
from perfsuite.commands.streams import drop, say
from perfsuite.errors import PerfsuiteError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = {
    "torch": "torch torchvision",
    "torchvision": "torchvision",
    "pynvml": "nvidia-ml-py",
    "PIL": "pillow",
    "optuna": "'optuna>=4,<5'",
}
"""What to install for a module whose package is named otherwise, or comes with another."""


@dataclass(slots=True)
class Ending:
    """How a command ended.

    Attributes:
        status: Its exit status.
    """

    status: int = 0


@contextlib.contextmanager
def ending_in_one_line() -> Iterator[Ending]:
    """Run a command in this block; whatever it raises becomes a line on standard error and an exit status."""
    ending = Ending()
    try:
        yield ending
    except SystemExit:  # of argparse: --help, or a wrong option
        if not _flushed():
            raise SystemExit(EXIT_USAGE) from None
        raise
    except PerfsuiteError as error:
        ending.status = _failed(str(error))
    except KeyboardInterrupt:
        say("perfsuite: interrupted")
        ending.status = EXIT_INTERRUPTED
    except BrokenPipeError:
        drop(sys.stdout)
    except MemoryError:
        ending.status = _failed("not enough memory")
    except ModuleNotFoundError as error:
        ending.status = _crashed(error) if _is_ours(error) else _failed(_missing_in_words(error))
    except Exception as error:  # noqa: BLE001 - the last resort: status 1 would be read as a verdict
        ending.status = _crashed(error)
    if not _flushed():
        ending.status = EXIT_USAGE


def _failed(message: str) -> int:
    say(f"perfsuite: error: {message}")
    return EXIT_USAGE


def _crashed(error: BaseException) -> int:
    """Keep the traceback in a file, and say where it is."""
    path = None
    with contextlib.suppress(OSError):
        handle, path = tempfile.mkstemp(prefix="perfsuite-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"perfsuite {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
            file.write(f"arguments: {sys.argv[1:]!r}\n\n")
            file.writelines(traceback.format_exception(error))
    where = f"please report it with {path}, which has the details" if path else "please report it"
    say(f"perfsuite: internal error: {type(error).__name__}: {str(error)[:200]}; this is a bug in perfsuite: {where}")
    return EXIT_CRASHED


def _is_ours(error: ModuleNotFoundError) -> bool:
    return error.name is None or error.name.partition(".")[0] == "perfsuite"


def _missing_in_words(error: ModuleNotFoundError) -> str:
    module = (error.name or "").partition(".")[0]
    packages = PACKAGES.get(module, module)
    return (
        f"this command needs {module}, which is not installed for {sys.executable}: "
        f"pip install {packages} (see Install in the README)"
    )


def _flushed() -> bool:
    """Write what is left in the buffer; at exit an error would be a traceback."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        drop(sys.stdout)
    except (OSError, ValueError) as error:
        drop(sys.stdout)
        _failed(f"standard output: cannot be written: {getattr(error, 'strerror', None) or error}")
        return False
    return True

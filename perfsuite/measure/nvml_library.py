"""The library NVML: what a driver lacks is None, and no call is waited for forever. Nothing else imports pynvml."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CALL_LIMIT_S = 10.0
"""After which a call counts as hung: most return within milliseconds."""

START_LIMIT_S = 30.0
"""The same for starting NVML and listing the GPUs: without persistence mode the driver initialises every GPU first."""

NOT_REPORTED = "not reported by NVML"


class NvmlUnavailableError(Exception):
    """NVML cannot be asked; the text says why.

    Attributes:
        is_hung: Whether it does not answer.
    """

    def __init__(self, reason: str, *, is_hung: bool = False) -> None:
        """Build it."""
        super().__init__(reason)
        self.is_hung = is_hung


class BoundedCalls:
    """Makes calls in daemon threads; after one that does not return it makes no other.

    A driver that has lost a GPU can block a call inside the kernel, where no signal and no exception reaches it.
    """

    def __init__(self, limit_s: float = CALL_LIMIT_S, start_limit_s: float = START_LIMIT_S) -> None:
        """Build it.

        Args:
            limit_s: How long a call is waited for.
            start_limit_s: The same for starting NVML and listing the GPUs.
        """
        self.limit_s = limit_s
        self.start_limit_s = start_limit_s
        self.hung: str | None = None

    def call(self, function: Callable[[], T], limit_s: float | None = None) -> T:
        """Return what the function returns, or raise what it raises.

        Raises:
            NvmlUnavailableError: It did not return in time, or an earlier call did not.
        """
        if self.hung is not None:
            raise NvmlUnavailableError(self.hung, is_hung=True)
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(function())
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
                errors.append(error)

        self.join(_started(run), self.limit_s if limit_s is None else limit_s)
        if errors:
            raise errors[0]
        if not results:
            raise NvmlUnavailableError(self.hung or NOT_REPORTED, is_hung=True)
        return results[0]

    def join(self, thread: threading.Thread, limit_s: float | None = None) -> None:
        """Wait for a thread that calls NVML; one that does not end in time counts as hung."""
        limit = self.limit_s if limit_s is None else limit_s
        thread.join(limit)
        if thread.is_alive():
            self.hung = f"NVML did not answer within {limit:g} s"


def _started(run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, name="perfsuite NVML", daemon=True)
    thread.start()
    return thread


_CALLS = BoundedCalls()
"""Of the real library: one driver, and one knowledge of whether it hangs, for the whole process."""


class Nvml:
    """NVML, started."""

    def __init__(self, library: Any, calls: BoundedCalls) -> None:
        """Build it; `connect_nvml` starts NVML as well.

        Args:
            library: A module with the interface of `pynvml`.
            calls: Bounds its calls in time.
        """
        self.library = library
        self.calls = calls
        # An unversioned function whose newest version the driver lacks raises this one, which is no NVMLError.
        mismatch = getattr(library, "NVMLLibraryMismatchError", library.NVMLError)
        self._errors: tuple[type[Exception], ...] = (library.NVMLError, mismatch)

    def ask(self, question: str, *arguments: Any) -> Any:
        """Return what NVML answers, or None where the library, the driver or the GPU does not know it.

        It may hang: call it within `calls.call`, or in a thread that is waited for by `calls.join`.
        """
        function = getattr(self.library, question, None)
        if function is None:
            return None
        try:
            return function(*arguments)
        except self._errors:
            return None

    def constant(self, name: str, value: int) -> int:
        """Return a constant of NVML, which a stand-in for it need not have."""
        return int(getattr(self.library, name, value))


def connect_nvml(library: Any = None, calls: BoundedCalls | None = None) -> Nvml:
    """Start NVML; it stays started until the process ends, since starting it again takes longer than a reading.

    Args:
        library: A module with the interface of `pynvml`; the real one if not given.
        calls: Bounds its calls in time; those of the real library are bounded together if not given.

    Raises:
        NvmlUnavailableError: It does not start, or does not answer.
    """
    if library is None:
        try:
            import pynvml
        except ImportError:
            raise NvmlUnavailableError("nvidia-ml-py is not installed") from None
        library, calls = pynvml, calls or _CALLS
    nvml = Nvml(library, calls or BoundedCalls())
    try:
        nvml.calls.call(library.nvmlInit, nvml.calls.start_limit_s)
    except library.NVMLError as error:
        raise NvmlUnavailableError(f"NVML does not start: {error}") from None
    return nvml

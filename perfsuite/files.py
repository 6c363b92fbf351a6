"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file by a new one in one step: a reader, or whoever comes after a crash, sees the old or the new.

    A symbolic link stays one; what is no ordinary file (a terminal, /dev/null) is written to as it is.

    Args:
        path: The file.
        content: Its whole content; text is written as UTF-8, what Unicode cannot encode becomes a question mark.

    Raises:
        OSError: It cannot be written; the old file is untouched.
    """
    path = Path(os.path.realpath(path))
    if path.is_symlink():  # only a loop of links is still one
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    data = content.encode("utf-8", errors="replace") if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

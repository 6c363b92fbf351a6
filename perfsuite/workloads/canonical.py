"""The fingerprint of the original CIFAR-10, kept on the machine where its archive was once verified.

The archive is known by its published MD5 sum. Its pixels then have a fingerprint, by which they are recognised in any
container afterwards: a mirror as PNG files, for instance.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from perfsuite.atomic_write import open_ordinary, write_atomically
from perfsuite.errors import DataError

FORMAT = "perfsuite-canonical-1"

MAX_BYTES = 4096
"""Of the file; it takes about 150."""


def cache_folder() -> Path:
    """Return the user's cache folder for perfsuite.

    Raises:
        DataError: The user's home folder is not known.
    """
    cache = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(cache) if cache else Path.home() / ".cache") / "perfsuite"
    except RuntimeError:
        raise DataError("no home folder of the user is known; set HOME or XDG_CACHE_HOME") from None


def canonical_path() -> Path:
    """Return the file of the fingerprint, in the user's cache folder wherever the images themselves are."""
    return cache_folder() / "cifar10-canonical.json"


def keep_canonical_fingerprint(fingerprint: str) -> None:
    """Keep the fingerprint of an archive whose MD5 sum was verified.

    Raises:
        DataError: The file cannot be written.
    """
    path = canonical_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps({"format": FORMAT, "fingerprint": fingerprint}))
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def canonical_fingerprint() -> str | None:
    """Return the fingerprint of the original CIFAR-10, or None where its archive was never verified on this machine.

    Raises:
        DataError: The file is damaged.
    """
    path = canonical_path()
    try:
        with open_ordinary(path) as stream:
            text = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    fingerprint = _read(text)
    if fingerprint is None:
        raise DataError(f"{path}: damaged; delete it, `perfsuite data download` verifies the original CIFAR-10 again")
    return fingerprint


def _read(text: bytes) -> str | None:
    """Return the fingerprint in the file's content, or None where it is damaged."""
    if len(text) > MAX_BYTES:
        return None
    try:
        content: Any = json.loads(text)
        fingerprint = content["fingerprint"] if content["format"] == FORMAT else ""
        return fingerprint if re.fullmatch("[0-9a-f]{64}", fingerprint) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None

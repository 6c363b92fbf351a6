"""Crash-safe checkpoints: written whole, checked by digest, the one before kept; never unpickled."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from perfsuite.atomic_write import open_ordinary, write_atomically
from perfsuite.errors import DataError, RecordError
from perfsuite.formatting import GIB_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAGIC = b"perfsuite-checkpoint-1\n"
NAME = "checkpoint.pt"
BEFORE = "checkpoint.before.pt"

MAX_BYTES = 2 * GIB_BYTES
"""Of a checkpoint; that of the largest network here, a ResNet-152, has 470 MB."""


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint in one step; the one that stood there becomes the one before.

    Raises:
        DataError: The disk is full or the folder cannot be written; what stood there is untouched.
    """
    stream = io.BytesIO()
    torch.save(state, stream)
    payload = stream.getvalue()
    content = MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / NAME, content, keep=folder / BEFORE)
    except OSError as error:
        raise DataError(f"{folder / NAME}: the checkpoint cannot be written: {error.strerror or error}") from None


def remove_checkpoints(folder: Path) -> None:
    """Free the disk of a training that is finished: a replay needs its record alone."""
    for name in (NAME, BEFORE):
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def load_checkpoint(
    folder: Path, *, device: torch.device, check: Callable[[dict[str, Any]], None], warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the newest checkpoint that is whole and fits, or None if there is none.

    Args:
        folder: Where they lie.
        device: Where its tensors go.
        check: Raises a RecordError for a state that this training cannot be resumed from.
        warn: Called with one line on why a checkpoint was skipped.
    """
    for name in (NAME, BEFORE):
        path = folder / name
        try:
            state = _read(path, device)
            check(state)
        except FileNotFoundError:
            continue
        except OSError as error:
            warn(f"{path}: cannot be read ({error.strerror or error}); skipped")
        except RecordError as error:
            warn(f"{path}: {error}; resuming from the previous one, or from the start")
        else:
            return state
    return None


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    """Return the state in a checkpoint, nothing of which is believed before its digest is right.

    Raises:
        OSError: It cannot be read.
        RecordError: It is damaged.
    """
    with open_ordinary(path) as stream:
        header = stream.read(len(MAGIC) + 65)
        if os.fstat(stream.fileno()).st_size > MAX_BYTES:
            raise RecordError(f"damaged: more than {MAX_BYTES // GIB_BYTES} GiB")
        payload = stream.read() if header.startswith(MAGIC) else b""
    if not payload or hashlib.sha256(payload).hexdigest().encode() + b"\n" != header[len(MAGIC) :]:
        raise RecordError("damaged")
    try:
        state = _unpickled(payload, device)
    except Exception:  # noqa: BLE001 - whatever torch finds wrong with a file is damage
        state = None
    if not isinstance(state, dict):
        raise RecordError("damaged")
    return state


def _unpickled(payload: bytes, device: torch.device) -> Any:
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        num_bytes = sum(info.file_size for info in archive.infolist())
    if num_bytes > len(payload):  # torch.save compresses nothing
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, for what is no checkpoint of it
        return torch.load(io.BytesIO(payload), map_location=device, weights_only=True)

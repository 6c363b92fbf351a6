"""Checkpoints that survive the night: written whole, checked by digest, the one before kept; never unpickled."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from perfsuite.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = b"perfsuite-checkpoint-1\n"
NAME = "checkpoint.pt"
BEFORE = "checkpoint.before.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint in one step; the one that stood there becomes the one before.

    Raises:
        DataError: The disk is full or the folder cannot be written; what stood there is untouched.
    """
    stream = io.BytesIO()
    torch.save(state, stream)
    payload = stream.getvalue()
    temporary: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{NAME}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
            file.flush()
            os.fsync(file.fileno())
        current = folder / NAME
        if current.exists():
            current.replace(folder / BEFORE)
        temporary.replace(current)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise DataError(f"{folder / NAME}: the checkpoint cannot be written: {error.strerror or error}") from None


def remove_checkpoints(folder: Path) -> None:
    """Free the disk of a training that is finished: a replay needs its record alone."""
    for name in (NAME, BEFORE):
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def load_checkpoint(
    folder: Path, *, device: torch.device, fits: Callable[[dict[str, Any]], bool], warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the newest checkpoint that is whole and fits, or None if there is none.

    Args:
        folder: Where they lie.
        device: Where its tensors go.
        fits: Whether a state is of this very training.
        warn: Told in one line why a checkpoint was passed over.
    """
    for name in (NAME, BEFORE):
        path = folder / name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            warn(f"{path}: cannot be read ({error.strerror}); passed over")
            continue
        state = _read(content, device)
        if state is None:
            warn(f"{path}: damaged; going on from the one before it, or from the beginning")
        elif not fits(state):
            warn(f"{path}: of another training (other recipe, data or versions of the format); passed over")
        else:
            return state
    return None


def _read(content: bytes, device: torch.device) -> dict[str, Any] | None:
    header = len(MAGIC) + 65
    if not content.startswith(MAGIC) or len(content) <= header:
        return None
    digest, payload = content[len(MAGIC) : header - 1], content[header:]
    if hashlib.sha256(payload).hexdigest().encode() != digest:
        return None
    try:
        state = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    except Exception:  # noqa: BLE001 - whatever torch finds wrong with a file is damage
        return None
    return state if isinstance(state, dict) else None

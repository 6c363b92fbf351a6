"""Reads arrays of whole numbers from an .npz file from anywhere: nothing is unpickled, no size in it is believed."""

from __future__ import annotations

import math
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.atomic_write import open_ordinary
from perfsuite.workloads.archives import check_unpacked, errors_named, open_zip, open_zip_member
from perfsuite.workloads.memory_budget import MIN_BYTES, MemoryBudget

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BLOCK_BYTES = 1024**2


ALLOWED_TYPES = (np.dtype(np.uint8), np.dtype("<u2"))


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """Read these arrays of uint8 or uint16, of whatever shape.

    Raises:
        DataError: It is no such file, it is damaged, or would take too much memory.
    """
    budget = MemoryBudget(path)
    missing = (
        "no such file; `perfsuite data download` fetches CIFAR-10, `perfsuite data import PATH` takes class folders"
    )
    with errors_named(path, "not a data set of perfsuite, or damaged", missing=missing), open_ordinary(path) as stream:
        if not zipfile.is_zipfile(stream):
            raise ValueError("no zip archive, which an .npz file is")
        with open_zip(stream, budget) as archive:
            members = {info.filename: info for info in archive.infolist()}
            for name in names:
                if f"{name}.npy" not in members:
                    raise ValueError(f"it has no {name}")
                member = members[f"{name}.npy"]
                check_unpacked(member.file_size, member.compress_size, always_bytes=MIN_BYTES)
                budget.take(member.file_size, name)
            return {name: _read(archive, members[f"{name}.npy"]) for name in names}


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray[Any, np.dtype[Any]]:
    with open_zip_member(archive, info) as stream:
        shape, dtype = _read_header(stream)
        num_bytes = info.file_size - stream.tell()
        if dtype not in ALLOWED_TYPES or math.prod(shape) * dtype.itemsize != num_bytes:
            raise ValueError(f"{info.filename} is {dtype} {shape} in {num_bytes:,} bytes; uint8 is needed")
        array = np.empty(shape, dtype)
        rest = array.reshape(-1).view(np.uint8).data
        while rest:
            block = stream.read(min(_BLOCK_BYTES, len(rest)))
            if not block:
                raise EOFError("it ends too early")
            rest[: len(block)] = block
            rest = rest[len(block) :]
        if stream.read(1):  # the end is where the checksum is compared
            raise ValueError(f"{info.filename} is longer than its header says")
    return array


def _read_header(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):  # only its header is shorter than 64 KiB
        raise ValueError(f"version {version} of the format; 1.0 is needed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python's parser, for headers that are wrong
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if is_fortran and len(shape) > 1:
        raise ValueError("an array in the order of Fortran; that of C is needed")
    return shape, dtype

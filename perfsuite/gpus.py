"""What GPUs can do at most, by the names that people, torch and `nvidia-smi` give them."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from perfsuite.errors import InvalidChoiceError
from perfsuite.gpu_catalogue import catalogue

if TYPE_CHECKING:
    from perfsuite.gpu_sheet import Gpu

GPUS = {gpu.name: gpu for gpu in catalogue()}

MIG = re.compile(r"(?P<board>.+?) MIG (?P<slices>[1-7])g\.(?P<gb>[0-9]{1,3})gb(?:\+.*)?\Z", re.IGNORECASE)
"""How torch names a slice of a GPU: `NVIDIA A100-SXM4-40GB MIG 1g.5gb`."""

MIG_SLICES = {"a30": 4}
"""Compute slices of a GPU that is divided; 7 but for these. Source: NVIDIA Multi-Instance GPU User Guide."""

MEMORY_EIGHTHS = {1: 1, 2: 2, 3: 4, 4: 4, 7: 8}
"""Of the memory and its bandwidth, by compute slices. Source: the same, fraction of memory; an A30 has quarters."""


def choose_gpu(option: str) -> Gpu:
    """Return the GPU that `--gpu` names: as the catalogue, torch or `nvidia-smi` calls it.

    Raises:
        InvalidChoiceError: There is none of that name.
    """
    found = GPUS.get(option.strip().lower()) or gpu_named(option)
    if found is None:
        names = ", ".join(GPUS)
        raise InvalidChoiceError(
            f"--gpu: unknown GPU {option[:60]!r}; choose from {names}, or a name as torch gives it"
        )
    return found


def choose_gpus(option: str) -> tuple[Gpu, ...]:
    """Return the GPUs that `--gpu` names: several separated by commas, or `all` of the catalogue.

    Raises:
        InvalidChoiceError: There is none of a name.
    """
    if option.strip().lower() == "all":
        return tuple(GPUS.values())
    chosen = [choose_gpu(name) for name in option.split(",") if name.strip()]
    if not chosen:
        raise InvalidChoiceError(f"--gpu: {option[:60]!r} names no GPU; choose from all, {', '.join(GPUS)}")
    return tuple({gpu.name: gpu for gpu in chosen}.values())


def gpu_named(torch_name: str | None) -> Gpu | None:
    """Return the data sheet of a GPU by the name that torch or `nvidia-smi` gives it, or None.

    A slice of a GPU (MIG) has its share of the sheet, and a name of its own.
    """
    if torch_name is None:
        return None
    slice_ = MIG.match(torch_name.strip())
    if slice_ is not None:
        board = gpu_named(slice_["board"])
        return (
            None if board is None else _slice_of(board, num_slices=int(slice_["slices"]), gigabytes=int(slice_["gb"]))
        )
    return _BY_NAME.get(_plain(torch_name))


def _plain(name: str) -> str:
    """Return the letters and digits of a name, without what drivers have put before it over the years."""
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).split()
    return "".join(word for word in words if word not in {"nvidia", "geforce", "tesla", "quadro", "amd"})


_BY_NAME = {_plain(name): gpu for gpu in GPUS.values() for name in (gpu.name, *gpu.torch_names)}


def _slice_of(board: Gpu, *, num_slices: int, gigabytes: int) -> Gpu | None:
    """Return the share of a sheet that a slice of the GPU has."""
    num_all = MIG_SLICES.get(board.name, 7)
    if num_slices > num_all or num_slices not in MEMORY_EIGHTHS:
        return None
    compute = num_slices / num_all
    memory = num_slices / num_all if board.name in MIG_SLICES else MEMORY_EIGHTHS[num_slices] / 8
    sizes = dataclasses.replace(
        board.memory,
        total_bytes=round(board.memory.total_bytes * memory),
        source=f"{board.memory.source}; {memory:.0%} of it",
    )
    return dataclasses.replace(
        board,
        name=f"{board.name} MIG {num_slices}g.{gigabytes}gb",
        num_sms=round(board.num_sms * compute),
        peak_flops={precision: peak * compute for precision, peak in board.peak_flops.items()},
        bytes_per_second=board.bytes_per_second * memory,
        power_watts=board.power_watts * compute,
        memory=sizes,
        note=f"a slice of the GPU: {num_slices} of {num_all} parts of its compute, {memory:.0%} of its memory",
    )

"""What an error of the device means: its memory is full, or it cannot be used any more in this process."""

from __future__ import annotations

import torch

from perfsuite.errors import PerfsuiteError
from perfsuite.formatting import first_line

OUT_OF_MEMORY = tuple(
    text.lower()
    for text in (
        "can't allocate memory",  # torch's allocator on a CPU
        "CUDA out of memory",  # torch's allocator on a GPU, where the type of its error was lost on the way
        # The driver, outside of torch's allocator: contexts, kernels that are loaded, segments that are mapped. A
        # RuntimeError, from torch 2.8 on torch.AcceleratorError, which is one too.
        "CUDA error: out of memory",
        "CUDA driver error: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
        "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        # cuDNN, when the workspace of no algorithm fits. torch puts FIND or GET before it, by `cudnn.benchmark`.
        "unable to find an engine to execute this computation",
        "Unable to find a valid cuDNN algorithm to run convolution",
    )
)
"""What a RuntimeError says where memory ran out, in lower case."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: an error of its own on CUDA, a MemoryError, or a RuntimeError that says so."""
    if isinstance(error, PerfsuiteError):
        return False
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in OUT_OF_MEMORY)


def why_device_is_lost(device: torch.device) -> str | None:
    """Return why nothing can be computed on the device any more in this process, or None if it can.

    Most errors of CUDA are returned once. Some are returned by every call that follows, and only a new process can use
    the GPU again; so what counts is that waiting for the device fails twice in a row.
    Source: CUDA Runtime API, cudaError_t, cudaErrorIllegalAddress for instance: "any further CUDA work will return the
    same error. To continue using CUDA, the process must be terminated and relaunched."
    """
    if device.type != "cuda":
        return None
    reason = ""
    for _ in range(2):
        try:
            torch.cuda.synchronize(device)
        except RuntimeError as error:
            if is_out_of_memory(error):
                return None
            reason = first_line(error)
        else:
            return None
    return reason

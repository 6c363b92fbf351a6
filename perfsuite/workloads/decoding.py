"""Decodes images on all cores. Imports nothing large, torch least of all: every worker process imports this."""

from __future__ import annotations

import io
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.child_process import signals_held, worker_started

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

IMAGE_SIZE = 32
"""H and W of a CIFAR-10 image. Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009)."""

FORMATS = ("PNG", "JPEG")
CHUNK = 1000
"""Images that are handed to a worker at once."""

Images = np.ndarray[Any, np.dtype[np.uint8]]


def decode_images(
    files: Sequence[bytes], names: Sequence[str], *, report: Callable[[int], None] = lambda _done: None
) -> Images:
    """Decode PNG and JPEG files on all cores.

    Args:
        files: Contents of the files.
        names: What they are called, for errors.
        report: Told how many are done, now and then.

    Returns:
        [N, 3, 32, 32] uint8, RGB.

    Raises:
        ValueError: A file is no such image; one line naming it.
    """
    starts = range(0, len(files), CHUNK)
    decoded: list[Images] = []
    num_workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 16)
    if num_workers == 1 or len(files) <= CHUNK:
        for start in starts:
            decoded.append(_decode_chunk(files[start : start + CHUNK], names[start : start + CHUNK]))
            report(min(start + CHUNK, len(files)))
    else:
        # A fresh interpreter for each: one that was forked from a process with torch's threads may hang.
        workers = ProcessPoolExecutor(
            num_workers, mp_context=get_context("spawn"), initializer=worker_started, initargs=(os.getpid(),)
        )
        with workers as pool:
            with signals_held("SIGINT"):
                futures = [
                    pool.submit(_decode_chunk, files[start : start + CHUNK], names[start : start + CHUNK])
                    for start in starts
                ]
            try:
                for start, future in zip(starts, futures, strict=True):
                    decoded.append(future.result())
                    report(min(start + CHUNK, len(files)))
            except BaseException:
                running = list((getattr(pool, "_processes", None) or {}).values())  # a public name comes with 3.14
                pool.shutdown(wait=False, cancel_futures=True)
                for process in running:
                    process.kill()
                raise
    return np.concatenate(decoded) if decoded else np.empty((0, 3, IMAGE_SIZE, IMAGE_SIZE), np.uint8)


def _decode_chunk(files: Sequence[bytes], names: Sequence[str]) -> Images:
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = IMAGE_SIZE * IMAGE_SIZE * 64  # a picture that claims to be huge is not even begun
    out = np.empty((len(files), 3, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for index, (content, name) in enumerate(zip(files, names, strict=True)):
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.size != (IMAGE_SIZE, IMAGE_SIZE):
                    raise ValueError(f"{name}: {image.size[0]}x{image.size[1]} pixels; 32x32 are needed")
                pixels = np.asarray(image.convert("RGB"))
        except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{name}: no PNG or JPEG image ({str(error)[:80]})") from None
        out[index] = pixels.transpose(2, 0, 1)
    return out

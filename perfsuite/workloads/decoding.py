"""Decodes images on all cores. Imports nothing large, torch least of all: every worker process imports this."""

from __future__ import annotations

import io
import os
import warnings
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.child_process import kill_pool, signals_held, worker_started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from PIL import Image

FORMATS = ("PNG", "JPEG")
HOW_TO_RESIZE = "`perfsuite data import PATH --image-size N` makes all of one size"
CHUNK = 1000
"""Images that are handed to a worker at once, at most."""

CHUNK_BYTES = 2 * 1024**2
"""Of their files: with two chunks a worker, 64 MiB on 16 cores."""

Images = np.ndarray[Any, np.dtype[np.uint8]]
Labels = np.ndarray[Any, np.dtype[Any]]
"""[N] of whole numbers."""


MAX_PIXELS = 64_000_000
"""Of one image before and after it is resized: a camera's; 192 MB once it is decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSize:
    """What size decoded images have.

    Attributes:
        size: H and W in pixels.
        is_resized: Whether images of other sizes are made as large; else they are refused.
    """

    size: int
    is_resized: bool = False


def size_of_image(name: str, content: bytes) -> tuple[int, int]:
    """Return width and height of an image in pixels, from its header.

    Raises:
        ValueError: It is no image; one line naming it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, for very large images
        with _opened(name, content) as image:
            return image.size


def decode_images(
    files: Iterable[tuple[str, bytes]], target: TargetSize, *, report: Callable[[int], None] = lambda _done: None
) -> Images:
    """Decode PNG and JPEG files on all cores; no more of them are asked for than are being decoded.

    Where images are resized: the shorter side to the size, bilinear with antialiasing, then the middle is cut out, as
    torchvision's `Resize` and `CenterCrop` do.

    Args:
        files: What each is called, for errors, and its content.
        target: What size they have, or are given.
        report: Called now and then with how many are done.

    Returns:
        [N, 3, H, W] uint8, RGB.

    Raises:
        ValueError: A file is no such image; one line naming it.
    """
    decoded: list[Images] = []
    num_decoded = 0
    for images in _decoded(_chunks(files), target):
        decoded.append(images)
        num_decoded += len(images)
        report(num_decoded)
    # Freed piece by piece as they are copied: np.concatenate would need twice the memory.
    joined = np.empty((num_decoded, 3, target.size, target.size), np.uint8)
    while decoded:
        images = decoded.pop()
        joined[num_decoded - len(images) : num_decoded] = images
        num_decoded -= len(images)
    return joined


def _chunks(files: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    chunk: list[tuple[str, bytes]] = []
    num_bytes = 0
    for file in files:
        chunk.append(file)
        num_bytes += len(file[1])
        if len(chunk) >= CHUNK or num_bytes >= CHUNK_BYTES:
            yield chunk
            chunk, num_bytes = [], 0
    if chunk:
        yield chunk


def _decoded(chunks: Iterator[list[tuple[str, bytes]]], target: TargetSize) -> Iterator[Images]:
    num_workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 16)
    first = list(islice(chunks, 2))
    chunks = chain(first, chunks)
    if num_workers == 1 or len(first) < 2:  # noqa: PLR2004 - one chunk needs no processes
        for chunk in chunks:
            yield _decode_chunk(chunk, target)
        return
    # A fresh interpreter for each: one that was forked from a process with torch's threads may hang.
    workers = ProcessPoolExecutor(
        num_workers, mp_context=get_context("spawn"), initializer=worker_started, initargs=(os.getpid(),)
    )
    with workers as pool:
        waiting: deque[Future[Images]] = deque()
        try:
            for chunk in chunks:
                with signals_held("SIGINT"):
                    waiting.append(pool.submit(_decode_chunk, chunk, target))
                if len(waiting) > 2 * num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            kill_pool(pool)
            raise ValueError(
                "a process that decodes images could not be started, or was ended: memory has run out, or an image "
                "crashes its decoder"
            ) from None
        except BaseException:
            kill_pool(pool)
            raise


def _decode_chunk(files: Sequence[tuple[str, bytes]], target: TargetSize) -> Images:
    out = np.empty((len(files), 3, target.size, target.size), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, for images that are odd but readable
        for index, (name, content) in enumerate(files):
            out[index] = _decode(name, content, target).transpose(2, 0, 1)
    return out


def _decode(name: str, content: bytes, target: TargetSize) -> Images:
    """Return the pixels [H, W, 3] of one image; its size is read from its header and checked before any are decoded."""
    with _opened(name, content) as image:
        width, height = image.size
        if not target.is_resized and (width, height) != (target.size, target.size):
            raise ValueError(
                f"{name}: {width}x{height} pixels; {target.size}x{target.size} are needed, as the first image has; "
                f"{HOW_TO_RESIZE}"
            )
        if max(width * height, target.size**2 * max(width, height) // min(width, height)) > MAX_PIXELS:
            raise ValueError(f"{name}: {width}x{height} pixels; at most {MAX_PIXELS // 10**6} million are read")
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"{name}: more than 8 bits a channel ({image.mode}), which are not read; save it with 8")
        try:
            pixels = image.convert("RGB")
        except Exception as error:  # noqa: BLE001 - see _opened
            raise _no_image(name, error) from None
    return np.asarray(_resized(pixels, target.size))


def _resized(image: Image.Image, size: int) -> Image.Image:
    """Return the middle of an image whose shorter side was made `size` pixels long; one of that size as it is."""
    from PIL import Image

    width, height = image.size
    shorter = min(width, height)
    width, height = (size * width // shorter, size * height // shorter)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image if (width, height) == (size, size) else image.crop((left, top, left + size, top + size))


def _opened(name: str, content: bytes) -> Image.Image:
    """Return an image of which only the header was read."""
    from PIL import Image

    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception as error:  # noqa: BLE001 - Pillow raises a dozen kinds for damaged files
        raise _no_image(name, error) from None


def _no_image(name: str, error: Exception) -> ValueError:
    text = str(error)[:80] or type(error).__name__
    reason = "it begins as neither" if "BytesIO" in text else text  # an address in memory tells nobody anything
    return ValueError(f"{name}: not a PNG or JPEG image ({reason})")

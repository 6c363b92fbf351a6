"""Structure-aware fuzz of the readers of archives, npz files, images, kept results and checkpoints.

The tests run a few hundred cases; for long runs: `PYTHONPATH=. python tests/fuzz_data.py 20000 [SEED]`. A case is one
mutant given to one reader. It fails where the reader raises anything but its own error of one line, runs out of memory
(1 GiB more than before the first case, in long runs) or takes more than 20 s. What failed is printed with its seed.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import lzma
import random
import struct
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from fuzz_commands import mutated
from fuzz_limits import TooLong, limit_memory, limited_time
from generated_images import generated_parts, generated_set, mirror_files, write_mirror
from training_builders import make_training

from perfsuite.errors import PerfsuiteError
from perfsuite.measure.training_job import FINISHED, _digest_of, read_finished
from perfsuite.records.workload import CIFAR10_CLASSES
from perfsuite.workloads import checkpoint
from perfsuite.workloads.decoding import TargetSize, decode_images
from perfsuite.workloads.image_files import check_data_path
from perfsuite.workloads.image_import import import_images
from perfsuite.workloads.image_store import load_image_set, save_image_set

if TYPE_CHECKING:
    from collections.abc import Callable

PIECES = [
    b"",
    b"\0",
    b"\xff" * 4,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"PK\1\2",
    b"PK\5\6",
    b"7" * 11,
    b"\0" * 512,
    b"-1",
]
PIECES += [b"(" * 300, b"9" * 5000, b"\x80" + b"\xff" * 11, b"../", b"\x1b[2J", b"\xff\xd8\xff\xda", b"IDAT", b"iCCP"]


@functools.cache
def mirror(ending: str) -> bytes:
    """Return an archive of a mirror of 20 images."""
    with tempfile.TemporaryDirectory() as name:
        files = mirror_files(generated_parts(10, 10), ending="jpg" if ending == "zip" else "png")
        return write_mirror(files, Path(name) / f"mirror.{ending}").read_bytes()


@functools.cache
def binary_version() -> bytes:
    """Return an archive of CIFAR's binary version, two images a file."""
    records = b"".join(bytes([label]) + bytes(range(256)) * 12 for label in (3, 9))
    files = {f"cifar/data_batch_{number}.bin": records for number in range(1, 6)} | {"cifar/test_batch.bin": records}
    files["cifar/batches.meta.txt"] = "\n".join(CIFAR10_CLASSES).encode()
    with tempfile.TemporaryDirectory() as name:
        return write_mirror(files, Path(name) / "cifar.tar").read_bytes()


@functools.cache
def data_set() -> bytes:
    """Return a data set of 20 images as perfsuite keeps it."""
    with tempfile.TemporaryDirectory() as name:
        save_image_set(generated_set(10, 10), Path(name) / "images.npz")
        return (Path(name) / "images.npz").read_bytes()


@functools.cache
def image(ending: str) -> bytes:
    """Return the file of one image."""
    return next(iter(mirror_files(generated_parts(10, 10), ending=ending).values()))


def damaged(data: bytes, chance: random.Random, *, until: int | None = None) -> bytes:
    """Return bytes some of which are changed, cut off, doubled or replaced by what formats give a meaning to."""
    content = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4, 16])):
        place = chance.randrange(min(len(content), until or len(content)) + 1)
        kind = chance.random()
        if kind < 0.4 and place < len(content):
            content[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        elif kind < 0.5:
            del content[place:]
        elif kind < 0.6:
            content[place:place] = content[: chance.randrange(2000)]
        else:
            piece = chance.choice(PIECES)
            content[place : place + chance.choice([0, len(piece)])] = piece
    return bytes(content)


def damaged_zip(data: bytes, chance: random.Random) -> bytes:
    """Return an archive whose members are damaged, renamed, doubled or left out, with checksums that are right."""
    stream = io.BytesIO()
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    method = chance.choice([stored] * 4 + [deflated] * 2 + [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(stream, "w", method) as changed:
        listed = archive.namelist()
        chosen = chance.sample(listed, chance.choice([0, 1, 1, 2]))
        for name in listed:
            content, names = archive.read(name), [name]
            if name in chosen and chance.random() < 0.7:
                content = damaged(content, chance, until=chance.choice([130, None]))
            elif name in chosen:
                names = chance.choice([[name, name], [], [f"../{name}"], [f"./{name}"], [name.upper()], ["x" * 5000]])
            for written in names:
                changed.writestr(written, content)
    return stream.getvalue()


def damaged_tar(data: bytes, chance: random.Random) -> bytes:
    """Return an archive in which one header is changed, with a checksum that is right, plain or compressed."""
    content = bytearray(data)
    headers = [at for at in range(0, len(content), 512) if content[at + 257 : at + 262] == b"ustar"]
    for at in chance.sample(headers, min(len(headers), chance.choice([1, 1, 2, 5]))):
        header = content[at : at + 512]
        kind = chance.random()
        if kind < 0.4:
            header[156] = chance.choice(b"0123456789xgLKSVNXD\0")
        elif kind < 0.8:
            header[124:136] = chance.choice([b"77777777777\0", b"\xff" * 12, b"\x80" + b"\xff" * 11, b"00000001000\0"])
        else:
            header[:] = damaged(bytes(header), chance).ljust(512, b"\0")[:512]
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header):06o}\0 ".encode()
        content[at : at + 512] = header
        if chance.random() < 0.3:
            extended = tarfile.TarInfo("x")
            records = f"30 {chance.choice(['path', 'size', 'GNU.sparse.map', 'GNU.sparse.major'])}=1".ljust(29) + "\n"
            text = (damaged(records.encode(), chance) if chance.random() < 0.5 else records.encode())[:512]
            extended.size, extended.type = len(text), chance.choice([tarfile.XHDTYPE, tarfile.XGLTYPE])
            content[at:at] = extended.tobuf(tarfile.GNU_FORMAT) + text.ljust(512, b"\0")
    kind_of_file, plain = chance.choice(["tar", "tar", "gz", "xz"]), bytes(content)
    if kind_of_file == "gz":
        return gzip.compress(plain)
    return lzma.compress(plain) if kind_of_file == "xz" else plain


def damaged_png(data: bytes, chance: random.Random) -> bytes:
    """Return a PNG file whose chunks are damaged, doubled or of another kind, with checksums that are right."""
    content, at = data[:8], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, part = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length
        if chance.random() < 0.3:
            part = damaged(part, chance)
        if chance.random() < 0.1:
            kind = chance.choice(
                [b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"iTXt", b"fdAT", b"acTL", b"IEND", b"eXIf"]
            )
        written = struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        content += written * chance.choice([1, 1, 1, 1, 0, 2])
    return content


@functools.cache
def finished_content() -> dict[str, Any]:
    """Return a kept result without its digest."""
    return make_training().to_json()


def damaged_result(chance: random.Random) -> bytes:
    """Return a kept result of which a part is changed, with a digest that is right or wrong."""
    content = mutated(finished_content(), chance)
    try:
        if isinstance(content, dict) and chance.random() < 0.7:
            content = {**content, "sha256": _digest_of(content)}
        text = json.dumps(content).encode()
    except (ValueError, TypeError):
        return b"{"
    return damaged(text, chance) if chance.random() < 0.2 else text


@functools.cache
def state() -> bytes:
    """Return what torch writes for a small state."""
    stream = io.BytesIO()
    torch.save({"identity": "a", "training": {"epoch": 1, "model": {"w": torch.arange(100.0)}}, "x": [1, "y"]}, stream)
    return stream.getvalue()


def damaged_checkpoint(chance: random.Random) -> bytes:
    """Return a checkpoint of which a part is changed, with a digest that is right or wrong."""
    kind = chance.random()
    payload = damaged_zip(state(), chance) if kind < 0.5 else damaged(state(), chance)
    content = checkpoint.MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload
    return damaged(content, chance) if kind > 0.8 else content


def import_file(path: Path) -> None:
    """Read a file in both ways in which a mirror is looked at."""
    check_data_path(path)
    import_images(path)


def import_resized(path: Path) -> None:
    """Read a data set whose images are made smaller."""
    import_images(path, image_size=24)


def decode(path: Path) -> None:
    """Decode one image, whose error is a ValueError that begins with its name; as it is, or resized."""
    size = TargetSize(size=32) if path.stat().st_size % 2 else TargetSize(size=48, is_resized=True)
    try:
        decode_images([("picture", path.read_bytes())], size)
    except ValueError as error:
        if not str(error).startswith("picture: "):
            raise
        raise PerfsuiteError(str(error)) from None


def read_result(path: Path) -> None:
    """Read a kept result; its warning is an error here."""
    problems: list[str] = []
    found = read_finished(path.parent, "identity", problems.append)
    if found is not None:
        raise AssertionError("the result of another training was taken")
    raise PerfsuiteError(problems[0])


def read_checkpoint(path: Path) -> None:
    """Read a checkpoint; its warning is an error here."""
    problems: list[str] = []
    device = torch.device("cpu")
    checkpoint.load_checkpoint(path.parent, device=device, check=lambda _state: None, warn=problems.append)
    if problems:
        raise PerfsuiteError(problems[0])


KINDS: dict[str, tuple[str, Callable[[random.Random], bytes], Callable[[Path], object]]] = {
    "zip": ("m.zip", lambda chance: damaged(mirror("zip"), chance), import_file),
    "zip members": ("m.zip", lambda chance: damaged_zip(mirror("zip"), chance), import_file),
    "tar": ("m.tar", lambda chance: damaged(mirror("tar"), chance), import_file),
    "tar headers": ("m.tar", lambda chance: damaged_tar(mirror("tar"), chance), import_file),
    "tar.gz": ("m.tar.gz", lambda chance: damaged(mirror("tar.gz"), chance), import_file),
    "tar.xz": ("m.tar.xz", lambda chance: damaged(mirror("tar.xz"), chance), import_file),
    "resized": ("m.zip", lambda chance: damaged_zip(mirror("zip"), chance), import_resized),
    "CIFAR binary": ("m.tar", lambda chance: damaged(binary_version(), chance), import_file),
    "CIFAR binary headers": ("m.tar", lambda chance: damaged_tar(binary_version(), chance), import_file),
    "npz": ("m.npz", lambda chance: damaged(data_set(), chance), load_image_set),
    "npz members": ("m.npz", lambda chance: damaged_zip(data_set(), chance), load_image_set),
    "JPEG": ("image", lambda chance: damaged(image("jpg"), chance), decode),
    "PNG": ("image", lambda chance: damaged(image("png"), chance), decode),
    "PNG chunks": ("image", lambda chance: damaged_png(image("png"), chance), decode),
    "kept result": (FINISHED, damaged_result, read_result),
    "checkpoint": (checkpoint.NAME, damaged_checkpoint, read_checkpoint),
}


def run_case(seed: int, folder: Path, counts: Counter[str]) -> str | None:
    """Run one case; return in words what is wrong with how it ended, or None."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    kind = list(KINDS)[seed % len(KINDS)]
    name, make, read = KINDS[kind]
    path = folder / name
    path.write_bytes(make(chance))
    outcome = "read"
    try:
        with limited_time():
            read(path)
    except PerfsuiteError as error:
        text = str(error)
        if "\n" in text or len(text) > 1200 or "MemoryError" in text:
            return f"seed {seed}: {kind}: {text[:300]!r}"
        outcome = "refused"
    except (Exception, TooLong) as error:  # noqa: BLE001 - that is what is looked for
        return f"seed {seed}: {kind}: {type(error).__name__}: {str(error)[:300]}"
    finally:
        path.unlink(missing_ok=True)
    counts[f"{kind}, {outcome}"] += 1
    return None


def fuzz(num_cases: int, first_seed: int = 0, *, counts: Counter[str] | None = None) -> list[str]:
    """Run so many cases; return what failed, and count in `counts` how the others ended."""
    counts = Counter() if counts is None else counts
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Duplicate name")  # of zipfile, which writes the mutants
        found = [run_case(seed, Path(name), counts) for seed in range(first_seed, first_seed + num_cases)]
    return [problem for problem in found if problem is not None]


if __name__ == "__main__":
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    fuzz(len(KINDS), first)  # imports everything, before memory is limited
    limit_memory()
    counted: Counter[str] = Counter()
    begin_s = time.monotonic()
    problems: list[str] = []
    num_done, num_cases = 0, int(sys.argv[1])
    while num_done < num_cases:
        step = min(500, num_cases - num_done)
        new = fuzz(step, first + num_done, counts=counted)
        num_done += step
        problems += new
        lines = [*new, f"{num_done:,} mutants, {len(problems)} failed, {time.monotonic() - begin_s:.0f} s"]
        print("\n".join(lines), flush=True)  # noqa: T201 - a script
    print("\n".join(f"{count:,} {what}" for what, count in sorted(counted.items())))  # noqa: T201
    sys.exit(bool(problems))

"""Archives, npz files and images from anywhere: one line for whatever is wrong, and memory within the budget."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from generated_images import generated_parts, generated_set, mirror_files, write_mirror

from perfsuite.errors import DataError
from perfsuite.workloads import archives, memory_budget
from perfsuite.workloads.image_files import check_data_path
from perfsuite.workloads.image_import import import_images
from perfsuite.workloads.image_store import load_image_set, save_image_set
from perfsuite.workloads.images import make_image_set

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
MEBIBYTE = 1024**2


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")


def peak_mib(code: str, *arguments: object) -> float:
    """Run a reader that must end in a DataError in a process of its own; return by how much its memory grew."""
    script = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from perfsuite.errors import DataError\n"
        "from perfsuite.workloads.image_import import import_images\n"
        "from perfsuite.workloads.image_store import load_image_set\n"
        # The peak that getrusage tells is at least that of the process that started this one.
        "def peak_kib():\n"
        "    return int(re.search(r'VmHWM:\\s*([0-9]+) kB', Path('/proc/self/status').read_text())[1])\n"
        "before = peak_kib()\n"
        "path = Path(sys.argv[1])\n"
        f"try:\n    {code}\n"
        "except DataError as error:\n"
        "    print(error)\n"
        "    print(peak_kib() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    message, growth_kib = done.stdout.splitlines()
    assert str(arguments[0]) in message
    return float(growth_kib) / 1024


def tar_header(name: str, size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def write_bomb(path: Path, start: bytes, num_mebibytes: int) -> None:
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(start)
        for _ in range(num_mebibytes):
            stream.write(bytes(MEBIBYTE))


@on_linux
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_tar_header_of_hundreds_of_mebibytes_is_not_read(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "mirror.tar.gz"
    write_bomb(path, tar_header("name", 300 * MEBIBYTE, kind), 300)
    assert path.stat().st_size < 2 * MEBIBYTE
    assert peak_mib("import_images(path)", path) < 100


def test_a_zip_of_large_images_is_refused_before_any_of_them_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mirror.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(50):
            archive.writestr(f"train/cat/{number}.png", bytes(256 * 1024))
    monkeypatch.setattr(archives, "MIN_UNPACKED_BYTES", 10 * MEBIBYTE)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with pytest.raises(DataError, match=r"mirror\.zip: .*unpacks to more than"):
        import_images(path)


@on_linux
def test_a_zip_with_a_list_of_members_of_any_length_is_refused_before_the_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mirror.zip"
    entry = b"PK\1\2" + bytes(42)
    num_bytes = len(entry) * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFE, 0xFFFE, num_bytes, 0, 0)
    path.write_bytes(entry * 1_000_000 + end)
    assert peak_mib("import_images(path)", path) < 100
    assert peak_mib("load_image_set(path)", path) < 100


def test_images_that_do_not_fit_into_the_budget_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_mirror(mirror_files(generated_parts()), tmp_path / "mirror.tar")
    monkeypatch.setattr(memory_budget, "max_bytes", lambda: 700_000)
    with pytest.raises(DataError, match=r"mirror\.tar: reading it would take more than 0 MiB of memory"):
        import_images(path)


@on_linux
def test_contents_of_images_are_not_kept(tmp_path: Path) -> None:
    path = write_mirror(mirror_files(generated_parts()), tmp_path / "mirror.tar")
    with tarfile.open(path, "a") as archive:
        (content,) = [data for name, data in mirror_files(generated_parts()).items() if name == "train/cat/0003.png"]
        content += bytes(200 * 1024 - len(content))  # what comes after an image is not looked at
        for number in range(1000):
            info = tarfile.TarInfo(f"train/cat/more{number}.png")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo("../end")
        archive.addfile(info)
    assert path.stat().st_size > 190 * MEBIBYTE
    growth = peak_mib("import_images(path)", path)
    assert growth < 120


# ------------------------------------------------------------------------------------------------------------ one line


def npy(header: bytes, content: bytes = b"", version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + content


def header(shape: str, descr: str = "'|u1'", order: str = "False") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x93NUMPY",
        npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (4"),  # tokenize.TokenError
        npy(b"(" * 5000),
        npy(b"[" * 200),
        npy(header("(1, 3, 32, 32)")),
        npy(header("(10**12,)")),
        npy(header("(1000000000000,)")),
        npy(header("(-1, -1)"), b"x"),
        npy(header("(1,)", "'|O'"), b"x" * 8),
        npy(header("(1,)", "'<f8'"), b"x" * 8),
        npy(header("(2, 2)", order="True"), b"xxxx"),
        npy(header("('a',)"), b"x"),
        npy(header("(1,)", "9" * 5000), b"x"),
        npy(header("(1,)"), b"x", version=2),
        npy(header("(1,)"), b"xx"),
        npy(header("(1,)"), b"x", version=9),
    ],
)
def test_an_array_with_a_damaged_header_is_one_line(tmp_path: Path, member: bytes) -> None:
    path = tmp_path / "images.npz"
    save_image_set(generated_set(), path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, member if name == "train_images.npy" else content)
    with pytest.raises(DataError, match=r"images\.npz: not a data set of perfsuite") as caught:
        load_image_set(path)
    assert "\n" not in str(caught.value)


def test_an_array_file_under_the_name_of_a_data_set_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    with path.open("wb") as stream:
        np.save(stream, np.zeros((2, 3), np.uint8))
    with pytest.raises(DataError, match=r"images\.npz: not a data set of perfsuite"):
        load_image_set(path)


@on_linux
def test_an_array_that_unpacks_to_gigabytes_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    save_image_set(generated_set(), path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in contents.items():
            with archive.open(name, "w") as stream:
                stream.write(npy(header("(629145600,)")) if name == "train_images.npy" else content)
                for _ in range(600 if name == "train_images.npy" else 0):
                    stream.write(bytes(MEBIBYTE))
    assert peak_mib("load_image_set(path)", path) < 100


def test_a_compressed_data_set_is_read_as_one_that_is_not(tmp_path: Path) -> None:
    save_image_set(generated_set(), tmp_path / "plain.npz")
    with np.load(tmp_path / "plain.npz") as arrays:
        np.savez_compressed(tmp_path / "small.npz", **arrays)
    found = load_image_set(tmp_path / "small.npz")
    np.testing.assert_array_equal(found.train_images, generated_set().train_images)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_whose_members_cannot_be_unpacked_piece_by_piece_is_refused(tmp_path: Path, method: int) -> None:
    path = tmp_path / "mirror.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("train/cat/1.png", b"x" * 1000)
    with pytest.raises(DataError, match="stored and deflated members are read"):
        import_images(path)


def xz_with_dictionary_of(num_bytes: int, content: bytes) -> bytes:
    return lzma.compress(content, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": num_bytes}])


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda data: gzip.compress(data[:5000]) + gzip.compress(data[5000:]),
        lambda data: lzma.compress(data[:5000]) + bytes(8) + lzma.compress(data[5000:]),
    ],
)
def test_a_tar_in_one_or_several_compressed_streams_is_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = write_mirror(mirror_files(generated_parts()), tmp_path / "mirror.tar")
    path.write_bytes(pack(path.read_bytes()))
    assert import_images(path).fingerprint == make_image_set(generated_parts()).fingerprint


def test_an_xz_archive_that_needs_much_memory_to_unpack_is_refused(tmp_path: Path) -> None:
    path = write_mirror(mirror_files(generated_parts()), tmp_path / "mirror.tar")
    content = path.read_bytes()
    path.write_bytes(xz_with_dictionary_of(64 * MEBIBYTE, content))
    import_images(path)
    path.write_bytes(xz_with_dictionary_of(1024 * MEBIBYTE, content))
    with pytest.raises(DataError, match=r"mirror\.tar: "):
        import_images(path)


def test_a_tar_that_is_cut_off_between_two_members_is_refused(tmp_path: Path) -> None:
    path = write_mirror(mirror_files(generated_parts()), tmp_path / "mirror.tar")
    content = path.read_bytes().rstrip(b"\0")
    whole = content + bytes(-len(content) % 512)
    path.write_bytes(whole)
    with pytest.raises(DataError, match="cut off, or damaged between two members"):
        import_images(path)
    path.write_bytes(whole + b"x" * 512 + bytes(1024))
    with pytest.raises(DataError, match="cut off, or damaged between two members"):
        import_images(path)


def test_a_tar_member_of_negative_size_is_refused(tmp_path: Path) -> None:
    block = bytearray(tar_header("train/cat/1.png", 0, tarfile.REGTYPE))
    block[124:136] = b"\xff" * 10 + b"\xfc\x00"  # -1024
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    path = tmp_path / "mirror.tar"
    path.write_bytes(bytes(block) + bytes(1024))
    with pytest.raises(DataError, match=r"mirror\.tar: "):
        import_images(path)


def test_chained_and_sparse_tar_headers_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mirror.tar"
    pax = tar_header("name", 512, tarfile.XHDTYPE) + b"12 path=abc\n".ljust(512, b"\0")
    path.write_bytes(pax * 2000)
    with pytest.raises(DataError, match=r"mirror\.tar: "):
        import_images(path)
    block = bytearray(tar_header("train/cat/1.png", 10**9, tarfile.GNUTYPE_SPARSE))
    block[482] = 1  # more of the list of holes follows
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    more = bytearray(512)
    more[504] = 1
    path.write_bytes(bytes(block) + bytes(more) * 2000)
    with pytest.raises(DataError, match=r"mirror\.tar: "):
        import_images(path)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks: bytes, width: int = 32, height: int = 32) -> bytes:
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + b"".join(chunks) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [
        png(),
        png(chunk(b"IDAT", b"no zlib")),
        png(chunk(b"IDAT", zlib.compress(bytes(5)))),
        png(chunk(b"tRNS", b""), chunk(b"IDAT", zlib.compress(bytes(32 * 97)))),
        png(chunk(b"pHYs", b"\0"), chunk(b"IDAT", zlib.compress(bytes(32 * 97)))),
        png(chunk(b"iCCP", b"\0\0" + zlib.compress(bytes(100 * MEBIBYTE))), chunk(b"IDAT", b"")),
        png(chunk(b"IDAT", b""), width=2**31 - 1, height=2**31 - 1),
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b""),
        b"\xff\xd8\xff" + b"\xff" * 100,
        b"\xff\xd8\xff\xe0\0\2\xff\xdb\0\2\xff\xda\0\2",
    ],
)
def test_a_damaged_image_is_one_line_that_names_it(tmp_path: Path, content: bytes) -> None:
    files = mirror_files(generated_parts())
    files["train/cat/9999.png"] = content
    path = write_mirror(files, tmp_path / "mirror.zip")
    with pytest.raises(DataError, match=r"train/cat/9999\.png: ") as caught:
        import_images(path)
    assert "\n" not in str(caught.value)


def test_a_decoder_that_dies_is_one_line(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from perfsuite.workloads import decoding\n"
        "class Deadly(bytes):\n"
        "    def __reduce__(self):\n"
        "        return os._exit, (1,)\n"
        "def main():\n"
        "    decoding.CHUNK = 1\n"
        "    decoding.os.sched_getaffinity = lambda _: {0, 1}\n"
        "    try:\n"
        "        decoding.decode_images([('a', Deadly())] * 4, decoding.TargetSize(size=32))\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    script = tmp_path / "dies.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "a process that decodes images could not be started, or was ended" in done.stdout
    assert "Traceback" not in done.stderr


def test_pipes_and_sockets_are_refused_and_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    for read in (import_images, load_image_set, check_data_path):
        with pytest.raises(DataError, match="not a regular file, but a pipe, a device or a socket"):
            read(pipe)
    folder = write_mirror(mirror_files(generated_parts()), tmp_path / "mirror")
    os.mkfifo(folder / "train" / "cat" / "pipe.png")
    with pytest.raises(DataError, match=r"train/cat/pipe\.png: cannot be read: not a regular file"):
        import_images(folder)


# ----------------------------------------------------------------------------------------------------------- duplicates


@pytest.mark.parametrize("name", ["mirror.zip", "mirror.tar"])
@pytest.mark.parametrize("again", ["train/cat/0003.png", "./train/cat/0003.png", "Train/3/0003.png"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_image_that_is_there_twice_is_refused(tmp_path: Path, name: str, again: str) -> None:
    files = mirror_files(generated_parts())
    path = write_mirror(files, tmp_path / name)
    content = files["train/cat/0003.png"]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(again, content)
    else:
        with tarfile.open(path, "a") as tar:
            info = tarfile.TarInfo(again)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(DataError, match=rf"mirror\.\w+: '{again}' is there twice; each image must be there once"):
        import_images(path)


def test_two_mirrors_in_one_folder_are_refused(tmp_path: Path) -> None:
    files = mirror_files(generated_parts())
    for place in ("a", "b"):
        write_mirror(files, tmp_path / "both", prefix=place)
    with pytest.raises(DataError, match="images in 'a/test' and 'b/test'; one data set is read"):
        import_images(tmp_path / "both")

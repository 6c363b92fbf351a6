from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.atomic_write import open_ordinary, write_atomically
from perfsuite.errors import ResultFileError


def test_writing_atomically_leaves_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_atomically(path, "old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    write_atomically(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_a_device_is_written_to_and_not_replaced() -> None:
    write_atomically(Path("/dev/null"), "text")
    assert not Path("/dev/null").is_file()


def test_only_an_ordinary_file_is_opened(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link, Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file, but a pipe, a device or a socket"):
            open_ordinary(path)
        with pytest.raises(ResultFileError, match="cannot be read: not a regular file"):
            read_result_file(path)
    with pytest.raises(IsADirectoryError):
        open_ordinary(tmp_path)
    link.unlink()
    link.symlink_to(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"content")
    with open_ordinary(link) as stream:
        assert stream.read() == b"content"


def test_what_a_killed_process_left_half_written_is_removed_by_the_next_one_alone(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "x.json"
    left, written, unrelated = (tmp_path / f".x.json.{end}" for end in ("perfsuite-a", "perfsuite-b", "original"))
    for file in (left, written, unrelated):
        file.write_text("half")
    with written.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        write_atomically(path, "new")
    assert sorted(tmp_path.iterdir()) == sorted([path, written, unrelated])
    write_atomically(path, "newer")
    assert sorted(tmp_path.iterdir()) == sorted([path, unrelated])

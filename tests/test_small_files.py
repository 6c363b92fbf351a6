from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from perfsuite.errors import ResultFileError
from perfsuite.small_files import read_json, read_toml

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "not JSON: "),
        (b"", "not JSON: "),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 50 + b"]" * 50, "nested more than 20 levels deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON: Exceeds the limit"),
        (b'{"' + b"a" * 50_000 + b'": 1}', "a text of more than 40,000 characters"),
        (b'["' + b"a" * 50_000 + b'"]', "a text of more than 40,000 characters"),
        (b" " * 200_000, "more than 100,000 bytes"),
    ],
)
def test_a_damaged_json_file_is_one_kind_of_error(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ResultFileError, match=complaint) as caught:
        read_json(path, max_bytes=100_000)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a = ", "not TOML: "),
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b"a = " + b"9" * 5000, "not TOML: Exceeds the limit"),
        (b"a = 1\n\xff", "not UTF-8 text"),
        (b"." * 2_000_000, "more than 1,000,000 bytes"),
    ],
)
def test_a_damaged_toml_file_is_one_kind_of_error(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(ResultFileError, match=complaint):
        read_toml(path)


def test_a_file_that_is_missing_a_folder_or_a_pipe_is_never_waited_for(tmp_path: Path) -> None:
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path in (pipe, tmp_path, loop):
        with pytest.raises(ResultFileError, match="cannot be read"):
            read_json(path, max_bytes=100)
    with pytest.raises(ResultFileError, match="no such file"):
        read_toml(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "missing", max_bytes=100)

"""What is said of a process that ended: by its status, and by the last thing that it wrote."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from perfsuite.child_process import ended_in_words, last_words

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-signal.SIGKILL, "was killed by SIGKILL (out of memory, or killed from outside)"),
        (-1000, "was killed by signal 1000"),
    ],
)
def test_a_signal_is_named_and_a_killed_process_has_a_likely_reason(status: int, words: str) -> None:
    assert ended_in_words(status) == words


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ""),
        (b"starting\nout of memory\n\n", "out of memory"),
        (b"out of memory\n[W] Warning: ranks share a device\n", "out of memory"),
        (b"x" * 10_000 + b"\nthe end", "the end"),
        (b"\xff\xfe broken text", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} broken text"),
    ],
)
def test_the_last_words_of_a_process_are_no_warning(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(content)
    assert last_words(tmp_path / "log") == words
    assert last_words(tmp_path / "missing") == ""

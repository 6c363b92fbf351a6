from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz_commands import fuzz

if TYPE_CHECKING:
    import pytest


def test_no_command_line_and_no_small_file_gives_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFSUITE_NOISE", "")  # the fuzz sets it; put back at the end
    assert fuzz(300) == []

"""Repositories whose commits take the times that a test plants, made in one process of git."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

BEGIN = 1_700_000_000
"""Seconds of the first commit; each further one comes an hour later."""


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def make_repository(folder: Path, subjects: Sequence[str], files: Sequence[Mapping[str, str]]) -> list[str]:
    """Make a repository of a line of commits.

    Args:
        folder: Of it; checked out at the last commit.
        subjects: Of the commits.
        files: What each commit writes, by name; files of before stay.

    Returns:
        The ids of the commits.
    """
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    stream = b""
    for number, (subject, written) in enumerate(zip(subjects, files, strict=True)):
        person = f"A U Thor <author@example.org> {BEGIN + 3600 * number} +0000"
        stream += f"commit refs/heads/main\nauthor {person}\ncommitter {person}\n".encode() + _data(subject)
        for name, content in written.items():
            stream += f"M 100644 inline {name}\n".encode() + _data(content)
    importing = ["git", "-C", str(folder), "fast-import", "--quiet"]
    subprocess.run(importing, input=stream, check=True)
    git(folder, "reset", "--quiet", "--hard")
    return git(folder, "rev-list", "--reverse", "main").split()


def _data(text: str) -> bytes:
    content = text.encode()
    return f"data {len(content)}\n".encode() + content + b"\n"

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perfsuite.errors import FolderInUseError
from perfsuite.folder_lock import folder_locked

REPOSITORY = Path(__file__).parents[1]

HOLD = """
import sys, time
from pathlib import Path
from perfsuite.folder_lock import folder_locked
with folder_locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_is_one_process_s_until_that_is_killed(tmp_path: Path) -> None:
    process = hold(tmp_path / "folder")
    try:
        with pytest.raises(FolderInUseError) as caught, folder_locked(tmp_path / "folder"):
            pass
        where = f"in use by process {process.pid} on {platform.node()}"
        assert str(caught.value) == f"{tmp_path / 'folder'}: {where}; wait for it, or name another folder"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with folder_locked(tmp_path / "folder"):
        pass


def test_a_folder_is_free_again_once_it_is_left(tmp_path: Path) -> None:
    for _ in range(2):
        with folder_locked(tmp_path):
            pass


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"pid": "x"}', '{"pid": 1}', "1" * 20_000])
def test_what_stands_in_the_file_of_a_lock_does_not_hold_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock").write_text(content)
    with folder_locked(tmp_path):
        pass


@pytest.mark.parametrize(
    ("holder", "is_free"),
    [
        ({"pid": os.getppid(), "host": platform.node()}, False),
        ({"pid": os.getppid(), "host": "another machine"}, True),
        ({"pid": 2**22 + 1, "host": platform.node()}, True),  # beyond any process id
        ({"pid": 10**30, "host": platform.node()}, True),
        ({"pid": -1, "host": platform.node()}, True),
        ({"pid": True, "host": platform.node()}, True),
        ({}, True),
    ],
)
def test_where_the_file_system_has_no_locks_a_process_that_runs_here_holds_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: dict[str, object], is_free: bool
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    (tmp_path / "lock").write_text(json.dumps(holder))
    if is_free:
        with folder_locked(tmp_path):
            assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
        return
    with pytest.raises(FolderInUseError, match=f"process {os.getppid()} on "), folder_locked(tmp_path):
        pass

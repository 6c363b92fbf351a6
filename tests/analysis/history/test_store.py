from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from history_builders import write_night

from perfsuite.analysis.history.index import NAME, open_index
from perfsuite.analysis.history.series import History, choose_machine, read_history
from perfsuite.analysis.history.store import index_path, update_index
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.cli import main
from perfsuite.errors import InvalidChoiceError, ResultFileError


def history_of(store: Path, machine: str | None = None) -> History:
    with open_index(index_path(store)) as index:
        update_index(store, index, lambda _number, _total: None)
        return read_history(index, choose_machine(index.machines(), machine, "store"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def add(store: Path, *paths: Path) -> int:
    return main(["history", "add", *map(str, paths), "--store", str(store)])


def test_what_is_added_is_kept_byte_for_byte_and_read_again(tmp_path: Path, store: Path) -> None:
    paths = [write_night(tmp_path / "new", night, {"a": 0.1 + night}) for night in range(3)]
    assert add(store, *paths) == 0
    kept = sorted(store.glob("*/*.json.gz"))
    assert [gzip.decompress(path.read_bytes()) for path in kept] == [path.read_bytes() for path in paths]
    (series,) = history_of(store).series
    assert series.values.tolist() == [0.1, 1.1, 2.1]
    assert (series.benchmark, series.metric) == ("tests/test_it.py::a", "time_median_s")
    assert read_result_file(kept[0]).benchmarks[0].stats == {"time_median_s": 0.1}


def test_a_file_that_is_there_is_not_added_twice_wherever_it_lies(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_night(tmp_path / "new", 0, {"a": 0.1})
    copy = shutil.copy(path, tmp_path / "copy.json")
    assert add(store, path, Path(copy), path) == 0
    assert capsys.readouterr().err.count("already stored") == 2
    assert len(history_of(store).runs) == 1
    kept = next(store.glob("*/*.json.gz"))
    assert add(store, kept) == 0  # the compressed file is the same run too
    assert len(history_of(store).runs) == 1


@pytest.mark.parametrize("damage", ["removed", "garbage", "empty", "of another version"])
def test_the_index_is_made_again_from_the_files(damage: str, tmp_path: Path, store: Path) -> None:
    assert add(store, *(write_night(tmp_path / "new", night, {"a": 0.1}) for night in range(3))) == 0
    index = store / NAME
    if damage == "removed":
        index.unlink()
    elif damage == "of another version":
        import sqlite3

        with sqlite3.connect(index) as connection:
            connection.execute("PRAGMA user_version = 999")
        connection.close()
    else:
        index.write_bytes(b"" if damage == "empty" else os.urandom(5000))
    assert len(history_of(store).runs) == 3


def test_files_that_come_change_and_go_without_the_command_are_seen(tmp_path: Path, store: Path) -> None:
    add(store, write_night(tmp_path / "new", 0, {"a": 0.1}))
    extra = write_night(store / "by hand", 1, {"a": 0.2})
    assert history_of(store).series[0].values.tolist() == [0.1, 0.2]
    write_night(store / "by hand", 1, {"a": 0.25})
    assert history_of(store).series[0].values.tolist() == [0.1, 0.25]
    extra.unlink()
    assert history_of(store).series[0].values.tolist() == [0.1]


def test_a_damaged_file_is_named_and_left_out(tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(store, write_night(tmp_path / "new", 0, {"a": 0.1}))
    (kept,) = store.glob("*/*.json.gz")
    (kept.parent / "cut.json.gz").write_bytes(kept.read_bytes()[:100])
    (kept.parent / "text.json").write_text("{")
    history = history_of(store)
    assert len(history.runs) == 1
    assert sorted(Path(note.split(":")[0]).name for note in history.notes) == ["cut.json.gz", "text.json"]
    broken = tmp_path / "broken.json"
    broken.write_text("[1, 2")
    good = write_night(tmp_path / "new", 1, {"a": 0.1})
    capsys.readouterr()
    assert add(store, broken, good) == 2  # the good one is kept all the same
    err = capsys.readouterr().err
    assert "left out" in err
    assert err.splitlines()[-1].endswith("1 file of 2 could not be used; the others are kept")
    assert len(history_of(store).runs) == 2


def test_a_folder_that_something_else_wrote_is_read_and_not_written_to(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / ".benchmarks" / "Linux-CPython-3.11-64bit"
    for night in range(3):
        write_night(folder, night, {"a": 0.1})
    before = sorted(path.name for path in (tmp_path / ".benchmarks").rglob("*"))
    assert main(["history", "show", "--store", str(tmp_path / ".benchmarks")]) == 0
    assert "3 runs of EPYC in host" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / ".benchmarks").rglob("*")) == before
    assert [path.suffix for path in (cache / "perfsuite").iterdir()] == [".sqlite"]


def test_runs_of_several_machines_are_told_apart_and_one_is_chosen(tmp_path: Path, store: Path) -> None:
    add(store, *(write_night(tmp_path / name, 0, {"a": 0.1}, node=name) for name in ("left", "right")))
    with pytest.raises(InvalidChoiceError, match=r"'EPYC in left', 'EPYC in right'; choose one with --machine"):
        history_of(store)
    assert history_of(store, "RIGHT").machine == "EPYC in right"
    with pytest.raises(InvalidChoiceError, match=r"'EPYC' is a part of"):
        history_of(store, "EPYC")
    with pytest.raises(InvalidChoiceError, match=r"'none' is none of"):
        history_of(store, "none")


def test_a_store_that_is_not_there_or_is_empty_is_one_line(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "show", "--store", str(store)]) == 2
    assert "no such folder; `perfsuite history add FILE" in capsys.readouterr().err
    store.mkdir()
    assert main(["history", "show", "--store", str(store)]) == 2
    assert "contains no runs" in capsys.readouterr().err
    (tmp_path / "file").write_text("x")
    assert add(tmp_path / "file", write_night(tmp_path / "new", 0, {"a": 0.1})) == 2
    assert "cannot be made" in capsys.readouterr().err


def test_names_that_a_database_cannot_hold_are_no_obstacle(tmp_path: Path, store: Path) -> None:
    path = write_night(tmp_path / "new", 0, {"a\ud800": 0.1}, node="\udcff")
    path.write_text(path.read_text().encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass"))
    assert add(store, path) == 0
    assert history_of(store).series[0].benchmark == "tests/test_it.py::a?"


def process(store: Path, *paths: Path, code: str = "") -> subprocess.Popen[bytes]:
    script = f"import sys; {code}\nfrom perfsuite.cli import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "history", "add", *map(str, paths), "--store", str(store)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_two_processes_that_add_at_once_lose_nothing(tmp_path: Path, store: Path) -> None:
    sides = [
        [write_night(tmp_path / f"side{side}", 100 * side + night, {"a": 0.1}) for night in range(25)]
        for side in (0, 1)
    ]
    running = [process(store, *paths) for paths in sides]
    ended = [(one.communicate(timeout=120)[1][-500:], one.returncode) for one in running]
    assert [status for _, status in ended] == [0, 0], ended
    assert len(history_of(store).runs) == 50
    (store / NAME).unlink()
    assert len(history_of(store).runs) == 50


def test_a_process_that_is_killed_leaves_a_sound_store_and_the_same_command_adds_the_rest(
    tmp_path: Path, store: Path
) -> None:
    paths = [write_night(tmp_path / "new", night, {"a": 0.1}) for night in range(40)]
    running = process(store, *paths)
    while len(list(store.glob("*/*.json.gz"))) < 5:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait(60)
    running.communicate()
    num_kept = len(list(store.glob("*/*.json.gz")))
    assert 5 <= num_kept < 40
    assert len(history_of(store).runs) == num_kept
    assert add(store, *paths) == 0
    assert len(history_of(store).runs) == 40
    assert not [path for path in store.rglob(".*") if "perfsuite-" in path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of a process")
def test_a_full_disk_is_one_line_and_the_store_stays_sound(tmp_path: Path, store: Path) -> None:
    """A limit on the size of files stands for the disk."""
    first, second = (write_night(tmp_path / "new", night, {"a": 0.1}) for night in range(2))
    assert add(store, first) == 0
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    running = process(store, second, code=limit)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 2
    assert b"cannot be written" in err
    assert b"Traceback" not in err
    assert len(history_of(store).runs) == 1
    assert json.loads(gzip.decompress(next(store.glob("*/*.json.gz")).read_bytes()))


def test_a_folder_that_may_not_be_written_is_read_with_an_index_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results"
    write_night(folder, 0, {"a": 0.1})
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/none")
    assert len(history_of(folder).runs) == 1


def test_a_compressed_file_that_holds_more_than_any_result_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfsuite.analysis.load.json_file.MAX_UNCOMPRESSED_BYTES", 1000)
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b" " * 1001))
    with pytest.raises(ResultFileError, match=r"contains more than 1,000 bytes"):
        read_result_file(path)

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from forked import Forked, run_pytest
from suite_run import IN_A_PROCESS, QUICK

from perfsuite.atomic_write import write_atomically
from perfsuite.plugin import results
from perfsuite.plugin.session import NamedFile
from perfsuite.records.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite_run import Run

OPENS_AT_ONCE = pytest.mark.skipif(
    tuple(map(int, importlib.metadata.version("pytest-benchmark").split(".")[:2])) < (5, 3),
    reason="pytest-benchmark before 5.3 opens the file of --benchmark-json itself, and refuses it itself",
)
ONE_CELL = ("-k", "resnet18 and forward", "--perf-precisions=fp32")


@OPENS_AT_ONCE
def test_the_user_s_path_is_taken_and_its_folders_are_made(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    run = run_suite(*ONE_CELL, "--benchmark-json=new/folder/mine.json")
    assert run.result.ret == pytest.ExitCode.OK
    assert run.files == []
    content = json.loads((suite_folder.path / "new/folder/mine.json").read_text())
    assert len(content["benchmarks"]) == 1
    assert os.listdir(suite_folder.path / "new/folder") == ["mine.json"]  # noqa: PTH208 - hidden files too


@OPENS_AT_ONCE
@pytest.mark.parametrize("path", ["taken/x.json", "folder"])
def test_a_path_that_cannot_be_written_is_refused_before_the_first_cell(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester, path: str
) -> None:
    (suite_folder.path / "taken").write_text("a file, not a folder")
    (suite_folder.path / "folder").mkdir()
    run = run_suite(*ONE_CELL, f"--benchmark-json={path}")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: --benchmark-json {path}: " in run.text
    assert "images/s" not in run.text


def test_a_second_run_in_the_same_second_gets_a_name_of_its_own(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Frozen(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Frozen:
            return cls(2026, 1, 5, 10, 0, 0, tzinfo=tz)

    monkeypatch.setattr(dt, "datetime", Frozen)
    run_suite(*ONE_CELL)
    names = [file.name.partition("_")[0] + file.stem[-2:] for file in run_suite(*ONE_CELL).files]
    assert len(names) == 2
    assert all(name.startswith("20260105T100000Z") for name in names)
    assert names[1].endswith("_2")


def test_a_file_that_the_user_named_is_never_overwritten(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    kept = suite_folder.path / "mine.json"
    kept.write_text("{}")
    run = run_suite(*ONE_CELL, "--benchmark-json=mine.json")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --benchmark-json mine.json: exists, and results are never overwritten; name another" in run.text
    assert kept.read_text() == "{}"


def test_of_runs_that_want_one_name_each_gets_a_file(tmp_path: Path) -> None:
    wanted = tmp_path / "20260105T100000Z_t4.json"
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda _: results._create_with_free_name(wanted), range(32)))
    assert len(set(created)) == 32


@OPENS_AT_ONCE
def test_two_runs_that_name_one_file_are_not_both_let_on(tmp_path: Path) -> None:
    named = NamedFile(path=tmp_path / "mine.json", is_open=False)
    assert results._create(named) == named.path
    with pytest.raises(pytest.UsageError, match="exists, and results are never overwritten"):
        results._create(named)


def test_the_file_is_readable_from_the_first_cell_on(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    """A process that is killed in its first cell must not leave an empty file among the others."""
    (suite_folder.path / "benchmarks" / "conftest.py").write_text(
        "import glob, shutil\n"
        "def pytest_runtest_call(item):\n"
        "    shutil.copy(glob.glob('results/*.json')[0], 'first')\n"
    )
    run_suite(*ONE_CELL)
    content = json.loads((suite_folder.path / "first").read_text())
    assert [outcome["outcome"] for outcome in content["perfsuite"]["outcomes"]] == ["interrupted"]
    assert content["perfsuite"]["complete"] is False


@pytest.mark.parametrize("named", [(), ("--benchmark-json=mine.json",)])
def test_a_mistake_before_the_first_cell_is_one_line_and_leaves_no_file(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester, named: tuple[str, ...]
) -> None:
    (suite_folder.path / "benchmarks" / "conftest.py").write_text(
        "import pytest\n"
        "@pytest.hookimpl(trylast=True)\n"
        "def pytest_collection_finish():\n"
        "    raise pytest.UsageError('no images')\n"
    )
    run = run_suite(*ONE_CELL, *named)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert run.text.count("no images") == 1
    assert "not run" not in run.text
    assert not list(suite_folder.path.glob("**/*.json"))


def test_a_disk_that_fills_up_loses_nothing(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = write_atomically
    spare = suite_folder.mkdir("spare")

    def full(path: Path, text: str) -> None:
        if path.parent.name == "results":
            raise OSError(28, "No space left on device")
        original(path, text)

    monkeypatch.setattr(results, "write_atomically", full)
    monkeypatch.setattr(results, "_spare_folder", lambda: spare)
    run = run_suite(*ONE_CELL)
    assert run.result.ret != pytest.ExitCode.OK
    assert "No space left on device" in run.text
    saved = list(spare.glob("*_torch-*.json"))
    assert len(json.loads(saved[0].read_text())["benchmarks"]) == 1
    assert f"Results: spare/{saved[0].name}" in run.text


def test_a_path_that_is_no_ordinary_file_is_refused(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*ONE_CELL, "--benchmark-json=/dev/null")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --benchmark-json /dev/null: not a regular file; name a file" in run.text


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_is_killed_leaves_the_cells_that_were_finished(suite_folder: pytest.Pytester) -> None:
    """An abrupt end (kill -9) gives no time for anything: what was finished must lie on the disk already."""
    (suite_folder.path / "benchmarks" / "conftest.py").write_text(
        "import time\n"
        "from perfsuite.workloads.step import TrainingStep\n"
        "original = TrainingStep.forward\n"
        "def forward(self):\n"
        "    if self.workload.precision == 'amp-bf16':\n"
        "        open('reached', 'w').close()\n"
        "        time.sleep(60)\n"
        "    return original(self)\n"
        "TrainingStep.forward = forward\n"
    )
    words = ("-p", "small_suite", *QUICK, "-k", "resnet18 and forward", "-q")
    environment = {**os.environ, **IN_A_PROCESS}
    process = Forked(run_pytest, words, output=Path(os.devnull), cwd=suite_folder.path, env=environment)
    try:
        for _ in range(1200):
            if (suite_folder.path / "reached").exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    files = list((suite_folder.path / "results").glob("*.json"))
    content = json.loads(files[0].read_text())
    assert [benchmark["name"] for benchmark in content["benchmarks"]] == ["test_forward[resnet18-fp32-b2]"]
    assert content["perfsuite"]["complete"] is False
    assert [outcome["outcome"] for outcome in content["perfsuite"]["outcomes"]] == ["interrupted"]


@pytest.mark.parametrize(
    ("content", "replaced"),
    [
        ({"complete": False, "outcomes": [{"nodeid": "benchmarks/test_full_training.py::a"}], "kinds": []}, True),
        (
            {"complete": False, "outcomes": [{"nodeid": "benchmarks/test_full_training.py::a"}], "kinds": ["training"]},
            True,
        ),
        ({"complete": False, "outcomes": [], "kinds": ["training"]}, True),
        ({"complete": True, "outcomes": [], "kinds": ["training"]}, False),
        ({"complete": False, "outcomes": [{"nodeid": "benchmarks/test_steps.py::a"}], "kinds": []}, False),
        (
            {"complete": False, "outcomes": [{"nodeid": "benchmarks/test_full_training.py::a"}], "kinds": ["cell"]},
            False,
        ),
    ],
)
def test_the_same_command_resumes_trainings_that_were_cut_off_and_no_other_file_is_replaced(
    tmp_path: Path, content: dict[str, Any], replaced: bool
) -> None:
    path = tmp_path / "mine.json"
    benchmarks = [{"extra_info": {KEY: {"kind": kind}}} for kind in content.pop("kinds")]
    path.write_text(json.dumps({"benchmarks": benchmarks, KEY: content}))
    named = NamedFile(path=path, is_open=False)
    if replaced:
        assert results._create(named) == path
        return
    with pytest.raises(pytest.UsageError, match="results are never overwritten"):
        results._create(named)

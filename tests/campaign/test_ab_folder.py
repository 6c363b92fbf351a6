"""The folder of an A/B run: only what it wrote itself is deleted, and nothing damaged is taken for a result."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from builders import make_content, make_entry, make_record

from perfsuite.campaign.plan import make_side
from perfsuite.campaign.state import STATE, check_results, claim, is_own_file
from perfsuite.cli import main
from perfsuite.errors import CampaignError, PerfsuiteError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("001-baseline", "002-candidate")
IDENTITY: dict[str, object] = {"arguments": ["a"], "baseline": {}, "candidate": {}}


def command(folder: Path, *more: str, tests: str) -> list[str]:
    (folder / "checkout").mkdir(exist_ok=True)
    (folder / "checkout" / "test_it.py").write_text(tests)
    (folder / "checkout" / "pytest.ini").write_text("[pytest]\n")
    where = ("--dir-baseline", str(folder / "checkout"), "--dir-candidate", str(folder / "checkout"))
    both = ("--baseline", sys.executable, "--candidate", sys.executable, "--processes", "1", "--fail-on", "never")
    return ["ab", *both, *where, "--run-dir", str(folder / "run"), *more, "--", "test_it.py", "-p", "no:cacheprovider"]


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("restart", [(), ("--restart",)])
def test_nothing_is_written_to_a_folder_that_no_state_makes_a_run_s(
    restart: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("001-baseline.json", "002-candidate.log", "judged", "notes.txt"):
        (run / name).write_text("mine")
    (run / "001-baseline").mkdir()
    (run / "001-baseline" / "weights.pt").write_text("mine")
    before = tree(run)
    assert main(command(tmp_path, *restart, tests="")) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "contains files (001-baseline), but no campaign.json; name another folder with --run-dir" in error
    assert tree(run) == before


def test_restart_deletes_what_the_state_names_and_nothing_else(tmp_path: Path) -> None:
    claim(tmp_path, IDENTITY, NAMES, restart=False)
    for name in NAMES:
        (tmp_path / f"{name}.json").write_text("{}")
        (tmp_path / f"{name}.log").write_text("")
        (tmp_path / name).mkdir()
        (tmp_path / name / "checkpoint").write_text("")
    kept = ("003-candidate.json", "001-baseline.json.bak", "report.md")
    for name in kept:
        (tmp_path / name).write_text("mine")
    claim(tmp_path, {**IDENTITY, "arguments": ["b"]}, NAMES, restart=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([STATE, *kept])
    with pytest.raises(CampaignError, match=r"contains 003-candidate.json, which no campaign.json names"):
        claim(tmp_path, {**IDENTITY, "arguments": ["b"]}, (*NAMES, "003-candidate"), restart=False)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "5",
        "[" * 100_000,
        '{"a": ' + "9" * 5000 + "}",
        json.dumps({"schema": "perfsuite-ab-9", "identity": {}}),
        json.dumps({"schema": "perfsuite-ab-1", "identity": 5}),
        json.dumps({"schema": "perfsuite-ab-1", "identity": {}, "processes": ["../../etc/passwd"]}),
        json.dumps({"schema": "perfsuite-ab-1", "identity": {}, "processes": "001-baseline"}),
        json.dumps({"schema": ["perfsuite-ab-1"], "identity": {"baseline": 3}}),
    ],
)
@pytest.mark.parametrize("restart", [False, True])
def test_a_damaged_state_is_one_line_and_deletes_nothing(content: str, restart: bool, tmp_path: Path) -> None:
    (tmp_path / STATE).write_text(content)
    (tmp_path / "001-baseline.json").write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(CampaignError, match="another folder"):
        claim(tmp_path, IDENTITY, NAMES, restart=restart)
    assert tree(tmp_path) == before


def test_the_output_is_never_a_file_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    for name in ("001-baseline.json", "campaign.json", "lock", "017-candidate.log", "001-baseline"):
        assert main(command(tmp_path, "-o", str(run / name), "--format", "csv", tests="")) == 2
        assert "is a file of the A/B run itself" in capsys.readouterr().err
    assert not run.exists()
    assert not is_own_file(run, run / "report.md")
    assert not is_own_file(run, tmp_path / "001-baseline.json")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("garbage", "not JSON"),
        ('{"benchmarks": []}', "has no benchmarks"),
        ({"complete": False}, "its process did not finish"),
    ],
)
def test_a_damaged_result_is_found_before_anything_runs(content: object, complaint: str, tmp_path: Path) -> None:
    if isinstance(content, dict):
        whole = make_content([make_entry(make_record(), [0.1, 0.2])])
        content = json.dumps({**whole, "perfsuite": {**whole.get("perfsuite", {}), **content}})
    (tmp_path / "002-candidate.json").write_text(str(content))
    with pytest.raises(CampaignError, match=complaint) as caught:
        check_results(tmp_path, NAMES)
    assert "move it away, and the same command measures it again" in str(caught.value)


DIES = """
import os, signal
def test_fine(benchmark): benchmark(lambda: 1)
def test_dies(benchmark): os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_a_process_that_is_killed_is_named_with_its_signal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(tmp_path, tests=DIES)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the baseline was killed by SIGSEGV" in error


INCOMPLETE = """
import json
def test_fine(benchmark): benchmark(lambda: 1)
"""

UNFINISHED = """
def pytest_benchmark_update_json(output_json):
    outcome = {"nodeid": "t.py::test_x", "outcome": "interrupted", "reason": "stopped", "workload": None}
    output_json["perfsuite"] = {"schema_version": 5, "complete": False, "outcomes": [outcome]}
"""


def test_a_process_that_did_not_come_to_its_end_gives_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tmp_path, tests=INCOMPLETE)
    (tmp_path / "checkout" / "conftest.py").write_text(UNFINISHED)
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the baseline ended with status 0 while t.py::test_x was measured" in error
    assert not (tmp_path / "run" / "001-baseline.json").exists()


@pytest.mark.parametrize(
    "script",
    ["echo 5", "echo '[1]'", "printf '\\377\\376'", "echo '{\"torch\": 1}'", "printf '%10000s' | tr ' ' '['", "exit 3"],
)
def test_an_interpreter_that_prints_anything_is_one_line(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    assert main(["ab", "--baseline", str(python), "--candidate", sys.executable]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "is not a Python interpreter" in error or "does not run" in error


@pytest.mark.parametrize("path", ["x" * 5000, "a/" * 3000, "~nouser", "\0", "/dev/null/x"])
def test_a_path_of_any_form_is_one_line(path: str, tmp_path: Path) -> None:
    with pytest.raises(PerfsuiteError):
        make_side("baseline", path, tmp_path, [])
    with pytest.raises(PerfsuiteError):
        make_side("baseline", sys.executable, tmp_path / path, [])
    with pytest.raises(CampaignError, match="write NAME=VALUE"):
        make_side("baseline", sys.executable, tmp_path, [f"A={os.sep}\0"])

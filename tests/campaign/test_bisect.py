"""`perfsuite bisect` with real processes of pytest, its folder, and what it says."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from documented_samples import sample_of
from toy_repository import git, make_repository

from perfsuite.analysis.statistics.sequential import Change
from perfsuite.campaign.bisect.folder import STATE, FinishedProcess, open_folder
from perfsuite.campaign.bisect.places import EnvironmentPlaces
from perfsuite.campaign.bisect.processes import MAX_GAP_S, Processes
from perfsuite.campaign.bisect.question import Measuring, Question
from perfsuite.campaign.bisect.report import next_command, report_json, report_text
from perfsuite.campaign.bisect.revisions import OrderedList, Revision
from perfsuite.campaign.bisect.run import Finished
from perfsuite.campaign.bisect.search import Block, NotMeasurableError, SearchOutcome, Step, Terms
from perfsuite.cli import main
from perfsuite.errors import CampaignError

BENCHMARK = """
import time, work

def test_work(benchmark):
    benchmark.pedantic(lambda: time.sleep(work.SECONDS), rounds=5, warmup_rounds=1)
"""
HOSTILE = "Copy twice \x1b[2J\x9b<b>"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bisect") / "repository"
    files = [{"src/work.py": f"SECONDS = {0.004 if number < 2 else 0.008}\n"} for number in range(4)]
    files[0]["test_work.py"] = BENCHMARK
    make_repository(folder, ["first", "second", HOSTILE, "last"], files)
    return folder


def command(repository: Path, run_dir: Path, *more: str, good: str = "HEAD~2") -> list[str]:
    # Only the plugin that measures: processes of pytest start in a third of the time.
    quick = ("--env", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1")
    ends = ("--good", good, "--bad", "HEAD", "--benchmark", "test_work", "--repository", str(repository))
    arguments = ("--", "test_work.py", "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin")
    return ["bisect", *ends, *quick, "--run-dir", str(run_dir), *more, *arguments]


def results(run_dir: Path) -> dict[str, int]:
    files = [path for path in run_dir.glob("*-0*.json") if ".part." not in path.name]
    return {path.name: path.stat().st_mtime_ns for path in files}


def test_a_slow_commit_is_found_after_a_kill_and_the_checkout_is_not_touched(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "src" / "work.py").write_text("raise SystemExit  # not committed, and not measured\n")
    run_dir = tmp_path / "run"
    words = command(repository, run_dir, "--format", "json")
    before = (git(repository, "status", "--porcelain"), git(repository, "for-each-ref"))
    process = subprocess.Popen([sys.executable, "-m", "perfsuite", *words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(results(run_dir)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = results(run_dir)
    assert 3 <= len(kept) < 8
    assert main(words) == 0
    captured = capsys.readouterr()
    assert "processes are measured already" in captured.err
    assert kept.items() <= results(run_dir).items()
    found = json.loads(captured.out)
    assert (found["ending"], found["found"]["name"]) == ("found", git(repository, "rev-parse", "HEAD~1"))
    assert found["parent"]["subject"] == "second"
    assert 1.3 < found["change"]["ratio_low"] < found["change"]["ratio"] < found["change"]["ratio_high"] < 3
    assert found["num_processes"] == len(results(run_dir))
    assert "left" in captured.err
    assert (git(repository, "status", "--porcelain"), git(repository, "for-each-ref")) == before
    assert not (repository / ".git" / "worktrees").exists()
    assert not (run_dir / "worktrees").exists()
    # All is measured: shown again at once, for people, and nothing in it acts on a terminal.
    assert main([word for word in words if word not in {"--format", "json"}]) == 0
    text = capsys.readouterr().out
    assert "slower than its parent" in text
    assert f"git show {found['found']['name'][:10]}" in text
    assert text.replace("\n", "").isprintable()
    # Another question is not answered from this folder, and nothing in it is lost.
    assert main(command(repository, run_dir, good="HEAD~3")) == 2
    assert "contains another bisection: good was" in capsys.readouterr().err
    assert len(results(run_dir)) == found["num_processes"]


def test_what_cannot_be_measured_at_an_end_is_one_line_with_the_last_word_of_its_log(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(repository, tmp_path / "run")
    assert main([word.replace("test_work.py", "no_such_file.py") for word in words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert (
        "cannot be measured: pytest ended with status 4: ERROR: file or directory not found: no_such_file.py" in error
    )
    assert main(command(repository, tmp_path / "set-up", "--setup", "echo no compiler; exit 3")) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be measured: the setup ended with status 3: no compiler; see setup-" in error


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (["--bad", "nothing"], "--bad 'nothing': git knows no such commit"),
        (["--repository", "/"], "--repository /: not a git repository"),
        (["--repository", "/no/such/folder"], "--repository /no/such/folder: no such folder"),
        (["--python", "/bin/false"], "--python /bin/false: does not run"),
        (["--env", "novalue"], "--env novalue: write NAME=VALUE"),
        (["--alpha", "0.9"], "--alpha: '0.9' is not a probability"),
        (["--max-processes", "2"], "--max-processes: '2' is not a number of processes"),
        (["--min-effect", "many"], "--min-effect: 'many'"),
        (["--environments", "a", "b"], "--good is about commits"),
        (["--benchmark", ""], "--benchmark: an empty name"),
        (["--run-dir", "/proc/none"], "/proc/none: cannot be used"),
        (["-o", "{run}/x"], "lies in the folder of the run"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    repository: Path, tmp_path: Path, changes: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [change.replace("{run}", str(tmp_path / "run")) for change in changes]
    assert main(command(repository, tmp_path / "run", *more)) == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]


def test_without_arguments_of_pytest_a_node_id_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bisect", "--good", "a", "--bad", "b", "--benchmark", "test_*"]) == 2
    assert "give the arguments of pytest that run the benchmark after --" in capsys.readouterr().err
    assert main(["bisect", "--good", "a\x07", "--bad", "b", "--benchmark", "t.py::test_x[ab]"]) == 2
    assert "git knows no such commit" in capsys.readouterr().err


def test_a_machine_without_git_is_one_line(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(command(repository, tmp_path / "run")) == 2
    assert "there is no git on this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("notes.txt", "contains files (notes.txt), but no bisect.json"),
        ("lock", "contains a file lock that perfsuite did not write"),
    ],
)
def test_somebody_s_own_folder_is_refused(
    name: str, refusal: str, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / name).write_text("mine")
    assert main(command(repository, run_dir)) == 2
    assert refusal in capsys.readouterr().err
    assert {path.name: path.read_text() for path in run_dir.iterdir()} == {name: "mine"}


def test_restart_deletes_what_the_run_wrote(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    run = open_folder(tmp_path / "run", {"good": "a"}, restart=False)
    for name in ("ends-001-good.json", "ends-001-good.log", "setup-abc.log", "notes.txt", "other-001.json"):
        (tmp_path / "run" / name).write_text("x")
    run.finish("ends-001-good", FinishedProcess(duration_s=1.0))
    again = open_folder(tmp_path / "run", {"good": "b"}, restart=True)
    assert again.processes == {}
    assert {path.name for path in (tmp_path / "run").iterdir()} == {STATE, "notes.txt", "other-001.json"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"schema": "perfsuite-bisect-2"}',
        '{"schema": "perfsuite-bisect-1", "identity": {}, "processes": {"../x": {"duration_s": 1, "reason": null}}}',
        '{"schema": "perfsuite-bisect-1", "identity": {}, "processes": {"ends-001-good": {"duration_s": -1}}}',
    ],
)
def test_a_damaged_state_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / STATE).write_text(content)
    with pytest.raises(CampaignError, match="name another folder"):
        open_folder(tmp_path, {}, restart=False)


def processes_in(folder: Path, said: list[str]) -> Processes:
    return Processes(
        run=open_folder(folder, {}, restart=False),
        places=EnvironmentPlaces(pythons={"g": "/bin/false", "t": "/bin/false"}, folder=folder, variables={}),
        arguments=("x.py",),
        benchmark="test_it",
        metric="time",
        lock=os.open(os.devnull, os.O_RDONLY),
        say=lambda text, _final: said.append(text),
    )


GOOD, TRIAL = Revision(name="g", key="g", subject=""), Revision(name="t", key="t", subject="")
BLOCK = Block(stage="t", heading="step", number=1, turns=(("good", GOOD), ("trial", TRIAL)), num_left=2, num_most=None)
RESULT = {"benchmarks": [{"fullname": "a.py::test_it", "name": "test_it", "stats": {"median": 0.5, "rounds": 3}}]}


def test_a_process_that_failed_is_not_run_again_and_half_of_an_old_block_is(tmp_path: Path) -> None:
    said: list[str] = []
    good = tmp_path / "t-001-good.json"
    good.write_text(json.dumps(RESULT))
    processes = processes_in(tmp_path, said)
    with pytest.raises(NotMeasurableError, match="pytest ended with status 1"):
        processes.measure(BLOCK)
    (tmp_path / "t-001-trial.log").unlink()
    with pytest.raises(NotMeasurableError, match="pytest ended with status 1"):
        processes_in(tmp_path, said).measure(BLOCK)
    assert not (tmp_path / "t-001-trial.log").exists()
    assert good.exists()
    (tmp_path / STATE).unlink()
    old = time.time() - MAX_GAP_S - 10
    os.utime(good, (old, old))
    with pytest.raises(CampaignError, match="good g cannot be measured"):
        processes_in(tmp_path, said).measure(BLOCK)
    assert "measured again, as it was interrupted for 15 min" in "\n".join(said)
    assert not good.exists()


def finished(outcome: SearchOutcome, metric: str = "time") -> Finished:
    revisions = [Revision(name=f"v{number}", key=f"env{number}", subject=f"torch 2.{number}") for number in range(6)]
    question = Question(
        identity={},
        is_of_commits=False,
        measuring=Measuring(benchmark="test_it", metric=metric, arguments=("x.py",), variables=["A=1"]),
        words=(),
        words_between=lambda first, last: ("--environments", first.name, last.name),
        make_suspects=lambda _folder: OrderedList(revisions),
        make_places=lambda folder: EnvironmentPlaces(pythons={}, folder=folder, variables={}),
    )
    return Finished(
        question=question,
        terms=Terms(alpha=0.05, min_effect=math.log(1.02), max_processes=30),
        outcome=outcome,
        good=revisions[0],
        bad=revisions[5],
        num_suspects=5,
        num_processes=40,
        num_run=40,
        duration_s=100.0,
        folder=Path("run"),
    )


ONE, TWO, THREE = (Revision(name=f"v{number}", key=f"env{number}", subject=f"torch 2.{number}") for number in (1, 2, 3))
LARGE = Change(log_ratio=math.log(1.1), low=math.log(1.09), high=math.log(1.11), num=8)
NONE = Change(log_ratio=0.001, low=-0.01, high=0.012, num=30)
SKIPPED = Step(revision=TWO, verdict="skip", reason="cannot tell", position=0.5, num_blocks=30, is_undecided=True)


ASKED = "perfsuite bisect --environments v0 v5 --benchmark test_it --env A=1"
MORE = f"{ASKED} --max-processes 60 --run-dir run -- x.py"


@pytest.mark.parametrize(
    ("outcome", "words", "following"),
    [
        (
            SearchOutcome(ending="found", total=LARGE, left=(TWO,), parent=ONE, change=LARGE),
            "10.0% [9.0, 11.0] slower than its parent",
            None,
        ),
        (
            SearchOutcome(ending="found", total=LARGE, left=(TWO,), parent=ONE, change=LARGE, rest="before"),
            "there is another change before its parent",
            "perfsuite bisect --environments v0 v1 --benchmark test_it --env A=1 -- x.py",
        ),
        (
            SearchOutcome(ending="not_confirmed", total=LARGE, left=(TWO,), parent=ONE, change=NONE, between=THREE),
            "+0.1% [-1.0, +1.2] against its parent",
            "perfsuite bisect --environments v0 v3 --benchmark test_it --env A=1 -- x.py",
        ),
        (SearchOutcome(ending="no_difference", total=NONE), "no difference of 2% or more", None),
        (
            SearchOutcome(ending="not_established", total=NONE),
            "so many processes establish a change of about 2.2% or more here",
            MORE,
        ),
        (
            SearchOutcome(ending="undecided", total=LARGE, left=(TWO, THREE), steps=(SKIPPED,)),
            "cannot tell which of these 2 environments it is",
            MORE,
        ),
        (SearchOutcome(ending="only_skipped", total=LARGE, left=(TWO, THREE)), "one of these 2 environments", None),
    ],
)
def test_every_ending_says_what_is_known_and_what_to_run_next(
    outcome: SearchOutcome, words: str, following: str | None
) -> None:
    text = report_text(finished(outcome))
    assert words in text
    assert next_command(finished(outcome)) == following
    assert following is None or following in text
    content = json.loads(report_json(finished(outcome)))
    assert (content["ending"], content["next"]) == (outcome.ending, following)
    assert (content["found"] is not None) == (outcome.ending == "found")


def test_the_sample_of_the_page_is_the_end_of_a_search() -> None:
    """The sample leaves out the steps; whether a question is of commits is all that its words depend on."""
    found, parent, good, bad = (
        Revision(name=key, key=key, subject="Copy the batch twice", date="2023-11-16T10:00:00+00:00")
        for key in ("f33dad3db4", "48ddcdb23c", "48b7f442bc", "4f999eb82e")
    )
    change = Change(log_ratio=math.log(1.297), low=math.log(1.295), high=math.log(1.299), num=6)
    total = Change(log_ratio=math.log(1.298), low=math.log(1.297), high=math.log(1.299), num=16)
    steps = tuple(Step(revision=found, verdict="bad", reason=None, position=1.0, num_blocks=2) for _ in range(6))
    outcome = SearchOutcome(ending="found", total=total, left=(found,), parent=parent, change=change, steps=steps)
    search = finished(outcome)
    text = report_text(
        dataclasses.replace(
            search,
            question=dataclasses.replace(search.question, is_of_commits=True),
            good=good,
            bad=bad,
            num_suspects=60,
            num_processes=56,
            duration_s=60.0,
        )
    )
    lines = [line for line in sample_of("f33dad3db4  Copy the batch").splitlines() if line != "..."]
    assert [line for line in text.splitlines() if line in lines] == lines


def test_memory_is_more_or_less() -> None:
    outcome = SearchOutcome(ending="found", total=LARGE, left=(TWO,), parent=ONE, change=LARGE)
    assert "10.0% [9.0, 11.0] more memory than its parent" in report_text(finished(outcome, "memory"))

"""What to run after an A/B run: its report, the numbers behind a verdict, and more processes of the same run."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from simulated import process_content

from perfsuite.campaign.next_commands import explain_command, extending_command, report_command, run_folder
from perfsuite.cli import main

PYTEST = """
import pathlib, sys

path = pathlib.Path(next(a.partition("=")[2] for a in sys.argv if a.startswith("--benchmark-json=")))
path.write_bytes(pathlib.Path(__file__).with_name(f"{path.name[:3]}.json").read_bytes())
"""
MAX_PROCESSES = 200
"""Of one run in these tests, both sides together."""


def result_of(number: int) -> str:
    """Return what the process with that number writes."""
    generator = np.random.default_rng(number)
    logs = generator.normal(0, 0.01, (4, 1)) + generator.normal(0, 0.001, (4, 9))
    times = {f"test_step[{i}]": row for i, row in enumerate((0.1 * np.exp(logs)).tolist())}
    return json.dumps(process_content(times, minute=number))


@pytest.fixture(scope="module")
def results() -> list[str]:
    return [result_of(number) for number in range(1, MAX_PROCESSES + 1)]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: list[str]) -> Path:
    """Make a checkout whose pytest has simulated results at once, and imports nothing for them."""
    folder = tmp_path / "check out"
    folder.mkdir()
    (folder / "pytest.py").write_text(PYTEST)
    for number, result in enumerate(results, start=1):
        (folder / f"{number:03d}.json").write_text(result)
    monkeypatch.chdir(tmp_path)
    return folder


def command(*more: str, processes: int) -> list[str]:
    return [
        *("ab", "--baseline", sys.executable, "--candidate", sys.executable, "--run-dir", "my runs"),
        *("--dir-baseline", "check out", "--dir-candidate", "check out", "--env-candidate", "A=b c"),
        *("--processes", str(processes), "--fail-on", "never", *more),
        *("--", "tests", "-k", "not this"),
    ]


def words_of(text: str, part: str) -> list[str]:
    """Return the words of the command in the line that has this part, as a shell expands them."""
    (line,) = (line for line in text.splitlines() if part in line)
    found = []
    for word in shlex.split(line.rpartition(": ")[2]):
        found += sorted(map(str, Path().glob(word))) if "*" in word else [word]
    return found


@pytest.mark.usefixtures("checkout")
def test_a_run_ends_with_the_commands_for_its_report_and_for_the_numbers_behind_a_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(command("--min-effect", "5%", "--format", "json", processes=3)) == 0
    out, err = capsys.readouterr()
    verdicts = {one["fullname"]: one["verdict"] for one in json.loads(out)["benchmarks"]}
    program, *words = words_of(err, "as a page: ")
    assert program == "perfsuite"
    assert main(words) == 0
    assert Path("report.html").is_file()
    capsys.readouterr()
    program, *words = words_of(err, "the numbers behind a verdict: ")
    assert words[-1] in verdicts
    assert main(words) == 0
    explained = capsys.readouterr().out
    assert explained.startswith(f"{words[-1]}: {verdicts[words[-1]]}\n")
    assert "It must reach the minimum effect of 5%" in explained


@pytest.mark.usefixtures("checkout")
def test_an_open_verdict_names_the_command_that_extends_this_run_and_keeps_what_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(command(processes=3))
    before = {path.name: path.stat().st_mtime_ns for path in Path("my runs").glob("*.json")}
    first = capsys.readouterr().out
    program, *words = words_of(first, "processes a side are likely to settle")
    assert program == "perfsuite"
    needed = int(words[words.index("--processes") + 1])
    assert needed > 3
    assert f"needs {needed} a side" in first
    assert main([*words[: words.index("--")], "--fail-on", "never", *words[words.index("--") :]]) == 0
    out, err = capsys.readouterr()
    assert err.count("already measured") == 6
    assert f"{needed} processes of the candidate against {needed} processes of the baseline" in out
    after = {path.name: path.stat().st_mtime_ns for path in Path("my runs").glob("*.json")}
    assert len([name for name in after if name[0] == "0"]) == 2 * needed
    assert all(after[name] == changed for name, changed in before.items() if name != "campaign.json")


@pytest.mark.usefixtures("checkout")
def test_the_same_command_with_more_processes_adds_to_its_run_and_with_as_many_starts_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(processes: int) -> tuple[int, list[str]]:
        words = command(processes=processes)
        index = words.index("--run-dir")
        assert main([*words[:index], *words[index + 2 :]]) == 0
        num_kept = capsys.readouterr().err.count("already measured")
        return num_kept, sorted(path.name for path in Path("results").iterdir())

    (num_kept, first) = run(1)
    assert (num_kept, len(first)) == (0, 1)
    assert run(3) == (2, first)
    assert len(list(Path("results", *first).glob("0*.json"))) == 6
    (num_kept, folders) = run(3)
    assert (num_kept, len(folders)) == (0, 2)


@pytest.mark.usefixtures("checkout")
def test_compare_of_a_run_s_files_names_the_same_command_and_of_copies_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(command(processes=3))
    (expected,) = (line for line in capsys.readouterr().out.splitlines() if "likely to settle" in line)
    for folder in (Path("my runs"), tmp_path / "copies"):
        folder.mkdir(exist_ok=True)
        for path in Path("my runs").glob("0*.json"):
            (folder / path.name).write_bytes(path.read_bytes())
        old, new = (sorted(map(str, folder.glob(f"0*-{side}.json"))) for side in ("baseline", "candidate"))
        main(["compare", "--baseline", *old, "--candidate", *new, "--fail-on", "never"])
        assert (expected in capsys.readouterr().out) == (folder.name == "my runs")


@pytest.mark.usefixtures("checkout")
def test_too_few_processes_for_a_verdict_name_the_command_for_five(capsys: pytest.CaptureFixture[str]) -> None:
    main(command(processes=1))
    out = capsys.readouterr().out
    assert "for verdicts on time, 5 processes a side: perfsuite ab --baseline" in out
    assert "--processes 5 -- tests -k 'not this'" in out


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[",
        '{"schema": "perfsuite-ab-1", "identity": {"arguments": "x"}}',
        '{"schema": "perfsuite-ab-1", "identity": {"arguments": [], "baseline": {"python": 1}, "candidate": {}}}',
    ],
)
def test_a_damaged_state_of_a_run_gives_no_command(tmp_path: Path, text: str) -> None:
    (tmp_path / "campaign.json").write_text(text)
    files = [tmp_path / "001-baseline.json", tmp_path / "002-candidate.json"]
    assert run_folder(files) == tmp_path
    assert extending_command(tmp_path, 5) is None
    assert run_folder([*files, tmp_path / "other.json"]) is None
    assert run_folder([tmp_path / "sub" / "001-baseline.json"]) is None


def test_files_are_a_pattern_only_where_it_means_just_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    paths = [tmp_path / "a b" / f"{number:03d}-{side}.json" for number, side in ((1, "baseline"), (2, "candidate"))]
    for path in paths:
        path.write_text("{}")
    assert report_command(paths[:1], paths[1:], []) == (
        "perfsuite report 'a b'/*-candidate.json --baseline 'a b'/*-baseline.json -o report.html"
    )
    (tmp_path / "a b" / "003-candidate.json").write_text("{}")
    assert explain_command(paths[:1], paths[1:], ["--alpha", "0.1"], "x[$]") == (
        "perfsuite compare --baseline 'a b'/*-baseline.json --candidate 'a b/002-candidate.json' --alpha 0.1 --explain "
        "'x[$]'"
    )

"""How commands end: one line and a status of its own for every kind of failure, never a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builders import make_content, make_entry, make_record

from perfsuite import cli
from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def good(write_result: Callable[..., Path]) -> str:
    return str(write_result(make_content([make_entry(make_record(), [0.1, 0.2, 0.3])])))


@pytest.fixture
def other(write_result: Callable[..., Path]) -> str:
    record = make_record(run_id="another")
    return str(write_result(make_content([make_entry(record, [0.1, 0.2, 0.4])]), "other.json"))


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "P": f"{sys.executable} -m perfsuite", **variables}
    return subprocess.run(
        ["/bin/bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_bug_is_one_line_with_a_status_of_its_own_and_its_traceback_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def __init__(self, _words: object) -> None:
            pass

        @staticmethod
        def parse_known_args(_arguments: object) -> None:
            raise ZeroDivisionError("as\x1b[2J planned")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(cli, "_parser", Broken)
    assert main([]) == 70
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.strip().isprintable()
    assert "internal error: ZeroDivisionError: as" in error
    found = re.search(r"report it with (\S+),", error)
    assert found is not None
    assert "Traceback (most recent call last)" in Path(found[1]).read_text()


def test_a_full_device_is_one_line_and_status_2(good: str, other: str, tmp_path: Path) -> None:
    for arguments in (f"collect {good}", "--help", f"compare --baseline {good} --candidate {other}"):
        for buffered in ("", "1"):
            done = shell(f"$P {arguments} > /dev/full", tmp_path, PYTHONUNBUFFERED=buffered)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
            assert "standard output: cannot be written: No space left on device" in done.stderr


def test_a_closed_pipe_ends_quietly_with_the_status_of_the_verdict(good: str, other: str, tmp_path: Path) -> None:
    compare = f"$P compare --baseline {good} --candidate {other}"
    for closed in (f"{compare} --fail-on unjudged >&-", f"set -o pipefail; {compare} --fail-on unjudged | true"):
        done = shell(closed, tmp_path)
        assert done.returncode == 1, closed
        assert done.stderr.startswith("perfsuite: failed (--fail-on unjudged)")
        assert done.stderr.count("\n") == 1
    assert shell(f"{compare} --fail-on never | true; exit ${{PIPESTATUS[0]}}", tmp_path).returncode == 0
    for nobody_reads in ("2>&-", "2>/dev/full"):
        for buffered in ("", "1"):
            done = shell(f"$P collect missing.json {nobody_reads}", tmp_path, PYTHONUNBUFFERED=buffered)
            assert done.returncode == 2


def test_a_package_that_is_missing_is_named_with_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    for command in ("doctor", "memory", "limits"):
        done = shell(f"$P {command}", tmp_path, PYTHONPATH=f"{tmp_path}:{REPOSITORY}")
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert "this command needs torch, which is not installed" in done.stderr
        assert "pip install torch torchvision" in done.stderr


def test_without_a_home_folder_only_what_needs_one_says_so(good: str, tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "def home():\n    raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.home = home\n"
        "from perfsuite.cli import main\n"
        "raise SystemExit(main(sys.argv[1:]))\n"
    )
    (tmp_path / "homeless.py").write_text(code)
    for variable in ("PERFSUITE_NOISE", "XDG_STATE_HOME", "XDG_CACHE_HOME", "PERFSUITE_DATA"):
        os.environ.pop(variable, None)
    done = shell(f"{sys.executable} homeless.py collect {good} -o table", tmp_path)
    assert (done.returncode, done.stderr) == (0, "wrote table\n")
    done = shell(f"{sys.executable} homeless.py data show", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no home folder of the user is known; set HOME or XDG_CACHE_HOME" in done.stderr


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    done = shell("mkdir gone; cd gone; rmdir ../gone; $P doctor", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the current folder does not exist any more" in done.stderr


@pytest.mark.parametrize("fmt", ["terminal", "csv", "json"])
def test_a_path_that_cannot_be_written_is_one_line(
    fmt: str, good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for output in (loop, loop / "x", tmp_path / ("x" * 300), "nul\0byte", tmp_path / good / "x"):
        assert main(["collect", good, "--format", fmt, "-o", str(output)]) == 2
        error = capsys.readouterr().err
        assert "cannot be written" in error
        assert error.count("\n") == 1
    assert loop.is_symlink()


def test_an_unknown_home_folder_is_one_line(
    good: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ab", "--baseline", "~nouser/python", "--candidate", sys.executable]) == 2
    assert "--baseline ~nouser/python: no such home folder is known" in capsys.readouterr().err
    monkeypatch.setenv("PERFSUITE_NOISE", "~nouser/noise.json")
    assert main(["collect", good, "-o", str(tmp_path / "table")]) == 0
    assert "noise floor not known: PERFSUITE_NOISE ~nouser/noise.json" in (tmp_path / "table").read_text()


def test_an_output_never_overwrites_what_is_read(
    good: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    thresholds, noise = tmp_path / "thresholds.toml", tmp_path / "noise.json"
    thresholds.write_text('[min-effect]\n"*" = "5%"\n')
    noise.write_text('{"schema": "perfsuite-noise-2", "machines": {}}')
    monkeypatch.setenv("PERFSUITE_NOISE", str(noise))
    link, page = tmp_path / "link.svg", tmp_path / "page.html"
    link.symlink_to(good)
    page.symlink_to(thresholds)
    judging = ["--baseline", good, "--thresholds", str(thresholds)]
    compare = ["compare", *judging, "--candidate", other, "--format", "csv"]
    for command, output in (
        (compare, thresholds),
        (compare, good),
        (compare, link),
        (["collect", good], noise),
        (["report", good, *judging], page),
        (["chart", "plain", good], link),
    ):
        before = Path(output).read_bytes()
        assert main([*command, "-o", str(output)]) == 2
        assert "is one of the files to be read" in capsys.readouterr().err
        assert Path(output).read_bytes() == before


def test_names_with_escapes_reach_no_terminal(
    write_result: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack = "\x1b[2J\x9b31m"
    content = make_content([make_entry(make_record(), [0.1, 0.2])])
    content["machine_info"]["perfsuite"]["device"] = attack
    content["benchmarks"][0]["fullname"] = f"{attack}=1+1"
    content["benchmarks"][0]["name"] = f"@{attack}"
    path = str(write_result(content))
    damaged = make_content([make_entry(make_record(), [0.1, 0.2])])
    damaged["benchmarks"][0]["extra_info"]["perfsuite"]["metrics"] = {attack: "x"}
    toml = tmp_path / "t.toml"
    toml.write_text('[min-effect]\n"\\u001b[2J" = 0\n')
    compare = [
        "compare",
        "--baseline",
        path,
        "--candidate",
        str(write_result({**content, "benchmarks": [{**content["benchmarks"][0], "extra_info": {}}]}, "b.json")),
    ]
    for arguments in (
        *(["collect", path, "--format", name] for name in ("terminal", "csv", "json", "markdown", "latex")),
        *([*compare, "--fail-on", "never", "--format", name] for name in ("terminal", "csv", "json", "markdown")),
        [*compare, "--explain", attack],
        [*compare, "--thresholds", str(toml)],
        ["collect", str(write_result(damaged, "damaged.json"))],
        ["collect", f"{attack}.json"],
        ["data", "import", f"{attack}.zip"],
    ):
        main(arguments)
        out, err = capsys.readouterr()
        assert all(character == "\n" or character.isprintable() for character in out + err), arguments
    with pytest.raises(SystemExit):
        main(["collect", path, attack, f"--{attack}"])
    assert capsys.readouterr().err.strip().isprintable()


def test_a_csv_cell_is_no_formula_and_a_number_stays_one(
    write_result: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    stats = {"median": 1, "min": 0.5, "rounds": 3}
    names = ["=cmd|'/c calc'!A0", "+1", "-1", "@SUM(A1)", " =1", "plain"]
    main(
        ["collect", str(write_result({"benchmarks": [{"fullname": n, "stats": stats} for n in names]})), "--format=csv"]
    )
    rows = capsys.readouterr().out.splitlines()
    assert [row.partition(",")[0] for row in rows[1:]] == [*(f"'{name}" for name in names[:-1]), "plain"]
    assert ",1.0," in rows[1] or ",1," in rows[1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("5", "'5' would be a change of 500%; write 5% or 0.05"),
        ("1", "'1' would be a change of 100%; write 1% or 0.01"),
        ("1001%", "is not a valid change"),
        ("0", "is not a valid change"),
        ("nan", "is not a valid change"),
    ],
)
def test_a_bare_number_is_never_taken_for_a_percentage(
    text: str, complaint: str, good: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare = ["compare", "--baseline", good, "--candidate", other, "--fail-on", "never"]
    assert main([*compare, "--min-effect", text]) == 2
    assert complaint in capsys.readouterr().err
    path = tmp_path / "thresholds.toml"
    path.write_text(f'[min-effect]\n"*" = "{text}"\n')
    assert main([*compare, "--thresholds", str(path)]) == 2
    assert complaint in capsys.readouterr().err
    assert main([*compare, "--min-effect", "500%"]) == 0
    assert main([*compare, "--min-effect", "0.99"]) == 0


@pytest.mark.parametrize("place", ["fullname", "name", "group"])
def test_a_name_of_many_megabytes_is_refused_at_once(
    place: str, write_result: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    content = make_content([make_entry(make_record(), [0.1, 0.2, 0.3])])
    content["benchmarks"][0][place] = "x" * 20_000_000
    assert main(["collect", str(write_result(content))]) == 2
    error = capsys.readouterr().err
    assert f"benchmarks[0].{place} has 20,000,000 characters; at most 40,000 are allowed" in error
    assert len(error) < 1100


@pytest.mark.parametrize("peak", [None, 0, -5])
def test_a_peak_that_the_candidate_lacks_is_inconclusive_and_fails_where_that_fails(
    peak: int | None, write_result: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sides: list[list[str]] = [[], []]
    for number in range(6):
        entry = make_entry(make_record(run_id=f"r{number}"), [0.1, 0.1001, 0.0999, 0.1])
        if number in {1, 2, 5}:
            ours = entry["extra_info"]["perfsuite"]
            ours["metrics"]["peak_allocated_bytes"] = peak
            ours["absent"]["peak_allocated_bytes"] = "not reported"
        sides[number in {1, 2, 5}].append(str(write_result(make_content([entry]), f"{number}.json")))
    compare = ["compare", "--baseline", *sides[0], "--candidate", *sides[1], "--fail-on", "inconclusive"]
    assert main(compare) == 1
    words = "not recorded" if peak is None else "0 or negative"
    assert f"peak memory: the peak is {words} in 3 of 3 processes of the candidate" in capsys.readouterr().out

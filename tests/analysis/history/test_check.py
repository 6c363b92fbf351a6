from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from history_builders import write_night

from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path

NUM_BENCHMARKS = 12


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write_nights(
    folder: Path, nights: range, *, slower: dict[int, float] | None = None, seed: int = 0, **machine: Any
) -> list[Path]:
    """Write nights of benchmarks of 0.1 s; `slower` gives by how much each benchmark takes longer."""
    paths = []
    for night in nights:
        noise = np.random.default_rng([seed, night]).normal(0, 0.01, NUM_BENCHMARKS)
        times = {
            f"b{number:02d}": 0.1 * float(np.exp(noise[number])) * (1 + (slower or {}).get(number, 0.0))
            for number in range(NUM_BENCHMARKS)
        }
        paths.append(write_night(folder, night, times, **machine))
    return paths


def check(store: Path, *files: Path, options: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
    output = store.parent / "check.json"
    output.unlink(missing_ok=True)
    status = main(["history", "check", *map(str, files), "--store", str(store), "-o", str(output), *options])
    return status, json.loads(output.read_text())


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {one["fullname"].rsplit("::", 1)[-1]: one["verdict"] for one in found["benchmarks"]}


def test_a_run_like_those_before_it_is_unchanged(tmp_path: Path) -> None:
    write_nights(tmp_path / "store", range(30))
    (new,) = write_nights(tmp_path / "new", range(30, 31))
    status, found = check(tmp_path / "store", new)
    assert status == 0
    assert set(verdicts(found).values()) == {"unchanged"}
    one = found["benchmarks"][0]
    assert one["num_processes"] == {"baseline": 30, "candidate": 1}
    assert one["time"]["ratio_low"] < one["time"]["ratio"] < one["time"]["ratio_high"]
    assert one["time"]["baseline_s"] == pytest.approx(0.1, rel=0.02)


def test_one_slow_run_is_not_yet_a_regression_and_the_third_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    write_nights(store, range(30))
    by_night = []
    for night in (30, 31, 32):
        (new,) = write_nights(tmp_path / "new", range(night, night + 1), slower={3: 0.10})
        status, found = check(store, new, options=("--add",))
        assert {name: one for name, one in verdicts(found).items() if one != "unchanged"}.keys() == {"b03"}
        by_night.append((status, verdicts(found)["b03"]))
    assert by_night == [(0, "inconclusive"), (0, "inconclusive"), (1, "regressed")]
    assert "perfsuite: failed (--fail-on regressed,missing,unjudged): 1 regressed" in capsys.readouterr().err
    worst = found["benchmarks"][0]
    assert worst["time"]["since"].startswith("EPYC-in-host")
    assert worst["time"]["ratio_low"] < 1.10 < worst["time"]["ratio_high"]
    assert any(note.startswith("to confirm: perfsuite ab") for note in found["notes"])


def test_several_files_of_one_night_are_as_many_runs(tmp_path: Path) -> None:
    write_nights(tmp_path / "store", range(30))
    new = write_nights(tmp_path / "new", range(30, 33), slower={3: 0.10})
    status, found = check(tmp_path / "store", *new)
    assert (status, verdicts(found)["b03"]) == (1, "regressed")


def test_a_new_level_is_told_until_it_has_become_the_usual_one(tmp_path: Path) -> None:
    store = tmp_path / "store"
    write_nights(store, range(30))
    told = []
    for night in range(30, 44):
        (new,) = write_nights(store, range(night, night + 1), slower={3: 0.10})
        status, found = check(store, new)
        told.append(status)
        assert verdicts(found)["b03"] in {"inconclusive", "regressed", "unchanged"}
    assert told[:2] == [0, 0]
    assert told[2:7] == [1] * 5
    assert told[-4:] == [0] * 4


def test_faster_is_improved_and_fails_nothing(tmp_path: Path) -> None:
    write_nights(tmp_path / "store", range(30))
    new = write_nights(tmp_path / "new", range(30, 33), slower={5: -0.10})
    status, found = check(tmp_path / "store", *new)
    assert (status, verdicts(found)["b05"]) == (0, "improved")


def test_what_is_missing_new_or_without_enough_history_is_said(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for night in range(20):
        write_night(store, night, {"old": 0.1, "both": 0.1})
    status, found = check(store, write_night(tmp_path / "new", 20, {"both": 0.1, "new": 0.2}))
    assert verdicts(found) == {"old": "missing", "new": "new", "both": "unchanged"}
    assert status == 1
    young = tmp_path / "young"
    for night in range(4):
        write_night(young, night, {"a": 0.1})
    status, found = check(young, write_night(tmp_path / "new", 20, {"a": 0.1}))
    assert found["benchmarks"][0]["reason"] == "4 runs before it; 8 are needed"
    assert status == 1  # no benchmark could be judged


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"driver_version": "550"}, {"driver_version": "560"}, "only the machine changed"),
        (
            {"driver_version": "550", "torch_version": "2.13"},
            {"driver_version": "560", "torch_version": "2.14"},
            "machine and code changed at once",
        ),
        ({}, {}, "nothing that is recorded changed"),
    ],
)
def test_the_machine_and_the_code_are_told_apart(
    before: dict[str, Any], after: dict[str, Any], words: str, tmp_path: Path
) -> None:
    all_slower = dict.fromkeys(range(NUM_BENCHMARKS), 0.10)
    write_nights(tmp_path / "store", range(30), commit="a" * 40, **before)
    new = write_nights(tmp_path / "new", range(30, 33), slower=all_slower, commit="a" * 40, **after)
    _, found = check(tmp_path / "store", *new)
    assert any(words in note for note in found["notes"])


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"driver_version": "560"}, "only the machine changed"),
        ({"torch_version": "2.14"}, "torch 2.13 -> 2.14"),
    ],
)
def test_night_by_night_the_cause_is_asked_of_the_first_run_at_the_new_level(
    after: dict[str, Any], words: str, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    place: dict[str, Any] = {"driver_version": "550", "torch_version": "2.13"}
    all_slower = dict.fromkeys(range(NUM_BENCHMARKS), 0.10)
    write_nights(store, range(30), commit="a" * 40, **place)
    for night in (30, 31, 32):
        place_after = {**place, **after, "commit": "a" * 40}
        (new,) = write_nights(tmp_path / "new", range(night, night + 1), slower=all_slower, **place_after)
        _, found = check(store, new, options=("--add",))
    assert list(verdicts(found).values()).count("regressed") >= NUM_BENCHMARKS - 2
    assert any(words in note for note in found["notes"])


def test_another_machine_has_no_history_unless_one_is_named(tmp_path: Path) -> None:
    write_nights(tmp_path / "store", range(30))
    (new,) = write_nights(tmp_path / "new", range(30, 31), node="other")
    status, found = check(tmp_path / "store", new)
    assert status == 1
    assert set(verdicts(found).values()) == {"new"}
    assert "has no run of this machine" in found["notes"][0]
    status, found = check(tmp_path / "store", new, options=("--machine", "EPYC in host"))
    assert status == 0
    assert set(verdicts(found).values()) == {"unchanged"}
    assert any("host host -> other" in note for note in found["notes"])


def test_show_lists_changes_with_what_else_changed_and_its_json_has_every_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    write_nights(store, range(30), torch_version="2.13.0", commit="a" * 40)
    write_nights(store, range(30, 60), slower={7: 0.10}, torch_version="2.14.0", commit="a" * 40)
    assert main(["history", "show", "--store", str(store)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 of 12 series changed; 60 runs of EPYC in host, 2026-01-01 to 2026-03-01")
    assert "2026-01-31" in out
    assert "torch 2.13.0 -> 2.14.0" in " ".join(out.split())
    assert "11 series without a change are not shown" in out
    assert main(["history", "show", "--store", str(store), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (changed,) = [one for one in found["series"] if one["changes"]]
    (change,) = changed["changes"]
    assert change["index"] == 30
    assert change["run"] == changed["runs"][30]["run"] == "night0030.json"
    assert change["ratio_low"] < 1.10 < change["ratio_high"]
    assert {len(one["runs"]) for one in found["series"]} == {60}


def test_without_what_finds_changes_one_line_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    write_nights(tmp_path / "store", range(1))
    assert main(["history", "show", "--store", str(tmp_path / "store")]) == 2
    assert capsys.readouterr().err.endswith("pip install 'perfsuite[history]'\n")


def test_all_shows_every_series_and_csv_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_nights(tmp_path / "store", range(12))
    assert main(["history", "show", "--all", "--store", str(tmp_path / "store")]) == 0
    assert capsys.readouterr().out.count("b0") == 10
    assert main(["history", "show", "--format", "csv", "--store", str(tmp_path / "store")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == NUM_BENCHMARKS + 1


def test_too_few_runs_are_not_called_no_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for night in range(30):
        write_night(tmp_path / "store", night, {"old": 0.1, **({"new": 0.1} if night >= 25 else {})})
        if night < 4:
            write_night(tmp_path / "short", night, {"old": 0.1})
    assert main(["history", "show", "--store", str(tmp_path / "short")]) == 0
    assert capsys.readouterr().out.startswith("too few runs to find a change; 4 runs of EPYC")
    assert main(["history", "show", "--store", str(tmp_path / "store")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("no change; 30 runs of EPYC")
    assert "1 series of fewer than 11 runs: too few to find a change" in shown

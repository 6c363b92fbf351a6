"""Files from anywhere: never a traceback, never a verdict from broken data, and a line that names file and place."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content, make_entry, make_record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated import changed, write_sides

from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOREIGN = sorted((Path(__file__).parents[2] / "data" / "foreign").glob("*.json"))

BROKEN: dict[str, tuple[Callable[[Any], object], str]] = {
    "negative time": (lambda c: c["benchmarks"][1]["stats"]["data"].__setitem__(3, -0.1), "benchmarks[1].stats.data"),
    "zero time": (lambda c: c["benchmarks"][1]["stats"].update(data=[0.0] * 20), "test_step[1]' has rounds of 0 s"),
    "one zero round": (lambda c: c["benchmarks"][1]["stats"]["data"].__setitem__(3, 0.0), "test_step[1]' has rounds"),
    "text": (lambda c: c["benchmarks"][1]["stats"]["data"].__setitem__(3, "0.1"), "benchmarks[1].stats.data"),
    "null": (lambda c: c["benchmarks"][1]["stats"]["data"].__setitem__(3, None), "benchmarks[1].stats.data"),
    "truth": (lambda c: c["benchmarks"][1]["stats"]["data"].__setitem__(3, True), "benchmarks[1].stats.data"),
    "NaN": (lambda c: c["benchmarks"][1]["stats"]["data"].__setitem__(3, float("nan")), "NaN in it"),
    "Infinity": (lambda c: c["benchmarks"][1]["stats"].update(median=float("inf")), "Infinity in it"),
    "huge": (lambda c: c["benchmarks"][1]["stats"]["data"].__setitem__(3, 10**400), "benchmarks[1].stats.data"),
    "enormous": (lambda c: c["benchmarks"][1]["stats"]["data"].__setitem__(3, 1e300), "benchmarks[1].stats.data"),
    "doubled rounds": (
        lambda c: c["benchmarks"][1]["stats"].update(data=2 * c["benchmarks"][1]["stats"]["data"]),
        "has 40 rounds in stats.data, but stats.rounds says 20",
    ),
    "cut rounds": (
        lambda c: c["benchmarks"][1]["stats"].update(data=c["benchmarks"][1]["stats"]["data"][:7]),
        "has 7 rounds in stats.data, but stats.rounds says 20",
    ),
    "doubled name": (lambda c: c["benchmarks"].append(c["benchmarks"][1]), "twice"),
    "no stats": (lambda c: c["benchmarks"][1].pop("stats"), "benchmarks[1].stats is not an object"),
    "no name": (
        lambda c: [c["benchmarks"][1].pop(key) for key in ("name", "fullname")],
        "benchmarks[1] has no fullname",
    ),
    "list of numbers": (lambda c: c.update(benchmarks=[1, 2]), "benchmarks[0] is not an object"),
    "no benchmarks": (lambda c: c.pop("benchmarks"), "not of pytest-benchmark"),
}


@pytest.fixture
def sides(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    return write_sides(tmp_path, changes=[1.0] * 9)


def run(old: list[Path], new: list[Path]) -> int:
    return main(["compare", "--baseline", *map(str, old), "--candidate", *map(str, new), "--format", "json"])


@pytest.mark.parametrize("what", BROKEN)
def test_broken_data_gives_one_line_with_file_and_place_and_no_verdict(
    what: str, sides: tuple[list[Path], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    change, complaint = BROKEN[what]
    old, new = sides
    changed(new[2], change)
    assert run(old, new) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert str(new[2]) in err
    assert complaint in err


@pytest.mark.parametrize("cut", [0.001, 0.3, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_refused(
    cut: float, sides: tuple[list[Path], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = sides
    text = old[1].read_text()
    old[1].write_text(text[: int(len(text) * cut)])
    assert run(old, new) == 2
    assert str(old[1]) in capsys.readouterr().err


def test_a_file_with_its_content_twice_is_refused(
    sides: tuple[list[Path], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = sides
    old[1].write_text(2 * old[1].read_text())
    assert run(old, new) == 2
    assert "not JSON" in capsys.readouterr().err


def test_empty_data_falls_back_on_the_statistics(
    sides: tuple[list[Path], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = sides
    for path in (*old, *new):
        changed(path, lambda c: [entry["stats"].update(data=[]) for entry in c["benchmarks"]])
    assert run(old, new) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["unchanged"] == 9


def test_neither_data_nor_median_leaves_the_benchmark_missing(
    sides: tuple[list[Path], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = sides
    for path in new:
        changed(path, lambda c: c["benchmarks"][0].update(stats={}))
    assert run(old, new) == 1
    assert json.loads(capsys.readouterr().out)["benchmarks"][0]["verdict"] == "missing"


def test_a_million_rounds_and_names_of_any_script_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = write_sides(tmp_path, changes=[1.0] * 3, num=3)

    def enlarge(content: Any) -> None:
        stats = content["benchmarks"][0]["stats"]
        stats.update(data=stats["data"] * 50_000, rounds=1_000_000)
        for index, name in enumerate(("größe::测试[🚀]", "عربى::\u202eabc", "x" * 5000)):
            content["benchmarks"][index].update(name=name, fullname=name)

    for path in (old[0], new[0]):
        changed(path, enlarge)
    for path in (*old[1:], *new[1:]):
        changed(path, lambda c: [entry.update(fullname="größe::测试[🚀]") for entry in c["benchmarks"][:1]])
    assert run(old, new) == 0
    found = {entry["fullname"] for entry in json.loads(capsys.readouterr().out)["benchmarks"]}
    assert "größe::测试[🚀]" in found


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:3]):
            yield from places(item, (*path, index))


OURS = make_content([make_entry(make_record(), [0.1, 0.11, 0.1] * 4)])
SEEDS = [json.loads(path.read_text()) for path in FOREIGN] + [OURS]
NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.just(10**400),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.floats(0, 1), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_file_ends_in_verdicts_or_in_one_line(
    data: st.DataObject, capsys: pytest.CaptureFixture[str]
) -> None:
    content = copy.deepcopy(data.draw(st.sampled_from(SEEDS)))
    other = copy.deepcopy(content)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places(content))[1:]))
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = data.draw(NASTY)
        if path[-1] == "benchmarks":
            break  # nothing below it is left to change
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "old.json", Path(folder) / "new.json"]
        files[0].write_text(json.dumps(other))
        files[1].write_text(json.dumps(content), errors="surrogatepass")
        capsys.readouterr()
        status = run(files[:1], files[1:])
        out, err = capsys.readouterr()
    assert status in {0, 1, 2}
    if status == 2:
        assert out == ""
        assert err.startswith("perfsuite: error: ")
        assert err.count("\n") == 1
        assert "new.json" in err
    else:
        for entry in json.loads(out)["benchmarks"]:
            assert entry["time"]["verdict"] in {"inconclusive", "missing", "new", "incomparable"}

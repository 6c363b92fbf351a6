"""Which machine of a fleet is odd, from the files to the sentence."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from fleet_builders import fleet_files
from foreign_files import write_foreign

from perfsuite.analysis.frames.fleet_runs import read_run, read_runs, reduce_run
from perfsuite.analysis.frames.kind_versions import kind_versions
from perfsuite.analysis.frames.results import collect, results_of_nodes
from perfsuite.analysis.load import brief
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.analysis.report.data import gather
from perfsuite.analysis.report.page import render_page
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.verdicts.node_evidence import NodeState, node_evidence
from perfsuite.analysis.verdicts.node_words import kind_sentence
from perfsuite.analysis.verdicts.nodes import FleetVerdict, judge_nodes
from perfsuite.cli import main
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from pathlib import Path


def _judged(paths: list[Path]) -> FleetVerdict:
    return judge_nodes(collect(paths).node_runs)


def test_the_slow_node_is_first_with_what_distinguishes_it(tmp_path: Path) -> None:
    verdict = _judged(fleet_files(tmp_path))
    first = verdict.nodes[0]
    assert (first.node, first.verdict, first.num_processes) == ("gpu-02", "slow", 3)
    assert first.ratio == pytest.approx(1.04, abs=0.01)
    assert first.low is not None
    assert first.high is not None
    assert first.low < 1.04 < first.high
    assert first.evidence == (
        "power cap in 90% of the readings, others 30%",
        "SM clock 1,410 MHz, others 1,590",
        "driver 550.54.14, others 550.90.07",
    )
    assert {node.verdict for node in verdict.nodes[1:]} <= {"same", "open"}
    assert kind_sentence(verdict, verdict.kinds[0]).startswith("1 of 5 T4 nodes is odd: gpu-02 takes ")


def test_files_that_were_collected_by_hand_give_the_same_verdicts(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "hand").mkdir()
    by_fleet, by_hand = (_judged(fleet_files(tmp_path / name, by_hand=name == "hand")) for name in ("fleet", "hand"))
    assert [(node.node, node.ratio) for node in by_fleet.nodes] == [(node.node, node.ratio) for node in by_hand.nodes]


def test_boards_of_one_host_are_nodes_of_their_own(tmp_path: Path) -> None:
    paths = fleet_files(tmp_path, by_hand=True)
    for number, path in enumerate(paths):
        content = json.loads(path.read_text())
        content["machine_info"]["node"] = "host"
        content["machine_info"]["perfsuite"]["board"] = f"b{number // 3}"
        path.write_text(json.dumps(content))
    assert _judged(paths).nodes[0].node == "host board b2"


def test_files_of_other_projects_show_a_slow_machine_too(tmp_path: Path) -> None:
    paths = []
    for node in range(6):
        for run in range(3):
            factor = (1.2 if node == 4 else 1.0) * (1 + 0.001 * ((node * 7 + run * 3) % 5))
            rounds = {name: [factor * seconds] * 3 for name, seconds in (("test_a", 0.1), ("test_b", 0.3))}
            path = tmp_path / f"{node}-{run}.json"
            paths.append(write_foreign(path, rounds, machine={"node": f"ci-{node}"}))
            content = json.loads(path.read_text())
            content["datetime"] = f"2026-01-0{node + 1}T10:0{run}:00+00:00"
            path.write_text(json.dumps(content))
    first, *others = _judged(paths).nodes
    assert (first.node, first.verdict) == ("ci-4", "slow")
    assert {node.verdict for node in others} <= {"same", "open"}


def test_three_nodes_cannot_tell_in_one_line(tmp_path: Path) -> None:
    verdict = _judged(fleet_files(tmp_path, num_nodes=3))
    assert {node.verdict for node in verdict.nodes} == {"not judged"}
    assert kind_sentence(verdict, verdict.kinds[0]) == (
        "Tesla T4: cannot tell: 3 nodes; 4 of one kind are the fewest that show an odd one"
    )


def test_kinds_are_compared_among_themselves_alone(tmp_path: Path) -> None:
    """Half as fast, and no node of either kind is odd for it."""
    paths = fleet_files(tmp_path, slow=())
    paths += fleet_files(tmp_path, slow=range(9), factor=2.0, kind="NVIDIA L4")
    verdict = _judged(paths)
    assert {node.verdict for node in verdict.nodes} == {"same"}
    assert [len(kind.nodes) for kind in verdict.kinds] == [5, 5]


def test_versions_are_cells_of_their_own_and_columns_of_the_pivot(tmp_path: Path) -> None:
    paths = fleet_files(tmp_path, environments=("torch212", "torch213"))
    verdict = _judged(paths)
    assert [node.node for node in verdict.nodes if node.verdict == "slow"] == ["gpu-02"]
    before, after = kind_versions(verdict.sources)
    assert (before.environment, before.ratio, before.num_nodes) == ("torch212", None, 5)
    assert (after.environment, after.num_both, after.num_processes) == ("torch213", 5, 15)
    assert after.ratio == pytest.approx(0.9, abs=0.01)
    text = render_terminal(build_table("kinds", collect(paths)), width=80, color=False)
    assert "5 nodes, baseline" in text
    assert "5 nodes, -10" in text


def test_versions_on_different_nodes_are_compared_as_groups(tmp_path: Path) -> None:
    paths = fleet_files(tmp_path, slow=(), environments=("torch212",))
    paths += fleet_files(tmp_path, slow=range(9), factor=0.9, environments=("torch213",), prefix="new")
    _, after = kind_versions(_judged(paths).sources)
    assert after.num_both == 0
    assert after.low is not None
    assert after.high is not None
    assert after.low < 0.9 < after.high < 1


def test_commits_of_files_that_were_collected_by_hand_are_environments_of_their_own(tmp_path: Path) -> None:
    paths = fleet_files(tmp_path, num_nodes=8, slow=(0, 1, 2, 3), factor=1.3, by_hand=True)
    for path in paths[:12]:
        content = json.loads(path.read_text())
        content["machine_info"]["perfsuite"]["commit"] = "b" * 40
        path.write_text(json.dumps(content))
    verdict = _judged(paths)
    assert {node.verdict for node in verdict.nodes} == {"same"}
    assert verdict.sources[0].environments == [
        "torch 2.13.0+cu130, commit bbbbbbbbbb",
        "torch 2.13.0+cu130, commit 0123456789",
    ]


def test_a_single_odd_cell_is_named(tmp_path: Path) -> None:
    paths = fleet_files(tmp_path, num_nodes=8, slow=())
    for path in paths[:3]:
        content = json.loads(path.read_text())
        content["benchmarks"][4]["stats"]["median"] *= 1.5
        path.write_text(json.dumps(content))
    first = _judged(paths).nodes[0]
    assert (first.node, first.verdict) == ("gpu-00", "cells differ")
    assert [cell.name for cell in first.odd_cells] == ["resnet18 fp32 train_step b128"]
    assert first.odd_cells[0].ratio == pytest.approx(1.5, rel=0.05)


@pytest.mark.parametrize(
    ("own", "others", "words"),
    [
        (
            {"readings": {"ECC errors": 3.0}},
            {"readings": {"ECC errors": 0.0}},
            "ECC errors beyond correction: 3, others none",
        ),
        ({"readings": {"temperature": 88.0}}, {"readings": {"temperature": 70.0}}, "up to 88 C, others 70"),
        (
            {"properties": {"max SM clock": "1,410 MHz"}},
            {"properties": {"max SM clock": "1,980 MHz"}},
            "max SM clock 1,410 MHz, others 1,980 MHz",
        ),
        (
            {"readings": {"background CPU": 0.5}},
            {"readings": {"background CPU": 0.02}},
            "background CPU 50%, others 2%",
        ),
        ({"properties": {"commit": "b"}}, {"properties": {"commit": "a"}}, None),
        ({"readings": {"SM clock": 1500.0}}, {"readings": {"SM clock": 1505.0}}, None),
        ({}, {"readings": {"SM clock": 1505.0}}, None),
    ],
)
def test_evidence_is_what_the_others_do_not_have(
    own: dict[str, Any], others: dict[str, Any], words: str | None
) -> None:
    usual: dict[str, Any] = {"properties": {}, "readings": {}, "throttle_ratio": {}}
    found = node_evidence(NodeState(**{**usual, **own}), [NodeState(**{**usual, **others})] * 3)
    assert found == (() if words is None else (words,))


def test_a_brief_reading_says_the_same_as_a_whole_one(tmp_path: Path) -> None:
    (path,) = fleet_files(tmp_path, num_nodes=1, num_repetitions=1)
    assert read_run(path) == reduce_run(read_result_file(path))


def test_many_files_are_read_in_other_processes_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = fleet_files(tmp_path, num_nodes=2)
    one = read_runs(paths)
    monkeypatch.setattr(brief, "MIN_PARALLEL_FILES", 1)
    assert read_runs(paths) == one


def test_a_broken_file_among_many_is_named_from_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = fleet_files(tmp_path, num_nodes=2)
    paths[4].write_text("{")
    monkeypatch.setattr(brief, "MIN_PARALLEL_FILES", 1)
    with pytest.raises(ResultFileError, match=r"Tesla-T4-gpu-1-torch213-1.json: cut off"):
        read_runs(paths)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"node": 7, "kind": "T4", "environment": "t", "repetition": 0}, "machine_info.perfsuite_fleet.node is int 7"),
        ({"node": "a", "kind": "T4", "environment": "t"}, "machine_info.perfsuite_fleet.repetition is missing"),
        ("gpu-1", "machine_info.perfsuite_fleet is a text, an object is needed"),
    ],
)
def test_a_place_in_a_fleet_that_cannot_be_read_is_refused(place: Any, words: str, tmp_path: Path) -> None:
    (path,) = fleet_files(tmp_path, num_nodes=1, num_repetitions=1)
    content = json.loads(path.read_text())
    content["machine_info"]["perfsuite_fleet"] = place
    path.write_text(json.dumps(content))
    with pytest.raises(ResultFileError, match=words):
        read_result_file(path)


def test_copies_and_first_answers_are_left_out_with_a_note(tmp_path: Path) -> None:
    paths = fleet_files(tmp_path, num_nodes=2, num_repetitions=2)
    copy = tmp_path / "copy.json"
    copy.write_text(paths[0].read_text())
    content = json.loads(paths[1].read_text())
    for entry in content["benchmarks"]:
        entry["extra_info"]["perfsuite"]["quick"] = True
    paths[1].write_text(json.dumps(content))
    results = results_of_nodes([*paths, copy])
    assert [run.file for run in results.node_runs] == [str(paths[0]), str(paths[2]), str(paths[3])]
    assert results.notes == (
        f"{copy}: left out, it contains the same run as {paths[0]}",
        f"{paths[1]}: measured with --perf-quick, left out",
    )


def test_the_table_has_odd_nodes_first_within_80_columns(tmp_path: Path) -> None:
    paths = fleet_files(tmp_path, num_nodes=8)
    text = render_terminal(build_table("nodes", results_of_nodes(paths)), width=80, color=False)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("1 of 8 T4 nodes is odd: gpu-02 takes ")
    rows = [line for line in lines if line.startswith("gpu-")]
    assert rows[0].startswith("gpu-02  ▲ slow")
    assert len(rows) == 8


def test_the_command_takes_the_minimum_effect_and_only_for_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(path) for path in fleet_files(tmp_path)]
    assert main(["collect", "--table", "nodes", "--min-effect", "6%", *paths]) == 0
    assert "no odd node among 5 T4 nodes" in capsys.readouterr().out.lower().replace("t4", "T4")
    assert main(["collect", "--min-effect", "6%", *paths]) == 2
    assert "--min-effect applies to one table only: add --table nodes" in capsys.readouterr().err


def test_the_page_says_first_which_machine_is_odd(tmp_path: Path) -> None:
    page = render_page(gather(fleet_files(tmp_path)), version="1")
    assert "1 of 5 T4 nodes is odd: gpu-02 takes" in page.partition("</section>")[0]
    assert '<section id="nodes"' in page
    assert page.index("unlike the others") < page.index("1 kind of machines in 1 version")


def test_a_page_of_one_machine_says_nothing_of_a_fleet(tmp_path: Path) -> None:
    paths = fleet_files(tmp_path, num_nodes=1, by_hand=True)
    page = render_page(gather(paths), version="1")
    assert '<section id="nodes"' not in page
    assert "Is one machine unlike" not in page


def test_a_page_of_very_many_files_has_the_machines_and_says_that_it_has_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfsuite.commands.report.MAX_WHOLE_FILES", 3)
    paths = [str(path) for path in fleet_files(tmp_path)]
    target = tmp_path / "page.html"
    assert main(["report", *paths, "-o", str(target)]) == 0
    page = target.read_text()
    assert "gpu-02 takes" in page
    assert "15 files: only machines and versions are shown" in page


def test_a_hostile_name_of_a_node_is_shown_as_text(tmp_path: Path) -> None:
    paths = fleet_files(tmp_path, prefix="<script>alert(1)</script>\x1b[31m")
    page = render_page(gather(paths), version="1")
    assert "<script>alert(1)" not in page
    text = render_terminal(build_table("nodes", collect(paths)), width=80, color=False)
    assert "\x1b" not in text


def test_more_odd_nodes_than_a_sentence_names_are_counted(tmp_path: Path) -> None:
    verdict = _judged(fleet_files(tmp_path, num_nodes=24, num_repetitions=1, slow=(0, 1, 2, 3, 4)))
    assert kind_sentence(verdict, verdict.kinds[0]).endswith("and 2 others")
    assert len(verdict.kinds[0].odd) == 5
    assert dataclasses.asdict(verdict.nodes[0])["num_processes"] == 1

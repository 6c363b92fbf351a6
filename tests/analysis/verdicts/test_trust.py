from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content, make_pair, make_paired_entry
from report_builders import TELEMETRY, plain_file, step_file
from simulated import changed, write_sides
from training_builders import make_training, make_training_entry

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.verdicts.compare import Comparison, compare
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.analysis.verdicts.trust import trust_line, trust_of_comparison, trust_of_results
from perfsuite.analysis.verdicts.trust_evidence import Evidence, Trust
from perfsuite.analysis.verdicts.trust_rules import RULES, grade
from perfsuite.recipes import SMOKE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from perfsuite.records.telemetry import Telemetry

COMPARED = Evidence(is_comparison=True, num_results=20, num_processes=5, is_interleaved=True)
"""A comparison without a flaw."""

MEASURED = Evidence(is_comparison=False, num_results=20, num_processes=5)
"""A result without a flaw."""

LOST = {"out of memory": 1}


@pytest.mark.parametrize(
    ("good", "flaw", "allowed", "words"),
    [
        (COMPARED, {}, "high", ""),
        (MEASURED, {}, "high", ""),
        (MEASURED, {"num_results": 0, "num_processes": None}, "low", "no results"),
        (COMPARED, {"is_judged": False, "num_not_judged": 20}, "low", "low: nothing could be judged"),
        (COMPARED, {"other_machine": "another GPU: L4, T4", "is_judged": False}, "low", "the same: another GPU: L4"),
        (COMPARED, {"num_processes": 2}, "low", "2 processes on a side"),
        (COMPARED, {"num_processes": 3}, "medium", "3 processes a side"),
        (COMPARED, {"num_processes": None, "num_seeds": 3}, "high", ""),
        (MEASURED, {"num_processes": 1}, "low", "one run"),
        (MEASURED, {"num_processes": 1, "has_noise_floor": True}, "medium", "noise floor"),
        (MEASURED, {"num_processes": 2}, "medium", "two runs"),
        (MEASURED, {"num_processes": 3}, "high", ""),
        (COMPARED, {"num_quick": 1}, "low", "--perf-quick"),
        (MEASURED, {"num_smoke": 1}, "low", "smoke"),
        (COMPARED, {"is_interleaved": False}, "medium", "one after the other"),
        (COMPARED, {"is_interleaved": None}, "high", ""),
        (COMPARED, {"num_not_judged": 10}, "medium", "10 of 20 could not be judged"),
        (COMPARED, {"num_not_judged": 11}, "low", "11 of 20 could not be judged"),
        (COMPARED, {"detectable_ratios": (0.027, 0.04, 0.3)}, "high", "smallest detectable slowdown 2.7 to 30.0%"),
        (COMPARED, {"detectable_ratios": (0.06, 0.06, 0.06)}, "medium", "smallest detectable slowdown 6.0%"),
        (COMPARED, {"detectable_ratios": (0.1, 0.21, 0.4)}, "low", "smallest detectable slowdown 10.0 to 40.0%"),
        (COMPARED, {"is_host_noisy": True}, "medium", "noisy host"),
        (MEASURED, {"num_loaded": 1}, "medium", "other processes took CPU time in 1 of 20 results"),
        (MEASURED, {"num_steal": 11}, "low", "other virtual machines took CPU time in 11 of 20 results"),
        (MEASURED, {"num_shared": 2}, "medium", "another process used the GPU in 2 of 20 results"),
        (MEASURED, {"num_throttled": 2, "num_loaded": 1}, "medium", "clocks were throttled in 2 of 20 results, other"),
        (MEASURED, {"num_noisy": 2}, "high", ""),
        (MEASURED, {"num_noisy": 3}, "medium", "the rounds of 3 of 20 results are noisy"),
        (MEASURED, {"num_contradictory": 2}, "medium", "2 of 20 results contradict others"),
        (MEASURED, {"num_contradictory": 3}, "low", "3 of 20 results contradict others"),
        (MEASURED, {"num_contradictory": 1, "is_own": False}, "medium", "statistics that cannot be right"),
        (MEASURED, {"num_without_result": LOST}, "medium", "1 of 20 cells gave no result: 1 out of memory"),
        (MEASURED, {"num_without_result": {"failed": 11}}, "low", "11 failed"),
        (MEASURED, {"num_without_result": {"skipped": 11, "not run": 3}}, "high", ""),
        (MEASURED, {"num_files": 5, "num_cut_short": 1}, "medium", "1 of 5 runs was cut short"),
        (MEASURED, {"num_cut_short": 1}, "low", "1 of 1 run was cut short"),
        (MEASURED, {"num_seeds": 1}, "medium", "one seed"),
        (MEASURED, {"is_dirty": True}, "medium", "uncommitted changes"),
        (COMPARED, {"mixed": ("files of several drivers are taken together",)}, "medium", "several drivers"),
    ],
)
def test_every_flaw_allows_at_most_its_grade(good: Evidence, flaw: dict[str, Any], allowed: str, words: str) -> None:
    trust = grade(dataclasses.replace(good, **flaw))
    assert trust.grade == allowed
    assert words in trust.in_words
    assert bool(words) == bool(trust.reasons)
    assert trust.action


def test_the_worst_flaw_decides_and_is_named_first_with_what_to_do_about_it() -> None:
    trust = grade(dataclasses.replace(COMPARED, is_interleaved=False, num_processes=2, num_without_result=LOST))
    assert [reason.grade for reason in trust.reasons] == ["low", "medium", "medium"]
    assert trust.in_words.startswith("low: 2 processes on a side")
    assert trust.action.startswith("perfsuite ab --baseline PYTHON --candidate PYTHON")


def test_no_number_of_flaws_raises_a_grade() -> None:
    flaws: dict[str, Any] = {
        "num_processes": 3,
        "is_interleaved": False,
        "num_loaded": 3,
        "num_noisy": 4,
        "num_cut_short": 1,
        "is_dirty": True,
    }
    evidence, order = COMPARED, ("low", "medium", "high")
    before = grade(evidence)
    for name, value in flaws.items():
        evidence = dataclasses.replace(evidence, **{name: value})
        after = grade(evidence)
        assert order.index(after.grade) <= order.index(before.grade)
        assert len(after.reasons) > len(before.reasons)
        before = after
    assert len(RULES) >= len(before.reasons)


def test_the_action_is_the_command_that_extends_or_explains_the_comparison() -> None:
    undecided = dataclasses.replace(COMPARED, num_not_judged=2, num_processes_needed=8)
    assert grade(undecided).action == "perfsuite ab --baseline PYTHON --candidate PYTHON --processes 8"
    slower = dataclasses.replace(COMPARED, changed="resnet50 train_step")
    assert grade(slower).action.endswith('--explain "resnet50 train_step"')
    assert grade(COMPARED).action == "none: the verdicts can be trusted"


def compared(old: Sequence[Path], new: Sequence[Path]) -> Comparison:
    return compare(join_sides([read_process(path) for path in old], [read_process(path) for path in new]))


@pytest.fixture
def sides(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    return write_sides(tmp_path, changes=[1.0] * 9 + [1.1], process_sd=0.002)


@pytest.mark.parametrize(("what", "axis"), [("GPU", "gpu"), ("CPU", "gpu"), ("board of the same GPU", "board")])
def test_other_machines_are_set_side_by_side_along_what_differs(what: str, axis: str) -> None:
    evidence = dataclasses.replace(COMPARED, other_machine=f"another {what}: a, b", is_judged=False)
    assert f"perfsuite compare --across {axis} " in grade(evidence).action


def test_five_interleaved_processes_of_one_quiet_machine_are_trusted(sides: tuple[list[Path], list[Path]]) -> None:
    comparison = compared(*sides)
    assert trust_of_comparison(comparison).grade == "high"
    line = trust_line(comparison)
    assert line.startswith("trust: high: smallest detectable slowdown ")
    assert line.endswith('next: inspect the first one: perfsuite compare ... --explain "test_step[9]"')
    assert "\n" not in line


def test_sides_that_ran_one_after_the_other_are_not_fully_trusted(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.0] * 9 + [1.1], process_sd=0.002, order="sequential")
    assert trust_line(compared(old, new)).startswith(
        "trust: medium: the sides ran one after the other; smallest detectable slowdown "
    )


@pytest.mark.parametrize(
    ("hosts", "words", "command"),
    [
        (
            ("gpu-a", "gpu-b"),
            "the machines are not the same: another host: gpu-a, gpu-b",
            "if it is one machine: perfsuite compare --ignore-host",
        ),
        (
            ("gpu-a", "gpu-a"),
            "nothing could be judged; 2 processes on a side",
            "perfsuite ab --baseline PYTHON --candidate PYTHON -- TESTS",
        ),
    ],
)
def test_what_cannot_be_judged_is_never_trusted(
    hosts: tuple[str, str], words: str, command: str, tmp_path: Path
) -> None:
    old, new = write_sides(tmp_path, changes=[1.0] * 9, num=2, hosts=hosts)
    trust = trust_of_comparison(compared(old, new))
    assert trust.in_words.startswith(f"low: {words}")
    assert command in trust.action


def test_a_run_that_was_cut_short_is_named(sides: tuple[list[Path], list[Path]]) -> None:
    old, new = sides
    changed(new[0], lambda content: content.update(perfsuite={"schema_version": 6, "complete": False, "outcomes": []}))
    assert "1 of 10 runs was cut short" in trust_line(compared(old, new))


def results_grade(*paths: Path) -> Trust:
    return trust_of_results(collect(paths))


def test_one_run_is_low_and_five_are_high(tmp_path: Path) -> None:
    files = [step_file(tmp_path / f"{seed}.json", run_id=f"run-{seed}", seed=seed) for seed in range(5)]
    one = results_grade(files[0])
    assert one.grade == "low"
    assert one.in_words == "low: one run: how much another one would differ is not known"
    assert "--benchmark-json=run2.json" in one.action
    assert results_grade(*files[:2]).grade == "medium"
    assert results_grade(*files).grade == "high"


def test_foreign_files_are_asked_for_a_second_run_with_plain_pytest(tmp_path: Path) -> None:
    trust = results_grade(plain_file(tmp_path / "plain.json", ["test_a", "test_b"]))
    assert trust.grade == "low"
    assert trust.action == "run it again, into a file of its own: pytest --benchmark-json=run2.json"


def _with_telemetry(path: Path, telemetry: Telemetry, num: int) -> None:
    content = json.loads(path.read_text())
    for entry in content["benchmarks"][:num]:
        entry["extra_info"]["perfsuite"]["telemetry"] = dataclasses.asdict(telemetry)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"throttle_ratio": {"power cap": 0.9}}, ""),
        ({"throttle_ratio": {"power cap": 0.9, "thermal (software)": 0.2}}, "clocks were throttled in 2 of 18 results"),
        ({"num_other_processes": 1}, "another process used the GPU in 2 of 18 results"),
        ({"background_cpu_ratio": 0.4}, "other processes took CPU time in 2 of 18 results"),
        ({"steal_ratio": 0.2}, "other virtual machines took CPU time in 2 of 18 results"),
    ],
)
def test_what_the_hardware_did_meanwhile_lowers_the_grade_of_results_and_of_comparisons(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    sides = [
        [step_file(tmp_path / f"{name}{seed}.json", run_id=f"{name}{seed}", seed=seed, evidence=True) for seed in seeds]
        for name, seeds in (("old", range(0, 10, 2)), ("new", range(1, 11, 2)))
    ]
    for path in sides[1]:
        _with_telemetry(path, dataclasses.replace(TELEMETRY, **{"throttle_ratio": {}, **change}), 2)
    of_comparison = trust_of_comparison(compared(*sides))
    assert words in of_comparison.in_words
    assert of_comparison.grade == ("medium" if words else "high")
    of_results = results_grade(*sides[1])
    assert words.replace("2 of 18", "10 of 90") in of_results.in_words
    assert of_results.grade == of_comparison.grade


def test_pairs_and_full_trainings_have_a_grade_of_their_own(write_result: Callable[..., Path]) -> None:
    pair = write_result(make_content([make_paired_entry(make_pair())]), "pair.json")
    assert results_grade(pair).in_words.startswith("low: one run")
    assert "pytest benchmarks -m interleaved " in results_grade(pair).action
    seeds = [make_training(seed=seed, weights_sha256=str(seed)) for seed in range(3)]
    trainings = write_result(make_content([make_training_entry(one) for one in seeds]), "trainings.json")
    assert results_grade(trainings).grade == "high"
    one = write_result(make_content([make_training_entry(seeds[0])]), "one.json")
    assert results_grade(one).in_words.startswith("medium: one seed of a full training")
    smoke = write_result(make_content([make_training_entry(make_training(recipe=SMOKE))]), "smoke.json")
    assert results_grade(smoke).grade == "low"


def test_files_without_results_are_not_trusted(write_result: Callable[..., Path]) -> None:
    assert results_grade(write_result(make_content([]))).in_words == "low: no results"

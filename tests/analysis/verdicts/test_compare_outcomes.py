"""What `compare` makes of benchmarks that a process recorded as failed, skipped or not run."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_pair, make_paired_entry, make_record, make_workload
from compared_trainings import moment, trained, write_trainings
from foreign_files import write_foreign
from training_builders import make_training_entry

from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.cli import main
from perfsuite.records.environment import Process
from perfsuite.records.outcome import Outcome
from perfsuite.records.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts.training_verdicts import TrainingVerdict
    from perfsuite.records.outcome import OutcomeKind
    from perfsuite.records.training import TrainingRecord

PHASES = ("forward", "backward", "train_step")
REASONS: dict[str, str] = {
    "failed": "ZeroDivisionError: as planned",
    "out_of_memory": "resnet18 amp-fp16 train_step b128 does not fit",
    "interrupted": "the run was stopped while this cell was measured",
    "skipped": "this device lacks BF16",
    "not_run": "the device was lost",
    "cannot_tell": "the interval is too wide",
}
LABEL = "resnet18 amp-fp16 train_step b128"
STEP = "benchmarks/test_step.py::test_train_step[resnet18-amp-fp16-b128]"


def step_outcome(kind: OutcomeKind, nodeid: str = STEP, *, known: bool = True, phase: str = "train_step") -> Outcome:
    workload = make_workload(precision="amp-fp16", phase=phase)
    return Outcome(nodeid=nodeid, outcome=kind, reason=REASONS[kind], workload=workload if known else None)


def write_side(
    folder: Path,
    name: str,
    *,
    outcomes: Mapping[int, Sequence[Outcome]],
    num: int = 5,
    others: Sequence[dict[str, Any]] = (),
    factor: float = 1.0,
    **content: Any,
) -> list[Path]:
    """Write processes that measured three cells, but for those of which they have an outcome."""
    paths = []
    generator = np.random.default_rng(len(name))
    for number in range(num):
        own = outcomes.get(number, ())
        run_id = f"{name}{number}"
        turn = 2 * number + ((number % 2 == 0) == (name == "candidate"))
        process = Process(run_id=run_id, pid=1, started=moment(turn))
        entries = []
        for phase in PHASES:
            record = make_record(make_workload(precision="amp-fp16", phase=phase), run_id=run_id)
            times = 0.1 * factor * np.exp(generator.normal(0, 0.003) + generator.normal(0, 0.003, 20))
            entry = make_entry(dataclasses.replace(record, process=process), times.tolist())
            if entry["fullname"] not in {outcome.nodeid for outcome in own}:
                entries.append(entry)
        values: dict[str, Any] = {"outcomes": own, **content}
        path = folder / f"{run_id}.json"
        path.write_text(json.dumps({**make_content([*entries, *others], **values), "datetime": moment(turn)}))
        paths.append(path)
    return paths


def judged(baseline: Sequence[Path], candidate: Sequence[Path]) -> Comparison:
    return compare(join_sides(*([read_process(path) for path in side] for side in (baseline, candidate))))


def of_step(baseline: Sequence[Path], candidate: Sequence[Path]) -> BenchmarkVerdict:
    (found,) = (one for one in judged(baseline, candidate).benchmarks if one.fullname == STEP)
    return found


def arguments(baseline: Sequence[Path], candidate: Sequence[Path], *more: str) -> list[str]:
    return ["compare", "--baseline", *map(str, baseline), "--candidate", *map(str, candidate), *more]


@pytest.fixture
def complete(tmp_path: Path) -> list[Path]:
    return write_side(tmp_path, "baseline", outcomes={})


def everywhere(*outcomes: Outcome) -> dict[int, Sequence[Outcome]]:
    return dict.fromkeys(range(5), outcomes)


@pytest.mark.parametrize("kind", ["failed", "out_of_memory", "interrupted"])
def test_a_benchmark_that_fails_in_every_candidate_process_is_failed_and_fails_the_gate(
    complete: list[Path], tmp_path: Path, kind: OutcomeKind, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = write_side(tmp_path, "candidate", outcomes=everywhere(step_outcome(kind)))
    found = of_step(complete, candidate)
    where = f"{kind.replace('_', ' ')} in 5 of 5 processes of the candidate"
    assert (found.verdict, found.time.reason) == ("failed", f"{where}: {REASONS[kind]}")
    assert (found.num_baseline, found.num_candidate, found.num_failed) == (5, 0, (0, 5))
    assert main(arguments(complete, candidate)) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("1 failed, 2 unchanged")
    assert captured.err == "perfsuite: failed (--fail-on regressed,missing,unjudged): 1 failed\n"


@pytest.mark.parametrize("kind", ["skipped", "not_run"])
def test_a_benchmark_that_never_began_is_missing_with_the_reason(
    complete: list[Path], tmp_path: Path, kind: OutcomeKind
) -> None:
    candidate = write_side(tmp_path, "candidate", outcomes=everywhere(step_outcome(kind)))
    found = of_step(complete, candidate)
    where = f"{kind.replace('_', ' ')} in 5 of 5 processes of the candidate"
    assert (found.verdict, found.time.reason) == ("missing", f"{where}: {REASONS[kind]}")
    assert main(arguments(complete, candidate)) == 1
    assert main(arguments(complete, candidate, "--fail-on", "regressed")) == 0


def test_a_benchmark_that_fails_in_one_of_five_processes_is_failed_and_keeps_what_the_others_measured(
    complete: list[Path], tmp_path: Path
) -> None:
    found = of_step(complete, write_side(tmp_path, "candidate", outcomes={3: [step_outcome("out_of_memory")]}))
    assert found.verdict == "failed"
    assert found.time.reason.startswith("out of memory in 1 of 5 processes of the candidate: resnet18")
    assert found.time.reason.endswith("; where measured: no change (within 2%)")
    assert found.time.ratio == pytest.approx(1, abs=0.01)
    assert (found.num_candidate, found.num_failed) == (4, (0, 1))


def test_kinds_of_failure_are_counted_apart(complete: list[Path], tmp_path: Path) -> None:
    outcomes = {0: [step_outcome("failed")], 1: [step_outcome("failed")], 4: [step_outcome("interrupted")]}
    reason = of_step(complete, write_side(tmp_path, "candidate", outcomes=outcomes)).time.reason
    assert "failed in 2 of 5 processes of the candidate: ZeroDivisionError" in reason
    assert "interrupted in 1 of 5 processes of the candidate: the run was stopped" in reason


def test_a_failure_on_both_sides_is_named_and_is_no_regression(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = everywhere(step_outcome("out_of_memory"))
    sides = [write_side(tmp_path, name, outcomes=outcomes) for name in ("baseline", "candidate")]
    (found,) = (one for one in judged(sides[0], sides[1]).benchmarks if one.fullname == STEP)
    assert found.verdict == "inconclusive"
    assert found.time.reason.startswith("failed on both sides: out of memory in 5 of 5 processes of the candidate")
    assert found.num_failed == (5, 5)
    assert main(arguments(sides[0], sides[1])) == 0
    assert "? inconclusive  test_train_step[resnet18-amp-fp16-b128]" in capsys.readouterr().out
    assert main([*arguments(sides[0], sides[1]), "--explain", STEP]) == 0
    assert "failed on both sides" in capsys.readouterr().out


def test_a_benchmark_that_fails_as_often_on_both_sides_is_judged_by_the_other_processes(tmp_path: Path) -> None:
    outcomes = {2: [step_outcome("failed")]}
    sides = [write_side(tmp_path, name, outcomes=outcomes) for name in ("baseline", "candidate")]
    found = of_step(sides[0], sides[1])
    assert found.verdict == "unchanged"
    assert "failed in 1 of 5 processes of the candidate" in found.time.reason
    assert "failed in 1 of 5 processes of the baseline" in found.time.reason


def test_more_frequent_failures_than_in_the_baseline_are_failed(tmp_path: Path) -> None:
    few, many = ({number: [step_outcome("failed")] for number in range(num)} for num in (1, 2))
    baseline = write_side(tmp_path, "baseline", outcomes=few)
    candidate = write_side(tmp_path, "candidate", outcomes=many)
    assert of_step(baseline, candidate).verdict == "failed"
    assert of_step(candidate, baseline).verdict == "unchanged"


def test_a_benchmark_that_failed_in_the_baseline_alone_is_new_with_the_reason(tmp_path: Path) -> None:
    baseline = write_side(tmp_path, "baseline", outcomes=everywhere(step_outcome("out_of_memory")))
    complete = write_side(tmp_path, "candidate", outcomes={})
    found = of_step(baseline, complete)
    assert found.verdict == "new"
    assert found.time.reason.startswith("out of memory in 5 of 5 processes of the baseline: resnet18")
    assert main(arguments(baseline, complete)) == 0


def test_a_benchmark_that_the_baseline_does_not_have_fails_the_gate_where_it_fails(
    complete: list[Path], tmp_path: Path
) -> None:
    name = "benchmarks/test_step.py::test_train_step[resnet50-amp-fp16-b128]"
    candidate = write_side(tmp_path, "candidate", outcomes=everywhere(step_outcome("failed", name, known=False)))
    (found,) = (one for one in judged(complete, candidate).benchmarks if one.fullname == name)
    assert found.verdict == "failed"
    assert main(arguments(complete, candidate)) == 1


@pytest.mark.parametrize("kind", ["skipped", "not_run"])
def test_what_neither_side_could_measure_has_no_row(tmp_path: Path, kind: OutcomeKind) -> None:
    outcomes = everywhere(step_outcome(kind))
    sides = [write_side(tmp_path, name, outcomes=outcomes) for name in ("baseline", "candidate")]
    assert len(judged(sides[0], sides[1]).benchmarks) == 2
    assert main(arguments(sides[0], sides[1], "--fail-on", "inconclusive")) == 0


@pytest.mark.parametrize("known", [True, False])
def test_a_run_from_another_folder_has_its_outcomes_joined_by_module_and_test(
    complete: list[Path], tmp_path: Path, known: bool
) -> None:
    candidate = write_side(tmp_path, "candidate", outcomes={})
    for path in candidate:
        content = json.loads(path.read_text())
        content["benchmarks"] = [one for one in content["benchmarks"] if one["fullname"] != STEP]
        outcome = step_outcome("interrupted", STEP.removeprefix("benchmarks/"), known=known)
        content[KEY]["outcomes"] = [outcome.to_json()]
        path.write_text(json.dumps(content))
    assert of_step(complete, candidate).verdict == "failed"


def test_an_outcome_of_another_workload_of_the_same_name_is_not_taken_for_it(
    complete: list[Path], tmp_path: Path
) -> None:
    other = dataclasses.replace(step_outcome("failed"), workload=make_workload(precision="amp-fp16", image_size=64))
    candidate = write_side(tmp_path, "candidate", outcomes=everywhere(other))
    found = judged(complete, candidate).benchmarks
    assert [one.verdict for one in found if one.fullname == STEP] == ["missing", "failed"]


def test_a_crash_is_named_although_the_gate_lists_regressions_alone(complete: list[Path], tmp_path: Path) -> None:
    candidate = write_side(tmp_path, "candidate", outcomes={0: [step_outcome("failed")]}, factor=1.2)
    assert main(arguments(complete, candidate, "--fail-on", "regressed")) == 1
    passing = write_side(tmp_path, "candidate", outcomes=everywhere(step_outcome("failed")))
    for fail_on, status in {"regressed": 1, "failed": 1, "inconclusive": 1, "missing": 0, "never": 0}.items():
        assert main(arguments(complete, passing, "--fail-on", fail_on)) == status, fail_on


@pytest.mark.parametrize("fail_on", ["regressed", "missing", "incomparable", "unjudged", "inconclusive"])
def test_a_candidate_without_any_result_fails_whatever_is_listed(
    complete: list[Path], tmp_path: Path, fail_on: str, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps(make_content([])))
    assert main(arguments(complete, [empty], "--fail-on", fail_on)) == 1
    captured = capsys.readouterr()
    assert captured.err.endswith(f"failed (--fail-on {fail_on}): the candidate files contain no results\n")
    assert f"{empty}: contains no results" in captured.out
    assert main(arguments(complete, [empty], "--fail-on", "never")) == 0


def test_a_run_that_was_cut_short_without_a_word_of_it_is_counted(complete: list[Path], tmp_path: Path) -> None:
    candidate = write_side(tmp_path, "candidate", outcomes={})
    for path in candidate:
        content = json.loads(path.read_text())
        content["benchmarks"] = content["benchmarks"][:2]
        content[KEY]["complete"] = False
        path.write_text(json.dumps(content))
    found = of_step(complete, candidate)
    assert (found.verdict, found.time.reason) == ("missing", "no candidate file has it (5 of them cut short)")


def test_files_that_record_no_outcomes_have_missing_benchmarks(tmp_path: Path) -> None:
    sides = [
        [write_foreign(tmp_path / f"{name}{number}.json", benchmarks) for number in range(1)]
        for name, benchmarks in (("a", {"test_a": [1e-3] * 9, "test_b": [1e-3] * 9}), ("b", {"test_a": [1e-3] * 9}))
    ]
    found = judged(sides[0], sides[1]).benchmarks[1]
    assert (found.verdict, found.time.reason) == ("missing", "no candidate file has it")


def test_a_failure_on_another_machine_is_failed_and_the_machine_is_named(complete: list[Path], tmp_path: Path) -> None:
    other = dataclasses.replace(ENVIRONMENT, device="Tesla P4", gpu="Tesla P4")
    candidate = write_side(tmp_path, "candidate", outcomes={1: [step_outcome("failed")]}, environment=other)
    found = of_step(complete, candidate)
    assert found.verdict == "failed"
    assert "where measured: another GPU" in found.time.reason


# In every format.


def test_every_format_has_the_verdict_and_its_reason(
    complete: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = write_side(tmp_path, "candidate", outcomes=everywhere(step_outcome("out_of_memory")))
    shown = {}
    for name in ("terminal", "markdown", "csv", "json", "latex"):
        assert main(arguments(complete, candidate, "--format", name)) == 1
        shown[name] = capsys.readouterr().out
    reason = f"out of memory in 5 of 5 processes of the candidate: {REASONS['out_of_memory']}"
    (line, trust) = (line for line in shown["terminal"].splitlines() if LABEL in line)
    assert line.startswith("✗ failed ")
    assert re.match(r"trust: \w+: .*; next: .*perfsuite compare .* --explain ", trust)
    assert reason in line
    assert "✗ failed" in shown["markdown"].partition("<details>")[0]
    assert "out of memory in 5 of 5 processes" in shown["latex"]
    row = next(iter(csv.DictReader(io.StringIO(shown["csv"]))))
    assert (row["verdict"], row["reason"], row["num_failed_candidate"]) == ("failed", reason, "5")
    content = json.loads(shown["json"])
    assert content["schema"] == "perfsuite-compare-7"
    assert content["summary"]["failed"] == 1
    (entry,) = (one for one in content["benchmarks"] if one["verdict"] == "failed")
    assert (entry["time"]["verdict"], entry["time"]["reason"]) == ("failed", reason)
    assert entry["num_failed"] == {"baseline": 0, "candidate": 5}


def test_the_report_says_first_what_failed(complete: list[Path], tmp_path: Path) -> None:
    candidate = write_side(tmp_path, "candidate", outcomes=everywhere(step_outcome("out_of_memory")))
    page = tmp_path / "page.html"
    assert main(["report", *map(str, candidate), "--baseline", *map(str, complete), "-o", str(page)]) in {0, 1}
    text = re.sub(r"\s+", " ", re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page.read_text(), flags=re.DOTALL))
    first, _, rest = text.partition("Did anything regress?")[2].partition("Can I trust it?")
    assert first.lstrip().startswith("Regressed: 1 failed, of 3 benchmarks.")
    assert "failed out of memory in 5 of 5 processes of the candidate: resnet18" in re.sub(r" +", " ", first)
    assert "✗ failed" in rest


# Interleaved pairs.

PAIR = "benchmarks/test_interleaved.py::test_interleaved[resnet18-amp-fp16]"


def pair_outcome(kind: OutcomeKind) -> Outcome:
    return step_outcome(kind, PAIR)


def write_pairs(
    folder: Path, name: str, outcomes: Mapping[int, Sequence[Outcome]], *, also: bool = False
) -> list[Path]:
    """Write processes that measured a pair, but for those that have an outcome of it; with `also` those too."""
    paths = write_side(folder, name, outcomes=outcomes)
    for number, path in enumerate(paths):
        content = json.loads(path.read_text())
        if also or PAIR not in {outcome.nodeid for outcome in outcomes.get(number, ())}:
            content["benchmarks"].append(make_paired_entry(make_pair(run_id=f"{name}{number}")))
        path.write_text(json.dumps(content))
    return paths


@pytest.mark.parametrize(
    ("kind", "verdict", "status"),
    [
        ("failed", "failed", 1),
        ("out_of_memory", "failed", 1),
        ("interrupted", "failed", 1),
        ("not_run", "missing", 1),
        ("skipped", "missing", 1),
        ("cannot_tell", "inconclusive", 0),
    ],
)
def test_a_pair_that_the_candidate_lost_has_a_row_of_its_own(
    tmp_path: Path, kind: OutcomeKind, verdict: str, status: int
) -> None:
    baseline = write_pairs(tmp_path, "baseline", {})
    candidate = write_pairs(tmp_path, "candidate", everywhere(pair_outcome(kind)))
    found = {one.fullname: one for one in judged(baseline, candidate).benchmarks}
    assert found[PAIR].verdict == verdict
    assert REASONS[kind] in found[PAIR].time.reason
    assert (found[PAIR].num_baseline, found[PAIR].num_candidate) == (5, 0)
    assert found[STEP].verdict == "unchanged"
    assert main(arguments(baseline, candidate)) == status


def test_a_pair_that_missed_its_limit_is_failed_although_it_was_measured(tmp_path: Path) -> None:
    baseline = write_pairs(tmp_path, "baseline", {})
    candidate = write_pairs(tmp_path, "candidate", {0: [pair_outcome("failed")]}, also=True)
    found = {one.fullname: one for one in judged(baseline, candidate).benchmarks}[PAIR]
    assert (found.verdict, found.num_candidate, found.num_failed) == ("failed", 4, (0, 1))
    both = write_pairs(tmp_path, "baseline", {0: [pair_outcome("failed")]}, also=True)
    assert {one.fullname: one for one in judged(both, candidate).benchmarks}[PAIR].verdict == "inconclusive"


def test_pairs_that_nobody_lost_have_no_row(tmp_path: Path) -> None:
    sides = [write_pairs(tmp_path, name, {}) for name in ("baseline", "candidate")]
    failed_before = write_pairs(tmp_path, "other", everywhere(pair_outcome("failed")))
    assert PAIR not in {one.fullname for one in judged(sides[0], sides[1]).benchmarks}
    assert PAIR not in {one.fullname for one in judged(failed_before, sides[1]).benchmarks}


# Full trainings.


def training_name(seed: int) -> str:
    return f"benchmarks/test_full_training.py::test_full_training[resnet18-fp32-b128{f'-seed{seed}' if seed else ''}]"


def training_outcome(kind: OutcomeKind, seed: int = 0, *, known: bool = True) -> Outcome:
    workload = make_workload(phase="full_training") if known else None
    return Outcome(nodeid=training_name(seed), outcome=kind, reason=REASONS[kind], workload=workload)


def training_file(
    folder: Path, name: str, records: Iterable[TrainingRecord], outcomes: Sequence[Outcome] = (), *, hour: int = 0
) -> Path:
    entries = [{**make_training_entry(record), "fullname": training_name(record.seed)} for record in records]
    path = write_trainings(folder, name, entries, hour=hour)
    content = json.loads(path.read_text())
    content[KEY]["outcomes"] = [outcome.to_json() for outcome in outcomes]
    content[KEY]["complete"] = not any(outcome.outcome == "interrupted" for outcome in outcomes)
    path.write_text(json.dumps(content))
    return path


def of_training(baseline: Sequence[Path], candidate: Sequence[Path]) -> TrainingVerdict:
    comparison = judged(baseline, candidate)
    assert comparison.benchmarks == ()
    (found,) = comparison.trainings.verdicts
    return found


@pytest.fixture
def trained_before(tmp_path: Path) -> list[Path]:
    return [training_file(tmp_path, "old", [trained(seed=seed, run_id=f"a{seed}") for seed in range(3)])]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kind", ["failed", "out_of_memory", "interrupted"])
def test_a_training_that_failed_is_failed_and_fails_the_gate(
    trained_before: list[Path], tmp_path: Path, kind: OutcomeKind, known: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = [training_file(tmp_path, "new", [], [training_outcome(kind, known=known)])]
    found = of_training(trained_before, candidate)
    assert found.verdict == "failed"
    assert found.reason == f"{kind.replace('_', ' ')} in the candidate: {REASONS[kind]}"
    assert found.num_failed == (0, 1)
    assert main(arguments(trained_before, candidate, "--format", "json")) == 1
    content = json.loads(capsys.readouterr().out)["trainings"][0]
    assert (content["verdict"], content["num_failed"]) == ("failed", {"baseline": 0, "candidate": 1})


@pytest.mark.parametrize("kind", ["skipped", "not_run"])
def test_a_training_that_never_began_is_missing_with_the_reason(
    trained_before: list[Path], tmp_path: Path, kind: OutcomeKind
) -> None:
    found = of_training(trained_before, [training_file(tmp_path, "new", [], [training_outcome(kind)])])
    assert found.verdict == "missing"
    assert REASONS[kind] in found.reason


def test_one_seed_of_three_that_failed_is_failed_and_the_others_are_compared(
    trained_before: list[Path], tmp_path: Path
) -> None:
    records = [trained(seed=seed, run_id=f"b{seed}") for seed in range(2)]
    candidate = [training_file(tmp_path, "new", records, [training_outcome("out_of_memory", 2)])]
    found = of_training(trained_before, candidate)
    assert found.verdict == "failed"
    assert found.reason.startswith("out of memory in 1 of 3 trainings of the candidate: resnet18")
    assert "; where measured: accuracy" in found.reason
    assert found.accuracy.change is not None


def test_a_training_that_was_interrupted_and_resumed_is_not_failed(trained_before: list[Path], tmp_path: Path) -> None:
    records = [trained(seed=seed, run_id="b") for seed in range(3)]
    candidate = [
        training_file(
            tmp_path, "cut", records[:1], [training_outcome("interrupted", 1), training_outcome("not_run", 2)]
        ),
        training_file(tmp_path, "resumed", [dataclasses.replace(records[0], replayed=True), *records[1:]], hour=5),
    ]
    found = of_training(trained_before, candidate)
    assert (found.verdict, found.num_failed) == ("unchanged", (0, 0))


def test_a_training_that_fails_on_both_sides_is_named(tmp_path: Path, trained_before: list[Path]) -> None:
    failing = [training_file(tmp_path, name, [], [training_outcome("failed")]) for name in ("one", "two")]
    (found,) = judged(failing[:1], failing[1:]).benchmarks
    assert (found.verdict, found.fullname) == ("inconclusive", training_name(0))
    back = of_training(failing[:1], trained_before)
    assert back.verdict == "new"
    assert back.reason.startswith("failed in the baseline: ZeroDivisionError")


def test_a_training_that_missed_its_target_is_judged_by_its_accuracy_and_says_so(
    trained_before: list[Path], tmp_path: Path
) -> None:
    records = [trained(seed=seed, run_id=f"b{seed}", accuracy=0.83 if seed else 0.8) for seed in range(3)]
    candidate = [training_file(tmp_path, "new", records, [training_outcome("failed", 0)])]
    found = of_training(trained_before, candidate)
    assert found.verdict != "failed"
    assert "accuracy target missed in 1 of 3 trainings of the candidate, in 0 of 3 of the baseline" in found.reason

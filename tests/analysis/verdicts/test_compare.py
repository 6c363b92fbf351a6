from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_pair, make_paired_entry, make_record, make_workload
from simulated import changed, write_sides

from perfsuite.analysis.verdicts.compare import Comparison, compare
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

UNCHANGED = [1.0] * 12


def compared(baseline: Sequence[Path], candidate: Sequence[Path], **options: Any) -> Comparison:
    sides = join_sides([read_process(path) for path in baseline], [read_process(path) for path in candidate])
    return compare(sides, **options)


def verdicts(comparison: Comparison) -> list[str]:
    return [benchmark.verdict for benchmark in comparison.benchmarks]


def test_slower_faster_and_unchanged_are_distinguished(tmp_path: Path) -> None:
    comparison = compared(*write_sides(tmp_path, changes=[*UNCHANGED, 1.1, 0.9]))
    assert verdicts(comparison) == ["unchanged"] * 12 + ["regressed", "improved"]
    slower = comparison.benchmarks[12].time
    assert slower.ratio == pytest.approx(1.1, abs=0.01)
    assert slower.ratio_low is not None
    assert slower.ratio_high is not None
    assert slower.ratio_low < 1.1 < slower.ratio_high
    assert slower.mde95 is not None
    assert 0.02 < slower.mde95 < 0.04
    assert slower.reason == "slower, significant"


def test_swapping_the_sides_inverts_the_ratio_and_mirrors_the_verdict(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[*UNCHANGED, 1.1, 0.9, 1.03], process_sd=0.01)
    there, back = compared(old, new), compared(new, old)
    mirror = {"regressed": "improved", "improved": "regressed"}
    assert verdicts(back) == [mirror.get(verdict, verdict) for verdict in verdicts(there)]
    for one, other in zip(there.benchmarks, back.benchmarks, strict=True):
        assert one.time.ratio == pytest.approx(1 / other.time.ratio)  # type: ignore[operator]
        assert one.time.ratio_low == pytest.approx(1 / other.time.ratio_high)  # type: ignore[operator]


def test_scaling_both_sides_changes_nothing(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[*UNCHANGED, 1.04], process_sd=0.01)
    before = compared(old, new)

    def ten_times(content: Any) -> None:
        for entry in content["benchmarks"]:
            entry["stats"]["data"] = [10 * value for value in entry["stats"]["data"]]

    after = compared([changed(path, ten_times) for path in old], [changed(path, ten_times) for path in new])
    assert verdicts(after) == verdicts(before)
    assert after.benchmarks[12].time.ratio == pytest.approx(before.benchmarks[12].time.ratio)


def test_the_order_in_which_files_are_given_does_not_matter(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[*UNCHANGED, 1.05], process_sd=0.01)
    one, other = compared(old, new), compared(old[::-1], [new[2], new[0], *new[3:], new[1]])
    assert verdicts(one) == verdicts(other)
    assert [b.time.ratio for b in one.benchmarks] == pytest.approx([b.time.ratio for b in other.benchmarks])


@pytest.mark.parametrize("seed", range(5))
def test_one_more_unchanged_benchmark_never_makes_a_regression(tmp_path: Path, seed: int) -> None:
    old, new = write_sides(tmp_path, changes=[*UNCHANGED, 1.0], process_sd=0.01, seed=seed)
    more = compared(old, new)

    def without_last(content: Any) -> None:
        content["benchmarks"].pop()

    fewer = compared([changed(path, without_last) for path in old], [changed(path, without_last) for path in new])
    for with_it, without in zip(more.benchmarks, fewer.benchmarks, strict=False):
        assert (without.verdict, with_it.verdict) != ("unchanged", "regressed")


@pytest.mark.parametrize("num", [1, 2])
def test_one_or_two_processes_a_side_never_give_a_verdict_but_show_what_was_seen(tmp_path: Path, num: int) -> None:
    comparison = compared(*write_sides(tmp_path, changes=[*UNCHANGED, 1.5], num=num))
    assert set(verdicts(comparison)) == {"inconclusive"}
    last = comparison.benchmarks[-1].time
    assert last.ratio == pytest.approx(1.5, rel=0.05)
    assert (last.ratio_low, last.mde95) == (None, None)
    assert "run at least 3, better 5 a side, in the order A B B A" in last.reason


def test_three_processes_a_side_show_a_large_change(tmp_path: Path) -> None:
    comparison = compared(*write_sides(tmp_path, changes=[*UNCHANGED, 1.1], num=3))
    assert verdicts(comparison)[-1] == "regressed"


def test_few_benchmarks_are_judged_each_for_itself(tmp_path: Path) -> None:
    comparison = compared(*write_sides(tmp_path, changes=[1.1, 1.0]))
    assert verdicts(comparison) == ["regressed", "unchanged"]


def test_noise_leaves_it_open_and_says_what_would_settle_it(tmp_path: Path) -> None:
    comparison = compared(*write_sides(tmp_path, changes=UNCHANGED, process_sd=0.015, seed=3))
    reasons = [b.time.reason for b in comparison.benchmarks if b.verdict == "inconclusive"]
    assert reasons
    assert all("scatter" in reason and "needs" in reason for reason in reasons)
    assert all(
        (one.time.num_processes_needed or 0) > 5 for one in comparison.benchmarks if one.verdict == "inconclusive"
    )
    comparison = compared(*write_sides(tmp_path, changes=UNCHANGED, process_sd=0.2))
    assert any(
        "more than 50 processes a side needed, reduce background load" in one.time.reason
        for one in comparison.benchmarks
    )
    assert comparison.benchmarks[0].time.num_processes_needed is None


def test_a_slowdown_of_a_minority_of_the_rounds_is_found(tmp_path: Path) -> None:
    comparison = compared(*write_sides(tmp_path, changes=UNCHANGED, slow_rounds=0.3))
    assert set(verdicts(comparison)) == {"regressed"}
    for benchmark in comparison.benchmarks:
        assert benchmark.time.ratio == pytest.approx(1.0, abs=0.02)
        assert "the slowest 30% of the rounds: +" in benchmark.time.reason


def test_a_slowdown_of_everything_is_found_where_the_sides_alternate(tmp_path: Path) -> None:
    comparison = compared(*write_sides(tmp_path, changes=[1.08] * 12))
    assert set(verdicts(comparison)) == {"regressed"}
    assert any("common-mode shift" in note and "the code's" in note for note in comparison.notes)


def test_one_side_after_the_other_cannot_separate_code_from_drift(tmp_path: Path) -> None:
    comparison = compared(*write_sides(tmp_path, changes=[1.08] * 12, order="sequential"))
    assert set(verdicts(comparison)) == {"inconclusive"}
    assert all(
        "together: code or drift: not interleaved" in benchmark.time.reason for benchmark in comparison.benchmarks
    )
    assert [benchmark.time.ratio for benchmark in comparison.benchmarks] == pytest.approx([1.08] * 12, rel=0.01)
    one_slower = compared(*write_sides(tmp_path, changes=[*UNCHANGED, 1.1], order="sequential"))
    assert verdicts(one_slower)[-1] == "regressed"
    assert any("ran one after the other" in note for note in one_slower.notes)


def test_a_larger_minimum_effect_asks_for_a_larger_change(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[*UNCHANGED, 1.05])
    assert verdicts(compared(old, new))[-1] == "regressed"
    assert verdicts(compared(old, new, min_effect=lambda _name: 0.08))[-1] == "unchanged"
    only_last = compared(old, new, min_effect=lambda name: 0.08 if name.endswith("[12]") else 0.02)
    assert verdicts(only_last) == ["unchanged"] * 13


def test_another_machine_is_incomparable_by_name(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=UNCHANGED, hosts=("gpu-a", "gpu-b"))
    comparison = compared(old, new)
    assert set(verdicts(comparison)) == {"incomparable"}
    assert "another host: gpu-a, gpu-b" in comparison.benchmarks[0].time.reason
    assert set(verdicts(compared(old, new, ignore_host=True))) == {"unchanged"}


def test_copies_are_no_further_processes(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.5] * 12, num=1)
    copies = []
    for side in (old, new):
        text = side[0].read_text()
        copies.append([side[0], *(side[0].with_name(f"{side[0].stem}-{n}.json") for n in range(4))])
        for path in copies[-1]:
            path.write_text(text)
    comparison = compared(*copies)
    assert set(verdicts(comparison)) == {"inconclusive"}
    assert sum("a copy is no second process" in note for note in comparison.notes) == 8


def test_a_file_of_interleaved_pairs_or_without_results_is_no_sample_of_the_steps(tmp_path: Path) -> None:
    baseline, candidate = write_sides(tmp_path, changes=UNCHANGED)
    alone = compared(baseline, candidate)
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps(make_content([make_paired_entry(make_pair(run_id="pairs"))])))
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps(make_content([])))
    together = compared(baseline, [*candidate, pairs, empty])
    assert [len(together.sides.side(candidate=side)) for side in (False, True)] == [len(baseline), len(candidate)]
    assert verdicts(together) == verdicts(alone)
    assert any(note.endswith("they are ratios already: 1") for note in together.notes)


def test_a_run_on_both_sides_is_refused(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=UNCHANGED, num=2)
    with pytest.raises(ResultFileError, match=r"the same run as .* on the other side"):
        compared(old, [*new, old[0]])


def test_missing_and_new_benchmarks_are_named(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=UNCHANGED)
    for path in old:
        changed(path, lambda content: content["benchmarks"].pop(0))
    for path in new:
        changed(path, lambda content: content["benchmarks"].pop())
    found = {b.fullname.rpartition("[")[2]: b.verdict for b in compared(old, new).benchmarks}
    assert (found["0]"], found["11]"], found["5]"]) == ("new", "missing", "unchanged")


def test_a_benchmark_that_some_processes_lack_rests_on_the_others(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[*UNCHANGED, 1.1], num=6)
    for path in new[:2]:
        changed(path, lambda content: content["benchmarks"].pop())
    comparison = compared(old, new)
    assert (comparison.benchmarks[-1].num_baseline, comparison.benchmarks[-1].num_candidate) == (6, 4)
    assert verdicts(comparison)[-1] == "regressed"
    for path in new[2:5]:
        changed(path, lambda content: content["benchmarks"].pop())
    assert verdicts(compared(old, new))[-1] == "inconclusive"


def test_files_without_raw_rounds_are_judged_by_their_medians(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[*UNCHANGED, 1.1])

    def without_data(content: Any) -> None:
        for entry in content["benchmarks"]:
            del entry["stats"]["data"]

    for path in (*old, *new):
        changed(path, without_data)
    assert verdicts(compared(old, new)) == ["unchanged"] * 12 + ["regressed"]


def test_two_rounds_of_one_name_in_a_file_are_refused(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=UNCHANGED, num=1)
    changed(old[0], lambda content: content["benchmarks"].append(content["benchmarks"][3]))
    with pytest.raises(ResultFileError, match=r"contains 'tests/test_it.py::test_step\[3\]' twice"):
        compared(old, new)


@pytest.mark.parametrize("order", ["abba", "sequential"])
@pytest.mark.parametrize("changes", [[0.7] * 12 + [1.12] * 6, [1.04] * 18, [0.95] * 9 + [1.0] * 9, [1.0, 1.3]])
def test_the_ratio_is_candidate_over_baseline_as_measured(tmp_path: Path, order: str, changes: list[float]) -> None:
    old, new = write_sides(tmp_path, changes=changes, order=order, process_sd=0.01)
    comparison = compared(old, new)
    for number, benchmark in enumerate(comparison.benchmarks):
        medians = [
            [np.median(json.loads(path.read_text())["benchmarks"][number]["stats"]["data"]) for path in side]
            for side in (old, new)
        ]
        expected = np.exp(np.log(medians[1]).mean() - np.log(medians[0]).mean())
        time = benchmark.time
        assert time.ratio == pytest.approx(expected)
        assert time.candidate is not None
        assert time.baseline is not None
        assert time.candidate / time.baseline == pytest.approx(expected)
        assert time.ratio_low is not None
        assert time.ratio_high is not None
        assert time.ratio_low < expected < time.ratio_high


def test_unchanged_benchmarks_beside_it_change_no_ratio(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.1, 0.9, 1.0, *[1.0] * 20], process_sd=0.01)
    many = compared(old, new)

    def first_three(content: Any) -> None:
        del content["benchmarks"][3:]

    few = compared([changed(path, first_three) for path in old], [changed(path, first_three) for path in new])
    assert [one.time.ratio for one in few.benchmarks] == pytest.approx([one.time.ratio for one in many.benchmarks[:3]])


def test_half_of_the_matrix_that_became_faster_makes_no_regression_of_the_other_half(tmp_path: Path) -> None:
    comparison = compared(*write_sides(tmp_path, changes=[0.9] * 9 + [1.0] * 9))
    assert verdicts(comparison) == ["improved"] * 9 + ["unchanged"] * 9


def test_what_is_relative_to_the_others_has_fields_of_its_own(tmp_path: Path) -> None:
    comparison = compared(*write_sides(tmp_path, changes=[*UNCHANGED, 1.1]))
    time = comparison.benchmarks[12].time
    assert time.relative is not None
    assert time.relative.ratio_low < 1.1 < time.relative.ratio_high
    assert time.ratio != time.relative.ratio


def test_other_numbers_of_rounds_on_one_side_make_no_regression(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.0] * 36, round_sd=0.1, process_sd=0.002)

    def shorter(content: Any) -> None:
        for entry in content["benchmarks"]:
            stats = entry["stats"]
            stats.update(data=stats["data"][:3], rounds=3)

    comparison = compared(old, [changed(path, shorter) for path in new])
    assert "regressed" not in verdicts(comparison)
    assert all(benchmark.time.tail is None for benchmark in comparison.benchmarks)


def test_faster_typical_rounds_do_not_hide_a_slower_minority(tmp_path: Path) -> None:
    comparison = compared(*write_sides(tmp_path, changes=[0.95] * 12, slow_rounds=0.5))
    assert set(verdicts(comparison)) == {"regressed"}
    time = comparison.benchmarks[0].time
    assert time.by_tail
    assert time.tail is not None
    assert time.tail.ratio_low > 1 > (time.ratio or 1.0)
    assert "typical rounds are faster" in time.reason


def test_sides_without_a_common_benchmark_say_what_differs(write_result: Callable[..., Path]) -> None:
    old, new = our_file("a", peaks={"resnet18": 1}), our_file("bb", peaks={"resnet34": 1})
    comparison = compared([write_result(old, "old.json")], [write_result(new, "new.json")])
    assert comparison.notes[0] == (
        "the two sides have no benchmark in common; they differ in model (resnet18 and resnet34)"
    )


def test_findings_in_the_files_are_mentioned(write_result: Callable[..., Path]) -> None:
    old, new = our_file("a", peaks={"resnet18": 1}), our_file("bb", peaks={"resnet18": 1})
    new["benchmarks"][0]["extra_info"]["perfsuite"]["findings"] = ["rounds spread over 12% of their median"]
    comparison = compared([write_result(old, "old.json")], [write_result(new, "new.json")])
    assert any(note.startswith("findings in the files of resnet18 fp32") for note in comparison.notes)


def test_sides_of_five_and_one_files_use_all_of_them_and_give_no_verdict(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.2] * 3, process_sd=0.05)
    one = compared(old, new[:1]).benchmarks[0]
    values = [np.median(json.loads(path.read_text())["benchmarks"][0]["stats"]["data"]) for path in old]
    assert one.time.baseline == pytest.approx(np.exp(np.log(values).mean()))
    assert (one.verdict, one.num_baseline, one.num_candidate) == ("inconclusive", 5, 1)


# ------------------------------------------------------------------------------------------------ files of our own


def our_file(run_id: str, *, peaks: dict[str, int], seconds: float = 0.1, **environment: Any) -> dict[str, Any]:
    import dataclasses

    generator = np.random.default_rng(abs(hash(run_id)) % 1000)
    entries = []
    for model, peak in peaks.items():
        record = make_record(make_workload(model=model), run_id=run_id, peak=peak)
        started = f"2026-01-05T10:{len(run_id):02d}:00+00:00"
        record = dataclasses.replace(record, process=dataclasses.replace(record.process, started=started))
        entries.append(make_entry(record, (seconds * (1 + 0.002 * generator.standard_normal(20))).tolist()))
    return make_content(entries, environment=dataclasses.replace(ENVIRONMENT, **environment))


@pytest.mark.parametrize(
    ("grown", "verdict"), [(0, "unchanged"), (500_000, "unchanged"), (2**21, "regressed"), (-(2**21), "improved")]
)
def test_peak_memory_is_judged_from_one_process_a_side(
    write_result: Callable[..., Path], grown: int, verdict: str
) -> None:
    peak = 700 * 2**20
    old = write_result(our_file("a", peaks={"resnet18": peak}), "old.json")
    new = write_result(our_file("bb", peaks={"resnet18": peak + grown}), "new.json")
    (benchmark,) = compared([old], [new]).benchmarks
    assert benchmark.memory is not None
    assert benchmark.memory.verdict == verdict
    assert benchmark.time.verdict == "inconclusive"
    assert benchmark.verdict == ("regressed" if verdict == "regressed" else "inconclusive")


def test_peaks_that_differ_within_a_side_leave_memory_open(write_result: Callable[..., Path]) -> None:
    peaks = {"a": 700, "bbb": 800, "cc": 750, "dddd": 760}
    files = {
        name: write_result(our_file(name, peaks={"resnet18": peak * 2**20}), f"{name}.json")
        for name, peak in peaks.items()
    }
    (benchmark,) = compared([files["a"], files["bbb"]], [files["cc"], files["dddd"]]).benchmarks
    assert benchmark.memory is not None
    assert benchmark.memory.verdict == "inconclusive"
    assert "differ from each other" in benchmark.memory.reason


def test_our_benchmarks_are_joined_by_workload_not_by_name(write_result: Callable[..., Path]) -> None:
    old, new = our_file("a", peaks={"resnet18": 1}), our_file("bb", peaks={"resnet18": 1})
    new["benchmarks"][0]["fullname"] = "elsewhere.py::renamed"
    comparison = compared([write_result(old, "old.json")], [write_result(new, "new.json")])
    assert len(comparison.benchmarks) == 1


def test_another_gpu_is_incomparable_and_another_torch_is_told(write_result: Callable[..., Path]) -> None:
    old = write_result(our_file("a", peaks={"resnet18": 1}), "old.json")
    gpu = write_result(our_file("bb", peaks={"resnet18": 1}, gpu="NVIDIA A10"), "gpu.json")
    torch = write_result(our_file("ccc", peaks={"resnet18": 1}, torch="2.15.0"), "torch.json")
    assert "another GPU: NVIDIA A10, Tesla T4" in compared([old], [gpu]).benchmarks[0].time.reason
    comparison = compared([old], [torch])
    assert verdicts(comparison) == ["inconclusive"]
    assert "torch differs: 2.13.0+cu130 in the baseline, 2.15.0 in the candidate" in comparison.notes


def test_alternations_are_left_out_with_a_note(write_result: Callable[..., Path]) -> None:
    old = our_file("a", peaks={"resnet18": 1})
    old["benchmarks"].append(make_paired_entry(make_pair(run_id="a")))
    comparison = compared(
        [write_result(old, "old.json")], [write_result(our_file("bb", peaks={"resnet18": 1}), "new.json")]
    )
    assert len(comparison.benchmarks) == 1
    assert any("they are ratios already: 1" in note for note in comparison.notes)


def test_a_run_that_was_cut_short_is_told(write_result: Callable[..., Path]) -> None:
    old, new = our_file("a", peaks={"resnet18": 1}), our_file("bb", peaks={"resnet18": 1})
    new["perfsuite"]["complete"] = False
    comparison = compared([write_result(old, "old.json")], [write_result(new, "new.json")])
    assert any("cut short" in note for note in comparison.notes)


def test_nothing_on_either_side_gives_nothing(write_result: Callable[..., Path]) -> None:
    paths = [write_result(make_content([]), name) for name in ("old.json", "new.json")]
    assert json.dumps(verdicts(compared(paths[:1], paths[1:]))) == "[]"

"""The rule against simulated truth, most of it from generators that do not share its assumptions (tests/yardstick)."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yardstick.dense_changes import make_pair
from yardstick.scores import Score, Verdicts, judge_pair, score, sparse_pair

from perfsuite.analysis.statistics.decision import Decision, decide
from perfsuite.analysis.statistics.significance import holm
from perfsuite.analysis.statistics.tail import decide_tail

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.effect import Floats

NUM = 5
IS_CANDIDATE = np.array([False] * NUM + [True] * NUM)
ABBA = np.array([0, 3, 4, 7, 8, 1, 2, 5, 6, 9], dtype=float)
SEQUENTIAL = np.arange(10, dtype=float)
NUM_PAIRS = 60


def decided(logs: Floats, order: Floats = ABBA, *, alpha: float = 0.04, min_effect: float = 0.02) -> Decision:
    effect = np.full(len(logs), np.log1p(min_effect))
    return decide({0.5: logs}, IS_CANDIDATE, order, min_effect=effect, alpha=alpha)


def matrix(generator: np.random.Generator, *, sd: float = 0.01, shared: float = 0.3, num: int = 36) -> Floats:
    """Processes that scatter by `sd`, a share of the variance common to all benchmarks of a process."""
    own = generator.standard_normal((num, 2 * NUM))
    common = generator.standard_normal(2 * NUM)
    values: Floats = sd * (np.sqrt(1 - shared) * own + np.sqrt(shared) * common)
    return values


@functools.cache
def scored(scenario: str) -> Score:
    return score(scenario, num_pairs=NUM_PAIRS, seed=20)


def share(part: int, whole: int) -> float:
    return part / whole


# What is asked of each scenario, as in the README of tests/yardstick, with room for the error of 60 pairs.
@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("scenario", "most_false", "least_coverage", "least_found"),
    [
        ("half_faster", 0.05, 0.93, 0.93),
        ("half_faster_by_bins", 0.05, 0.93, 0.93),
        ("all_slower", 0.0, 0.93, 0.80),
        ("two_groups", 0.05, 0.93, 0.80),
        ("busy_host", 0.08, 0.91, 0.70),
        ("picked_kernels", 0.10, 0.93, 0.75),
        ("four_cells", 0.05, 0.93, 1.0),
        ("half_slower_loud", 0.05, 0.93, 0.25),
        ("unequal_sides", 0.05, 0.93, 0.7),
        ("unequal_rounds", 0.05, 0.93, 0.85),
    ],
)
def test_dense_changes_and_real_kinds_of_noise_give_right_verdicts_and_intervals(
    scenario: str, most_false: float, least_coverage: float, least_found: float
) -> None:
    found = scored(scenario)
    room = 2 * math.sqrt(max(most_false, 0.01) / NUM_PAIRS)
    assert share(found.fwer, found.num_pairs) <= most_false + room
    assert share(found.any_false, found.num_pairs) <= most_false + room
    assert share(found.covered, found.num_intervals) >= least_coverage - 0.025
    assert share(found.found, found.num_changes) >= least_found - 0.05
    assert found.opposite == 0
    assert found.missed <= 0.01 * max(found.num_large, 1)


@pytest.mark.no_cover
def test_four_benchmarks_one_side_after_the_other_are_never_judged() -> None:
    found = scored("four_cells_in_sequence")
    assert (found.fwer, found.any_false) == (0, 0)
    for number in range(10):
        verdicts = judge_pair(make_pair("four_cells_in_sequence", number, 21))
        assert not verdicts.unchanged.any()


@pytest.mark.no_cover
def test_a_slow_minority_of_the_rounds_is_found_and_never_called_unchanged() -> None:
    found = scored("minority_of_rounds")
    assert share(found.found, found.num_changes) >= 0.6
    missed = cells = 0
    for number in range(1, 40, 2):
        pair = make_pair("minority_of_rounds", number, 22)
        verdicts = judge_pair(pair)
        assert pair.in_part is not None
        missed += int((verdicts.unchanged & pair.in_part).sum())
        cells += int(pair.in_part.sum())
    assert missed <= 0.02 * cells


@pytest.mark.no_cover
@pytest.mark.parametrize("scenario", ["half_faster_by_bins", "busy_host", "picked_kernels", "many_in_sequence"])
def test_verdict_and_interval_never_contradict_each_other(scenario: str) -> None:
    for number in range(30):
        pair = make_pair(scenario, number, 23)
        verdicts = judge_pair(pair)
        typical_regressed = _typical(pair, verdicts)
        assert (verdicts.low[typical_regressed] > 1).all()
        assert (verdicts.high[verdicts.improved] < 1).all()
        assert (verdicts.low[verdicts.unchanged] > 1 / 1.02).all()
        assert (verdicts.high[verdicts.unchanged] < 1.02).all()
        assert not (verdicts.regressed & verdicts.improved).any()


def _typical(pair: Any, verdicts: Verdicts) -> Any:
    """Regressed by typical rounds: the tail has an interval of its own."""
    logs = np.log(np.median(pair.rounds, axis=3)).reshape(len(pair.truth), -1)
    num = pair.rounds.shape[2]
    change = logs[:, num:].mean(axis=1) - logs[:, :num].mean(axis=1)
    return verdicts.regressed & (verdicts.low > 1) | (verdicts.regressed & (change < 0))


@pytest.mark.no_cover
@pytest.mark.parametrize(("sd", "shared"), [(0.002, 0.3), (0.01, 0.3), (0.01, 0.9), (0.03, 0.3)])
def test_the_chance_of_any_false_verdict_in_a_matrix_is_at_most_alpha_in_both_directions(
    sd: float, shared: float
) -> None:
    generator = np.random.default_rng(1)
    false = 0
    for _ in range(300):
        found = decided(matrix(generator, sd=sd, shared=shared), alpha=0.05)
        false += bool((found.regressed | found.improved).any())
    assert false / 300 <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.no_cover
def test_five_percent_is_found_where_processes_scatter_by_one() -> None:
    generator = np.random.default_rng(2)
    found, detectable = 0, []
    for _ in range(100):
        logs = matrix(generator)
        logs[7, NUM:] += np.log(1.05)
        result = decided(logs)
        found += int(result.regressed[7])
        detectable.append(np.expm1(result.detectable[7]))
    assert found >= 95
    assert 0.02 < np.median(detectable) < 0.04


@pytest.mark.no_cover
@pytest.mark.parametrize(("num", "sd", "shared"), [(4, 0.008, 0.2), (36, 0.01, 0.3), (36, 0.02, 0.3), (36, 0.01, 0.9)])
def test_the_detectable_slowdown_is_found_95_times_of_100(num: int, sd: float, shared: float) -> None:
    """Planted into the data that it was read from, and into new data of the same kind."""
    generator = np.random.default_rng(3)
    same = new = 0
    for _ in range(300):
        logs = matrix(generator, sd=sd, shared=shared, num=num)
        slowdown = decided(logs).detectable[0]
        logs[0, NUM:] += slowdown
        same += int(decided(logs).regressed[0])
        other = matrix(generator, sd=sd, shared=shared, num=num)
        other[0, NUM:] += slowdown
        new += int(decided(other).regressed[0])
    assert 0.92 <= same / 300 <= 0.98
    assert 0.90 <= new / 300 <= 0.98


@pytest.mark.no_cover
@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_as_many_processes_as_asked_for_settle_a_verdict(shared: float) -> None:
    """Benchmarks that did not change and came out inconclusive, measured again with the number that was asked for."""
    generator = np.random.default_rng(4)
    settled = tried = 0
    sd, num_benchmarks = 0.012, 12
    while tried < 250:
        logs = matrix(generator, sd=sd, shared=shared, num=num_benchmarks)
        first = decided(logs)
        rows = np.flatnonzero(
            ~first.unchanged & ~first.regressed & ~first.improved & (np.abs(first.effect.change) < 0.0198)
        )
        if not len(rows):
            continue
        num = int(first.num_processes_needed[rows[0]])
        own = generator.standard_normal((num_benchmarks, 2 * num))
        common = generator.standard_normal(2 * num)
        again = sd * (np.sqrt(1 - shared) * own + np.sqrt(shared) * common)
        turns = np.arange(2 * num)
        is_candidate = np.isin(turns % 4, (1, 2))
        result = decide(
            {0.5: again},
            is_candidate,
            turns.astype(float),
            min_effect=np.full(num_benchmarks, np.log1p(0.02)),
            alpha=0.04,
        )
        settled += int(result.unchanged[rows[0]])
        tried += 1
    assert 0.90 <= settled / tried <= 0.99


@pytest.mark.no_cover
def test_as_many_processes_as_asked_for_confirm_a_change_that_is_as_large_as_measured() -> None:
    generator = np.random.default_rng(15)
    confirmed = tried = 0
    while tried < 100:
        logs = matrix(generator, sd=0.02, num=12)
        logs[0, NUM:] += 0.03
        first = decided(logs)
        change, num = float(first.effect.change[0]), int(first.num_processes_needed[0])
        if first.regressed[0] or change < np.log1p(0.02) or num > 100:
            continue
        turns = np.arange(2 * num)
        is_candidate = np.isin(turns % 4, (1, 2))
        own = generator.standard_normal((12, 2 * num))
        again = 0.02 * (np.sqrt(0.7) * own + np.sqrt(0.3) * generator.standard_normal(2 * num))
        again[0, is_candidate] += change
        result = decide(
            {0.5: again}, is_candidate, turns.astype(float), min_effect=np.full(12, np.log1p(0.02)), alpha=0.04
        )
        confirmed += int(result.regressed[0])
        tried += 1
    assert confirmed / tried >= 0.9


@pytest.mark.no_cover
def test_a_change_of_exactly_the_minimum_effect_is_hardly_ever_called_unchanged() -> None:
    generator = np.random.default_rng(5)
    unchanged = 0
    for _ in range(300):
        logs = matrix(generator, sd=0.004, shared=0.2, num=4)
        logs[0, NUM:] += np.log1p(0.02)
        unchanged += int(decided(logs).unchanged[0])
    assert unchanged / 300 <= 0.05


def test_half_of_the_benchmarks_that_became_faster_say_nothing_about_the_others() -> None:
    generator = np.random.default_rng(6)
    logs = matrix(generator, sd=0.005)
    logs[:18, NUM:] -= np.log(1.10)
    found = decided(logs)
    assert found.relative is None
    assert found.improved[:18].all()
    assert not (found.regressed | found.improved)[18:].any()
    assert found.unchanged[18:].mean() > 0.5


def test_a_common_slowdown_of_interleaved_runs_is_the_codes_and_needs_one_test() -> None:
    generator = np.random.default_rng(7)
    logs = matrix(generator, sd=0.015, shared=0.95)
    logs[:, NUM:] += np.log(1.06)
    found = decided(logs)
    assert found.moved_together
    assert found.by_shift.mean() > 0.9
    assert found.regressed.mean() > 0.9


@pytest.mark.no_cover
def test_half_of_the_benchmarks_within_their_errors_of_a_common_shift_is_no_common_shift() -> None:
    generator = np.random.default_rng(16)
    together, false = 0, 0
    for _ in range(60):
        logs = matrix(generator, sd=0.03, shared=0.0)
        logs[:18, NUM:] += np.log(1.06)
        found = decided(logs)
        together += found.moved_together
        false += bool(found.regressed[18:].any())
    assert together <= 5
    assert false <= 6


def test_a_large_minimum_effect_does_not_make_half_changed_benchmarks_agree() -> None:
    generator = np.random.default_rng(17)
    logs = matrix(generator, sd=0.004, shared=0.0)
    logs[:18, NUM:] -= 0.05
    found = decided(logs, min_effect=0.07)
    assert found.agreeing_ratio < 0.8
    assert not found.moved_together


@pytest.mark.no_cover
def test_sides_of_unequal_numbers_that_scatter_differently_are_not_pooled() -> None:
    generator = np.random.default_rng(18)
    is_candidate = np.array([False, True, False, False] * 3 + [False])
    assert (is_candidate.sum(), (~is_candidate).sum()) == (3, 10)
    order = np.arange(13, dtype=float)
    false = covered = cells = 0
    for _ in range(100):
        logs = generator.standard_normal((36, 13)) * np.where(is_candidate, 0.02, 0.004)
        found = decide({0.5: logs}, is_candidate, order, min_effect=np.full(36, np.log1p(0.02)), alpha=0.04)
        false += bool((found.regressed | found.improved).any())
        covered += int(((found.low <= 0) & (found.high >= 0)).sum())
        cells += 36
    assert false <= 12
    assert covered / cells > 0.92


def test_a_benchmark_that_only_late_and_early_processes_have_is_not_judged_as_interleaved() -> None:
    generator = np.random.default_rng(19)
    logs = matrix(generator, sd=0.002, num=12)
    logs[0, [0, 1]] = np.nan  # the baseline has it late, the candidate early
    logs[0, [8, 9]] = np.nan
    found = decided(logs)
    assert found.out_of_order.tolist() == [True] + [False] * 11
    assert not (found.regressed | found.improved | found.unchanged)[0]


@pytest.mark.no_cover
def test_one_benchmark_is_compared_with_others_that_agree() -> None:
    generator = np.random.default_rng(8)
    own, regressed = 0, 0
    for _ in range(150):
        logs = matrix(generator, sd=0.01, shared=0.8)
        logs[5, NUM:] += np.log(1.03)
        found = decided(logs)
        regressed += int(found.regressed[5])
        own += int(found.by_itself[5])
    assert regressed > own + 10


def test_out_of_turn_a_common_shift_widens_the_interval_and_nothing_is_called_a_common_change() -> None:
    generator = np.random.default_rng(9)
    logs = matrix(generator, sd=0.003)
    logs[:, NUM:] += np.log(1.04)
    found = decided(logs, SEQUENTIAL)
    assert not (found.regressed | found.improved | found.unchanged).any()
    assert (found.low < 0).all()
    assert found.effect.change == pytest.approx(np.full(36, np.log(1.04)), abs=0.01)


def test_out_of_turn_a_change_beyond_what_all_shifted_is_found() -> None:
    generator = np.random.default_rng(10)
    logs = matrix(generator, sd=0.003)
    logs[:, NUM:] += 0.01
    logs[3, NUM:] += 0.06
    found = decided(logs, SEQUENTIAL)
    assert np.flatnonzero(found.regressed).tolist() == [3]
    assert found.by_others[3]


@pytest.mark.parametrize("num_changed", [3, 12])
def test_out_of_turn_large_changes_in_both_directions_are_not_taken_for_the_machines(num_changed: int) -> None:
    generator = np.random.default_rng(11)
    logs = matrix(generator, sd=0.004, num=18)
    logs[:num_changed, NUM:] += np.log(0.7)
    logs[num_changed:, NUM:] += np.log(1.12) if num_changed == 12 else 0.0
    found = decided(logs, SEQUENTIAL)
    assert np.exp(found.effect.change[:num_changed]) == pytest.approx(np.full(num_changed, 0.7), rel=0.02)
    assert not found.regressed[:num_changed].any()
    assert not found.improved[num_changed:].any()


def test_power_does_not_fall_where_benchmarks_begin_to_learn_from_each_other() -> None:
    """Three changed benchmarks among seven, and among eight, from which on variances are pooled."""
    found = {}
    for num in (7, 8):
        generator = np.random.default_rng(12)
        hits = 0
        for _ in range(150):
            logs = matrix(generator, sd=0.01, shared=0.3, num=num)
            logs[:3, NUM:] += np.log(1.05)
            hits += int(decided(logs).regressed[:3].sum())
        found[num] = hits / 450
    assert found[8] >= found[7] - 0.03


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_the_order_and_whatever_is_beside_it_the_change_is_that_of_the_means(data: st.DataObject) -> None:
    num_old, num_new = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    num_benchmarks = data.draw(st.integers(1, 7))
    seed = data.draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    logs = generator.normal(0, data.draw(st.floats(1e-4, 1.0)), (num_benchmarks, num_old + num_new))
    is_candidate = np.array([False] * num_old + [True] * num_new)
    order = generator.permutation(num_old + num_new).astype(float)
    effect = np.full(num_benchmarks, np.log1p(0.02))
    found = decide({0.5: logs}, is_candidate, order, min_effect=effect, alpha=0.04).effect.change
    expected = logs[:, is_candidate].mean(axis=1) - logs[:, ~is_candidate].mean(axis=1)
    assert found == pytest.approx(expected)
    shuffled = generator.permutation(num_old + num_new)
    again = decide({0.5: logs[:, shuffled]}, is_candidate[shuffled], order[shuffled], min_effect=effect, alpha=0.04)
    assert again.effect.change == pytest.approx(found)
    swapped = decide({0.5: logs}, ~is_candidate, order, min_effect=effect, alpha=0.04)
    assert swapped.effect.change == pytest.approx(-found)
    beside = np.vstack([logs, generator.normal(0, 0.01, (5, num_old + num_new))])
    more = decide({0.5: beside}, is_candidate, order, min_effect=np.full(len(beside), np.log1p(0.02)), alpha=0.04)
    assert more.effect.change[:num_benchmarks] == pytest.approx(found)


def test_swapping_the_sides_mirrors_everything() -> None:
    generator = np.random.default_rng(13)
    logs = matrix(generator)
    logs[2, NUM:] += np.log(1.06)
    there = decided(logs)
    back = decide({0.5: logs}, ~IS_CANDIDATE, ABBA, min_effect=np.full(len(logs), np.log1p(0.02)), alpha=0.04)
    assert back.effect.change == pytest.approx(-there.effect.change)
    assert back.low == pytest.approx(-there.high)
    assert (back.improved == there.regressed).all()


def test_the_tail_is_tested_by_itself_and_only_where_sides_alternate() -> None:
    generator = np.random.default_rng(14)
    logs = matrix(generator, sd=0.005, shared=0.0)
    logs[4, NUM:] += np.log(1.08)
    effect = np.full(36, np.log1p(0.04))
    assert np.flatnonzero(decide_tail(logs, IS_CANDIDATE, ABBA, min_effect=effect, alpha=0.01).regressed).tolist() == [
        4
    ]
    assert not decide_tail(logs, IS_CANDIDATE, SEQUENTIAL, min_effect=effect, alpha=0.01).regressed.any()


def test_holm_is_stricter_than_no_correction_and_laxer_than_bonferroni() -> None:
    values = np.array([0.001, 0.02, 0.03, 0.5, 0.9])
    adjusted = holm(values, np.array([True, True, True, True, False]))
    assert adjusted == pytest.approx([0.004, 0.06, 0.06, 0.5, 1.0])


def test_a_matrix_of_nothing_is_decided_too() -> None:
    assert decided(np.empty((0, 10))).regressed.shape == (0,)
    assert not decided(np.full((3, 10), np.nan)).judged.any()


def test_identical_times_are_unchanged_and_not_infinitely_certain() -> None:
    result = decided(np.zeros((12, 10)))
    assert result.unchanged.all()
    assert (result.detectable > 0).all()
    assert (result.high > result.low).all()


def test_pairs_that_are_judged_here_are_those_that_the_yardstick_writes() -> None:
    assert sparse_pair("proc1", 3, 7).rounds.shape == (36, 2, 5, 30)
    assert (sparse_pair("proc1", 3, 7).rounds == sparse_pair("proc1", 3, 7).rounds).all()
    assert (make_pair("sparse", 2, 7).rounds == make_pair("sparse", 2, 7).rounds).all()

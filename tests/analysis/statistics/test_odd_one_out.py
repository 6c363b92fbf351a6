from __future__ import annotations

import numpy as np
import pytest
from yardstick.fleet_scores import SCENARIOS, SLOW_LOG, Floats, score, simulate

from perfsuite.analysis.statistics.odd_one_out import MIN_NODES, find_odd_ones, num_in_core

H100_IMAGES_PER_SECOND = (
    *(2791, 2792, 2790, 2800, 2791, 2792, 2792, 2792, 2794, 2790, 2793, 2789, 2791, 2790, 2789, 2788),
    *(2683, 2793, 2793, 2790, 2788, 2797, 2783, 2789, 2788, 2786, 2790, 2789, 2792, 2787, 2791, 2789),
)
"""ResNet-50 AMP on one H100 80GB SXM5, one figure per host. Source: lambdal/deeplearning-benchmark,
pytorch-train-throughput-v2-fp16.csv in several commits, rows of one GPU; 32 of the 39 hosts that were published."""


def _equal(num_nodes: int, seed: int = 0, scenario: str = "quiet", **sizes: int) -> Floats:
    return simulate(SCENARIOS[scenario], np.random.default_rng(seed), num_nodes=num_nodes, **sizes)


def test_the_slow_host_of_the_public_h100_results_is_found_and_no_other() -> None:
    logs = -np.log(np.array(H100_IMAGES_PER_SECOND, dtype=float))[:, None, None]
    found = find_odd_ones(logs, alpha=0.05, min_effect=0.02)
    assert np.flatnonzero(found.is_odd).tolist() == [H100_IMAGES_PER_SECOND.index(2683)]
    assert np.expm1(found.shift[found.is_odd][0]) == pytest.approx(1 / (1 - 0.038) - 1, abs=0.001)
    assert not find_odd_ones(logs[~found.is_odd], alpha=0.05, min_effect=0.02).is_odd.any()


def test_39_hosts_as_they_were_described_have_one_odd_one() -> None:
    """38 scatter by 0.11%, one is 3.8% slow: the numbers of all 39, of which 32 hosts are known one by one."""
    generator = np.random.default_rng(39)
    logs = generator.normal(0, 0.0011, 39)
    logs[12] += SLOW_LOG
    found = find_odd_ones(logs[:, None, None], alpha=0.05, min_effect=0.02)
    assert np.flatnonzero(found.is_odd).tolist() == [12]


@pytest.mark.parametrize(("num_nodes", "num_fleets"), [(8, 20), (40, 5), (200, 1)])
@pytest.mark.parametrize("scenario", ["unlike silicon", "disturbed processes", "picked kernels"])
def test_equal_fleets_raise_no_more_false_alarms_than_published(scenario: str, num_nodes: int, num_fleets: int) -> None:
    found = score(SCENARIOS[scenario], num_nodes=num_nodes, num_fleets=num_fleets, seed=5, num_cells=12)
    assert found["any_false"] <= 0.05
    assert found["others_called"] <= 0.05


@pytest.mark.parametrize("num_slow", [1, 2])
def test_slow_ones_of_8_are_found(num_slow: int) -> None:
    found = score(SCENARIOS["quiet"], num_nodes=8, num_fleets=20, seed=6, num_slow=num_slow)
    assert found["all_found"] >= 0.8


def test_a_quarter_of_the_others_may_be_slow_without_hiding_one() -> None:
    logs = _equal(40)
    logs[:9] += SLOW_LOG
    assert np.flatnonzero(find_odd_ones(logs, alpha=0.05, min_effect=0.02).is_odd).tolist() == list(range(9))


def test_a_fast_one_is_odd_as_well() -> None:
    logs = _equal(8)
    logs[3] -= 0.06
    found = find_odd_ones(logs, alpha=0.05, min_effect=0.02)
    assert np.flatnonzero(found.is_odd).tolist() == [3]
    assert found.shift[3] == pytest.approx(-0.06, abs=0.01)


def test_a_difference_below_the_minimum_effect_is_not_odd_however_certain() -> None:
    logs = np.random.default_rng(0).normal(0, 0.0005, (40, 5, 12))
    logs[0] += 0.015
    assert not find_odd_ones(logs, alpha=0.05, min_effect=0.02).is_odd[0]
    assert find_odd_ones(logs, alpha=0.05, min_effect=0.01).is_odd[0]


def test_a_single_slow_cell_is_found_and_the_node_is_not_called() -> None:
    logs = _equal(40)
    logs[5, :, 7] += 0.2
    found = find_odd_ones(logs, alpha=0.05, min_effect=0.02)
    assert not found.is_odd.any()
    assert np.argwhere(found.is_odd_cell).tolist() == [[5, 7]]


def test_one_disturbed_process_of_five_makes_no_node_odd() -> None:
    logs = _equal(8)
    logs[2, 3] += 0.3
    assert not find_odd_ones(logs, alpha=0.05, min_effect=0.02).is_odd.any()


def test_a_node_whose_processes_scatter_is_not_called_slow_for_it() -> None:
    logs = _equal(40)
    logs[2] += np.array([0.3, -0.2, 0.06, 0.05, -0.1])[:, None]
    assert not find_odd_ones(logs, alpha=0.05, min_effect=0.02).is_odd.any()


def test_a_wider_fleet_hides_what_a_narrow_one_shows_and_says_so() -> None:
    narrow = _equal(8)
    wide = narrow + np.linspace(-0.05, 0.05, 8)[:, None, None]
    found = [find_odd_ones(logs, alpha=0.05, min_effect=0.02) for logs in (narrow, wide)]
    assert found[0].detectable < 0.03 < found[1].detectable


def test_cells_that_few_nodes_measured_are_not_judged() -> None:
    logs = _equal(8)
    logs[3:, :, 4] = np.nan
    logs[0, :, 4] += 1.0
    found = find_odd_ones(logs, alpha=0.05, min_effect=0.02)
    assert np.isnan(found.cells[:, 4]).all()
    assert not found.is_odd.any()


def test_a_node_that_measured_other_cells_is_not_judged() -> None:
    logs = _equal(8)
    logs[7] = np.nan
    found = find_odd_ones(logs, alpha=0.05, min_effect=0.02)
    assert np.isnan(found.shift[7])
    assert not found.is_odd[7]


def test_three_nodes_are_too_few() -> None:
    with pytest.raises(ValueError, match="3 nodes; at least 4 are needed"):
        find_odd_ones(_equal(MIN_NODES - 1), alpha=0.05, min_effect=0.02)


def test_intervals_contain_the_true_shift_about_as_often_as_they_say() -> None:
    inside = []
    for seed in range(40):
        logs = _equal(8, seed)
        logs[0] += 0.03
        found = find_odd_ones(logs, alpha=0.05, min_effect=0.02)
        inside.append(abs(found.shift[0] - 0.03) <= found.half[0])
    assert np.mean(inside) >= 0.8


def test_the_same_times_give_the_same_verdicts() -> None:
    one, other = (find_odd_ones(_equal(8), alpha=0.05, min_effect=0.02) for _ in range(2))
    assert np.array_equal(one.p_value, other.p_value)


@pytest.mark.parametrize(("num", "core"), [(3, 3), (6, 6), (7, 6), (8, 6), (39, 30)])
def test_a_quarter_of_seven_and_more_others_is_left_out(num: int, core: int) -> None:
    assert num_in_core(num) == core

"""How often the odd node of a simulated fleet is found, and how often an equal one is called odd.

    python tests/yardstick/fleet_scores.py --fleets 300 --seed 2027

The generator shares none of the method's model: machines differ by a bounded heavy-tailed amount, processes by clock
bins, skewed disturbances and drift of the time of day; cells by kernels that each process picks. Times are rounded to
the microsecond. A fleet is equal where no machine truly differs by more than 1% from the typical one.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfsuite.analysis.statistics.odd_one_out import find_odd_ones

SLOW_LOG = -np.log(1 - 0.038)
"""3.8% less throughput, as of the one slow host among 39 public results."""

MIN_EFFECT = 0.02
ALPHA = 0.05

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a fleet is like; all in ratios of the time.

    Attributes:
        node: Typical difference between machines; heavy-tailed, at most 1%.
        bins: Between clock bins, of which every process has one of three.
        process: Standard deviation between processes of all that their cells share.
        cell: The same of each cell of a process.
        disturbed: Share of the processes that a neighbour makes slower, by 15% on average.
        picked: Share of the processes that pick a kernel 8% slower, in a quarter of the cells.
        drift: Amplitude of a drift over the time in which machines are measured one after the other.
        noisy: Share of the machines whose processes scatter by 4%.
    """

    node: float = 0.001
    bins: float = 0.0
    process: float = 0.004
    cell: float = 0.003
    disturbed: float = 0.0
    picked: float = 0.0
    drift: float = 0.0
    noisy: float = 0.0


SCENARIOS = {
    "quiet": Scenario(),
    "unlike silicon": Scenario(node=0.003),
    "boost bins": Scenario(bins=0.01),
    "disturbed processes": Scenario(disturbed=0.1),
    "picked kernels": Scenario(picked=0.2),
    "drift": Scenario(drift=0.01),
    "noisy machines": Scenario(noisy=0.1),
    "shared hosts": Scenario(process=0.02, cell=0.01, disturbed=0.1),
}


def simulate(
    scenario: Scenario, generator: np.random.Generator, *, num_nodes: int, num_processes: int = 5, num_cells: int = 36
) -> Floats:
    """Return logarithms of seconds of an equal fleet [nodes, processes, cells]."""
    shape = (num_nodes, num_processes, num_cells)
    typical = generator.uniform(-4.0, 0.0, num_cells)
    node = np.clip(scenario.node * generator.standard_t(3, num_nodes), -0.01, 0.01)
    # How much a cell feels a machine differs from cell to cell.
    felt = generator.uniform(0.5, 1.5, num_cells)
    process = scenario.bins * generator.integers(-1, 2, shape[:2]) + scenario.process * generator.standard_t(5, shape[:2])
    process += (generator.random(shape[:2]) < scenario.disturbed) * generator.exponential(0.15, shape[:2])
    is_noisy = generator.random(num_nodes) < scenario.noisy
    process += np.where(is_noisy[:, None], generator.normal(0, 0.04, shape[:2]), 0.0)
    moments = np.arange(num_nodes * num_processes).reshape(num_processes, num_nodes).T / (num_nodes * num_processes)
    process += scenario.drift * np.sin(7.0 * moments + generator.uniform(0, 7))
    cell = scenario.cell * generator.standard_t(4, shape)
    is_picked = (generator.random(shape) < scenario.picked) & (np.arange(num_cells) % 4 == 0)
    logs = typical + (node[:, None] + process)[:, :, None] * felt + cell + 0.08 * is_picked
    return np.log(np.maximum(np.round(np.exp(logs), 6), 1e-6))


def score(
    scenario: Scenario, *, num_nodes: int, num_fleets: int, seed: int, num_slow: int = 1, **sizes: int
) -> dict[str, float]:
    """Return shares of the fleets: any false alarm in an equal one, all slow nodes found, and any other one called."""
    generator = np.random.default_rng([seed, num_nodes, num_slow])
    any_false, all_found, others = 0, 0, 0
    for _ in range(num_fleets):
        logs = simulate(scenario, generator, num_nodes=num_nodes, **sizes)
        equal = find_odd_ones(logs, alpha=ALPHA, min_effect=MIN_EFFECT)
        any_false += bool(equal.is_odd.any() or equal.is_odd_cell.any())
        logs[:num_slow] += SLOW_LOG
        found = find_odd_ones(logs, alpha=ALPHA, min_effect=MIN_EFFECT)
        all_found += bool((found.is_odd[:num_slow] & (found.shift[:num_slow] > 0)).all())
        others += bool(found.is_odd[num_slow:].any() or found.is_odd_cell[num_slow:].any())
    return {
        "any_false": any_false / num_fleets,
        "all_found": all_found / num_fleets,
        "others_called": others / num_fleets,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fleets", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--nodes", default="4,8,40,200")
    options = parser.parse_args()
    sizes = [int(text) for text in options.nodes.split(",")]
    print("| scenario | nodes | slow | any false alarm, all equal | slow ones found | another one called |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, scenario in SCENARIOS.items():
        for num_nodes in sizes:
            # An equal fleet of 200 takes as long to judge as 25 of 8.
            num_fleets = max(20, options.fleets // max(1, num_nodes // 20))
            for num_slow in (1, 2) if num_nodes >= 8 else (1,):
                found = score(
                    scenario, num_nodes=num_nodes, num_fleets=num_fleets, seed=options.seed, num_slow=num_slow
                )
                shares = " | ".join(f"{value:.3f}" for value in found.values())
                print(f"| {name} | {num_nodes} | {num_slow} | {shares} |", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Pairs of benchmark results with known truth, made without the assumptions of perfsuite's rule (numpy only).

regress_eval.py next to this file draws Gaussian process offsets and changes a few cells. Here noise has other causes,
and changes are as upgrades make them: half of the matrix, or all of it.

A scenario gives rounds in seconds [cells, 2 sides, processes, rounds], the true candidate/baseline ratio of every cell,
and the order in which the processes ran. Where its noise comes from:

- A process runs at one of a few discrete clock bins, or has a log-normal offset, which its cells feel alike
  (`half_faster`, `all_slower`) or by their own load: compute-bound cells fully, memory-bound ones hardly (`two_groups`).
- Rounds are correlated in time (AR(1) in a random phase), skewed (gamma), with Pareto outliers, and are read from a
  timer of finite resolution.
- Neighbours come and go on a busy host: on/off bursts that slow what runs at that time by a random factor (`busy_host`).
- A library picks one of several kernels per process and cell (`picked_kernels`).
- A machine steps between two sides that ran one after the other (`four_cells_in_sequence`).
- Half of the cells become 4 or 6% slower where processes scatter by 2 to 3% (`half_slower_loud`).
- The sides have 4 and 7 or 10 and 3 processes, and scatter differently (`unequal_sides`); the candidate has a sixth of
  the rounds of the baseline, as after a change of the time limit (`unequal_rounds`).
- Every second pair of `sparse`, `two_groups`, `busy_host`, `picked_kernels` and the four-cell scenarios is unchanged;
  the others have changes of 3 to 20% in a sixth of the cells, upwards and downwards.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CHANGES = (1.03, 1.05, 1.10, 1.20, 0.95, 0.90)


@dataclass(frozen=True)
class Pair:
    """Two sides of simulated results.

    rounds: seconds [cells, 2, processes, rounds], NaN where a process or a round is missing; truth: candidate/baseline [cells]; order: [2, processes] positions in
    time; changed: whether any cell differs; in_part: cells of which only some rounds changed, whose truth is the ratio
    of mean times, so that an interval for typical rounds need not contain it.
    """

    rounds: np.ndarray
    truth: np.ndarray
    order: np.ndarray
    changed: bool
    in_part: np.ndarray | None = None


SCENARIOS = (
    "sparse", "half_faster", "half_faster_by_bins", "all_slower", "two_groups", "busy_host", "picked_kernels",
    "four_cells", "four_cells_in_sequence", "many_in_sequence", "minority_of_rounds", "half_slower_loud",
    "unequal_sides", "unequal_rounds",
)


def make_pair(scenario: str, number: int, seed: int) -> Pair:
    """Draw one pair; the same arguments give the same pair."""
    rng = np.random.default_rng([seed, zlib.crc32(scenario.encode()), number])
    in_sequence = scenario.endswith("in_sequence")
    num_cells = 4 if scenario.startswith("four") else int(rng.choice([12, 36, 36, 72]))
    num_processes = _num_processes(scenario, number, rng)
    num_rounds = int(rng.choice([20, 30, 50]))
    shape = (num_cells, 2, num_processes)
    order = _order(num_processes, in_sequence)
    loud = scenario == "half_slower_loud"
    log_s = rng.uniform(np.log(2e-3), np.log(0.4), num_cells)[:, None, None, None]
    log_s = log_s + _rounds(rng, shape, num_rounds)
    log_s = log_s + (1.0 if not loud else 4.0) * _own_offsets(rng, shape, scenario)[..., None] + _state(rng, shape, scenario, order)[..., None]
    if scenario == "busy_host":
        log_s = log_s + _neighbours(rng, shape, num_rounds, order)
    if scenario == "picked_kernels":
        log_s = log_s + _kernels(rng, shape)[..., None]
    if in_sequence:
        log_s[:, 1] += 0.02 * rng.standard_normal()
    truth = _truth(rng, num_cells, scenario, number)
    log_s[:, 1] += np.log(truth)[:, None, None]
    if scenario == "minority_of_rounds" and number % 2:
        truth = _slow_minority(rng, log_s, truth)
    seconds = np.exp(log_s)
    resolution_s = float(rng.choice([1e-9, 1e-7, 1e-6]))
    seconds = np.maximum(np.round(seconds / resolution_s), 1) * resolution_s
    if scenario == "unequal_sides":
        seconds, order = _unequal_sides(rng, seconds, order)
    if scenario == "unequal_rounds":
        seconds[:, 1, :, num_rounds // 6 :] = np.nan
    in_part = truth != 1 if scenario == "minority_of_rounds" else None
    return Pair(rounds=seconds, truth=truth, order=order, changed=bool((truth != 1).any()), in_part=in_part)


def _num_processes(scenario: str, number: int, rng: np.random.Generator) -> int:
    if scenario in {"half_faster", "half_faster_by_bins", "all_slower"}:
        return (5, 3)[number // 2 % 2]
    if scenario in {"busy_host", "picked_kernels"}:
        return int(rng.integers(3, 6))
    if scenario == "unequal_sides":
        return 10
    return 5


def _order(num: int, in_sequence: bool) -> np.ndarray:
    if in_sequence:
        return np.stack([np.arange(num), num + np.arange(num)])
    turns = [("old", "new", "new", "old")[i % 4] for i in range(2 * num)]
    return np.stack([[i for i, turn in enumerate(turns) if turn == side] for side in ("old", "new")])


def _rounds(rng: np.random.Generator, shape: tuple[int, int, int], num_rounds: int) -> np.ndarray:
    """Scatter of rounds within a process: correlated, skewed, with rare Pareto outliers."""
    num_cells = shape[0]
    scale = np.exp(rng.uniform(np.log(0.002), np.log(0.02), num_cells))[:, None, None, None]
    noise = rng.gamma(2.0, 0.7, (*shape, num_rounds)) - 1.2
    kept = rng.uniform(0, 0.8)
    for i in range(1, num_rounds):
        noise[..., i] = kept * noise[..., i - 1] + np.sqrt(1 - kept**2) * noise[..., i]
    outlier = rng.random(noise.shape) < 0.01
    return scale * noise + outlier * np.log1p(0.05 * (1 + rng.pareto(2.5, noise.shape)))


def _own_offsets(rng: np.random.Generator, shape: tuple[int, int, int], scenario: str) -> np.ndarray:
    """What differs from process to process in each cell by itself: memory layout, page colours, alignment."""
    typical = rng.uniform(0.003, 0.006) if scenario == "all_slower" else rng.uniform(0.003, 0.01)
    scale = typical * np.exp(rng.normal(0, 0.4, shape[0]))[:, None, None]
    return scale * rng.standard_t(6, shape) / np.sqrt(1.5)


def _state(rng: np.random.Generator, shape: tuple[int, int, int], scenario: str, order: np.ndarray) -> np.ndarray:
    """What a process's state does to all of its cells."""
    num_cells, _, num_processes = shape
    per_process = np.zeros((2, num_processes))
    load = np.ones(num_cells)
    if scenario == "half_faster_by_bins":
        per_process = rng.choice([0.0, 0.01, 0.02], p=[0.6, 0.25, 0.15], size=(2, num_processes))
    elif scenario == "all_slower":
        per_process = rng.normal(0, 0.015, (2, num_processes))
    elif scenario == "two_groups":
        per_process = rng.normal(0, 0.015, (2, num_processes))
        load = np.where(rng.random(num_cells) < 0.5, 1.0, rng.uniform(0, 0.2))
    else:
        drift = 0.02 * rng.standard_normal() * np.sqrt((order + 1) / order.size)
        per_process = rng.normal(0, 0.003, (2, num_processes)) + drift
    return load[:, None, None] * per_process[None]


def _neighbours(rng: np.random.Generator, shape: tuple[int, int, int], num_rounds: int, order: np.ndarray) -> np.ndarray:
    """On and off bursts of other work: a process meets more or less of them, and never becomes faster by them."""
    activity = rng.beta(0.7, 1.5, (2, shape[2]))
    slowdown = rng.gamma(1.5, 0.12, shape)[..., None]
    switch = rng.random((*shape, num_rounds)) < 0.2
    on = np.zeros((*shape, num_rounds), dtype=bool)
    on[..., 0] = rng.random(shape) < activity[None]
    fresh = rng.random((*shape, num_rounds)) < activity[None, :, :, None]
    for i in range(1, num_rounds):
        on[..., i] = np.where(switch[..., i], fresh[..., i], on[..., i - 1])
    return on * slowdown * rng.uniform(0.6, 1.0, on.shape)


def _kernels(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """A third of the cells has two or three kernels of nearly equal speed; each process picks one of them."""
    num_cells = shape[0]
    offsets = np.zeros((num_cells, 3))
    affected = rng.random(num_cells) < 0.35
    offsets[affected, 1] = rng.uniform(0.01, 0.05, affected.sum())
    offsets[affected, 2] = rng.uniform(0.01, 0.08, affected.sum())
    picked = rng.choice(3, p=[0.55, 0.35, 0.1], size=shape)
    return np.take_along_axis(offsets[:, None, None, :].repeat(shape[1], 1).repeat(shape[2], 2), picked[..., None], 3)[..., 0]


def _truth(rng: np.random.Generator, num_cells: int, scenario: str, number: int) -> np.ndarray:
    truth = np.ones(num_cells)
    if scenario.startswith("half_faster"):
        truth[rng.permutation(num_cells)[: num_cells // 2]] = float(rng.choice([0.95, 0.90]))
    elif scenario == "half_slower_loud":
        truth[rng.permutation(num_cells)[: num_cells // 2]] = float(rng.choice([1.04, 1.06]))
    elif scenario == "all_slower":
        truth[:] = 1.06
    elif scenario == "minority_of_rounds" or not number % 2 or scenario == "four_cells_in_sequence":
        pass
    elif scenario == "four_cells":
        truth[rng.integers(4)] = 1.10
    else:
        picked = rng.permutation(num_cells)[: max(num_cells // 6, 1)]
        truth[picked] = rng.choice(CHANGES, len(picked))
    return truth


def _unequal_sides(rng: np.random.Generator, seconds: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leave out processes of one side (NaN), and let that side scatter four times as much."""
    side = int(rng.integers(2))
    offsets = rng.normal(0, 0.02, (*seconds.shape[:1], seconds.shape[2]))
    seconds[:, side] *= np.exp(offsets)[..., None]
    gone = rng.permutation(seconds.shape[2])[: int(rng.choice([3, 7]))]
    seconds[:, side, gone] = np.nan
    return seconds, order


def _slow_minority(rng: np.random.Generator, log_s: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """15% of the candidate's rounds take 20% longer in a sixth of the cells: truth is the ratio of mean times."""
    truth = truth.copy()
    for cell in rng.permutation(len(truth))[: max(len(truth) // 6, 1)]:
        slow = rng.random(log_s[cell, 1].shape) < 0.15
        log_s[cell, 1] += slow * np.log(1.20)
        truth[cell] = 1.03
    return truth


def write_pairs(folder: Path, scenarios: Sequence[str], num_pairs: int, seed: int) -> None:
    """Write pairs as pytest-benchmark files in the layout of regress_eval.py, which can score any command on them."""
    import regress_eval

    for scenario in scenarios:
        for number in range(num_pairs):
            pair = make_pair(scenario, number, seed)
            target = folder / scenario / f"pair_{number:03d}"
            names = [f"tests/perf/test_train.py::test_step[{cell}]" for cell in range(len(pair.truth))]
            for side, side_name in enumerate(("base", "new")):
                (target / side_name).mkdir(parents=True, exist_ok=True)
                for process in range(pair.order.shape[1]):
                    hour, minute = divmod(600 + 3 * int(pair.order[side, process]), 60)
                    moment = f"2026-01-05T{hour:02d}:{minute:02d}:00+00:00"
                    if np.isnan(pair.rounds[:, side, process]).all():
                        continue  # this side has fewer processes
                    benchmarks = [
                        {"group": None, "name": name.rpartition("::")[2], "fullname": name, "params": None, "param": None,
                         "extra_info": {}, "options": {}, "stats": regress_eval.stats(rounds[np.isfinite(rounds)])}
                        for name, rounds in zip(names, pair.rounds[:, side, process], strict=True)
                    ]
                    machine = {"node": "gpu-a", "cpu": {"count": 16, "brand_raw": "EPYC"}, "gpu": "H100"}
                    content = {"machine_info": machine, "commit_info": {"id": side_name}, "benchmarks": benchmarks,
                               "datetime": moment, "version": "5.2.3"}
                    (target / side_name / f"{process + 1:04d}.json").write_text(json.dumps(content))
            truth = {"scenario": scenario, "kind": "changed" if pair.changed else "null", "procs": pair.order.shape[1],
                     "comparable": True, "seed": seed, "truth": dict(zip(names, pair.truth.tolist(), strict=True))}
            (target / "truth.json").write_text(json.dumps(truth))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    write_pairs(chosen.out, chosen.scenarios.split(","), chosen.pairs, chosen.seed)

#!/usr/bin/env python3
"""How often are perfsuite's verdicts right? Simulated pairs with known truth, judged in this process.

    python tests/yardstick/scores.py sparse --pairs 800 --seed 1     # the scenarios of regress_eval.py
    python tests/yardstick/scores.py dense  --pairs 400 --seed 1     # those of dense_changes.py

prints a table in Markdown. Of `sparse`, every second pair is unchanged. The pairs are those that both generators write as
files; judging them in this process is a hundred times faster than a command for each, and tests/analysis/statistics/test_yardstick.py
checks that it gives the same verdicts.

  fwer      share of the pairs in which any unchanged benchmark is called regressed
  any       share of the pairs in which any unchanged benchmark is called regressed or improved
  coverage  share of the benchmarks whose printed 95% interval contains the true ratio
  found     share of the true changes of 3% and more that are called by their direction
  +3%, ...  share of the slowdowns of that size that are called regressed
  missed    share of the true changes of more than 3% that are called unchanged
  opposite  number of true changes that are called the opposite
"""

from __future__ import annotations

import argparse
import math
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import dense_changes
import regress_eval
from dense_changes import Pair

from perfsuite.analysis.verdicts.compare import ALPHA, MIN_EFFECT
from perfsuite.analysis.statistics.rounds import QUANTILES, ReducedRounds, have_like_rounds, reduce_rounds
from perfsuite.analysis.statistics.decision import TAIL_SHARE, decide
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.statistics.tail import TAIL_EFFECT_FACTOR, decide_tail

SKIPPED = {"nodata", "missing_cells", "uneven", "other_machine", "copied", "p1_clean", "p1_proc1", "p1_proc2", "p1_drift",
           "p2_proc1"}
"""Scenarios of regress_eval.py about files, or without verdicts by design; the command itself is tested on those."""

CORPUS = Path(__file__).parent / "cpu_rounds.json"


def sparse_pair(scenario: str, number: int, seed: int) -> Pair:
    """Return the pair that `regress_eval.py gen --seed SEED` writes with that number, with its default sizes."""
    settings = dict(regress_eval.BASE, **regress_eval.SC[scenario])
    rng = np.random.default_rng([seed, zlib.crc32(scenario.encode()), number])
    num_cells, num_processes, num_rounds = 36, settings.get("procs", 5), settings.get("rounds", 30)
    log_truth = np.zeros(num_cells)
    if settings.get("real"):
        noise = regress_eval.real_noise(CORPUS, num_cells, num_processes, num_rounds, rng)
    else:
        noise = regress_eval.noise(settings, num_cells, num_processes, num_rounds, rng)
    if number % 2 and settings.get("glob"):
        log_truth[:] = math.log1p(settings["glob"])
    elif number % 2:
        for cell, change in zip(rng.permutation(num_cells), (*regress_eval.SLOW, regress_eval.FAST), strict=False):
            log_truth[cell] = math.log1p(change)
    noise[:, 1] += log_truth[:, None, None]
    base = np.log(np.exp(rng.uniform(np.log(1e-3), np.log(0.3), num_cells)))
    return Pair(
        rounds=np.exp(noise + base[:, None, None, None]),
        truth=np.exp(log_truth),
        order=regress_eval.slots(num_processes, settings["order"]),
        changed=bool(number % 2),
    )


@dataclass(frozen=True)
class Verdicts:
    """Of one pair; arrays are [cells]."""

    regressed: np.ndarray
    improved: np.ndarray
    unchanged: np.ndarray
    low: np.ndarray
    high: np.ndarray
    detectable: np.ndarray
    num_processes_needed: np.ndarray


def judge_pair(pair: Pair, min_effect: float = MIN_EFFECT, alpha: float = ALPHA) -> Verdicts:
    """Judge a pair as `perfsuite compare` does: by the same functions on the same numbers."""
    num_cells, num_sides, num_processes, num_rounds = pair.rounds.shape
    shape = (num_cells, num_sides * num_processes)
    reduced = [_reduced(pair.rounds[:, side]) for side in (0, 1)]
    there = np.concatenate([np.isfinite(pair.rounds[0, side, :, 0]) for side in (0, 1)])
    is_candidate = np.repeat([False, True], num_processes)[there]
    order = pair.order.reshape(-1).astype(float)[there]
    alike = have_like_rounds(np.isfinite(pair.rounds).sum(axis=3).reshape(shape)[:, there].astype(float))

    def joined(values: list[np.ndarray], *, sensitive: bool) -> np.ndarray:
        """Both sides as logarithms; what depends on how many rounds there are only where they are alike."""
        logs = np.log(np.concatenate(values, axis=1)[:, there])
        return np.where(alike[:, None] | (not sensitive), logs, np.nan)

    typical = decide(
        {q: joined([one.quantiles[q] for one in reduced], sensitive=q != TYPICAL) for q in QUANTILES},
        is_candidate,
        order,
        min_effect=np.full(num_cells, math.log1p(min_effect)),
        alpha=alpha * (1 - TAIL_SHARE),
        resolution=_finest(reduced) if num_rounds > 1 else None,
    )
    tail = decide_tail(
        joined([one.slowest for one in reduced], sensitive=True),
        is_candidate,
        order,
        min_effect=np.full(num_cells, math.log1p(TAIL_EFFECT_FACTOR * min_effect)),
        alpha=alpha * TAIL_SHARE,
    )
    regressed = typical.regressed | tail.regressed
    return Verdicts(
        regressed=regressed,
        improved=typical.improved & ~tail.regressed,
        unchanged=typical.unchanged & ~tail.suspicious & ~regressed,
        low=np.exp(typical.low),
        high=np.exp(typical.high),
        detectable=np.expm1(typical.detectable),
        num_processes_needed=typical.num_processes_needed,
    )


def _reduced(rounds: np.ndarray) -> ReducedRounds:
    """Reduce the rounds of one side to [cells, processes]; all its processes have as many."""
    num_cells, num_processes, _ = rounds.shape
    kept = rounds[..., np.isfinite(rounds).any(axis=(0, 1))]
    found = reduce_rounds(kept.reshape(num_cells * num_processes, kept.shape[2]))
    shape = (num_cells, num_processes)
    return ReducedRounds(
        quantiles={quantile: values.reshape(shape) for quantile, values in found.quantiles.items()},
        slowest=found.slowest.reshape(shape),
        resolution=found.resolution.reshape(shape),
    )


def _finest(reduced: list[ReducedRounds]) -> np.ndarray:
    steps = np.concatenate([one.resolution for one in reduced], axis=1)
    finest = np.where(np.isnan(steps), np.inf, steps).min(axis=1)
    return np.where(np.isfinite(finest), finest, 0.0)


@dataclass
class Score:
    """Counts over the pairs of a scenario."""

    num_pairs: int = 0
    fwer: int = 0
    any_false: int = 0
    num_intervals: int = 0
    covered: int = 0
    num_changes: int = 0
    found: int = 0
    num_large: int = 0
    missed: int = 0
    opposite: int = 0
    power: dict[float, list[int]] = field(default_factory=dict)

    def add(self, pair: Pair, verdicts: Verdicts) -> None:
        """Count one pair."""
        truth = pair.truth
        null = truth == 1
        self.num_pairs += 1
        self.fwer += bool((verdicts.regressed & null).any())
        self.any_false += bool(((verdicts.regressed | verdicts.improved) & null).any())
        known = np.isfinite(verdicts.low) & (True if pair.in_part is None else ~pair.in_part)
        inside = (verdicts.low <= truth + 1e-12) & (truth - 1e-12 <= verdicts.high)
        self.num_intervals += int(known.sum())
        self.covered += int((inside & known).sum())
        right = np.where(truth > 1, verdicts.regressed, verdicts.improved)
        large = np.abs(truth - 1) > 0.03 - 1e-9
        self.num_changes += int(large.sum())
        self.found += int((right & large).sum())
        beyond = np.abs(truth - 1) > 0.03 + 1e-9
        self.num_large += int(beyond.sum())
        self.missed += int((verdicts.unchanged & beyond).sum())
        self.opposite += int(((truth > 1) & verdicts.improved | (truth < 1) & verdicts.regressed).sum())
        for size in (0.03, 0.05, 0.10):
            cells = np.abs(truth - 1 - size) < 1e-9
            count = self.power.setdefault(size, [0, 0])
            count[0] += int((verdicts.regressed & cells).sum())
            count[1] += int(cells.sum())

    def cells(self) -> list[str]:
        """Return the columns of the table."""
        return [
            _share(self.fwer, self.num_pairs),
            _share(self.any_false, self.num_pairs),
            _share(self.covered, self.num_intervals),
            _share(self.found, self.num_changes),
            *(_share(*count) for count in self.power.values()),
            _share(self.missed, self.num_large),
            str(self.opposite),
        ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def score(scenario: str, *, num_pairs: int, seed: int) -> Score:
    """Judge pairs of a scenario of either generator."""
    make = dense_changes.make_pair if scenario in dense_changes.SCENARIOS else sparse_pair
    result = Score()
    for number in range(num_pairs):
        pair = make(scenario, number, seed)
        result.add(pair, judge_pair(pair))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("sparse", "dense"))
    parser.add_argument("--pairs", type=int, default=100, help="of each scenario; default: 100")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenarios", help="some of them, separated by commas")
    options = parser.parse_args()
    every = dense_changes.SCENARIOS if options.which == "dense" else [s for s in regress_eval.SC if s not in SKIPPED]
    names = options.scenarios.split(",") if options.scenarios else list(every)
    headings = ["scenario", "fwer", "any", "coverage", "found", "+3%", "+5%", "+10%", "missed", "opposite"]
    print(f"{options.pairs} pairs a scenario, seed {options.seed}\n")
    print("| " + " | ".join(headings) + " |")
    print("|---|" + "---:|" * (len(headings) - 1))
    for name in names:
        cells = score(name, num_pairs=options.pairs, seed=options.seed).cells()
        print("| " + " | ".join([name.replace("_", " "), *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()

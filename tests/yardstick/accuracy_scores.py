#!/usr/bin/env python3
"""How often are the verdicts on accuracy right? Simulated full trainings with known truth, judged in this process.

    python tests/yardstick/accuracy_scores.py --pairs 400 --seed 1

prints a table in Markdown. A pair is a baseline and a candidate with six cells (three networks, two precisions) and n
seeds each. Where trainings differ, made without the assumptions of the rule (which knows a variance of test images and
a normal one between seeds):

- Every test image has a difficulty: most are nearly always right, some nearly always wrong, the others toss a coin.
  An image is right or wrong independently in every training.
- Every training has a shift of its own that all images feel, of heavy tails (t with 4 degrees of freedom), and one for
  each of the ten classes. Their standard deviation is that of the scenario.
- The same seed on both sides shares its split, and with it a part of the shift.
- A loss is an offset of the logits, so that easy images lose less than hard ones; the truth is the difference of
  expected accuracies.

  fwer        share of the unchanged pairs in which any cell is called regressed
  any         share of the unchanged pairs in which any cell is called regressed or improved
  coverage    share of the cells whose printed 95% interval contains the true change
  no worse    share of the unchanged cells that are called unchanged
  missed      share of the pairs in which any of the cells that lost 1 point is called unchanged
  -2, -3      share of the cells that lost 2 or 3 points that are called regressed
"""

from __future__ import annotations

import argparse
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2])]

from perfsuite.analysis.verdicts.compare import ALPHA
from perfsuite.analysis.statistics.accuracy import (
    AccuracyChange,
    binomial_variance,
    decide_accuracy,
    mcnemar_variance,
    paired_change,
    unpaired_change,
)
from perfsuite.analysis.frames.training_words import ACCURACY_MARGIN
from perfsuite.analysis.verdicts.training_verdicts import TIME_SHARE

NUM_CELLS = 6
NUM_CLASSES = 10
SEEDS = (1, 3, 5)
LOSSES = (0.01, 0.02, 0.03)


@dataclass(frozen=True)
class Scenario:
    """How trainings scatter: standard deviation in points (of each cell, or of all), accuracy, images, what is known."""

    name: str
    points: tuple[float, ...] = (0.4,)
    accuracy: float = 0.83
    images: int = 10_000
    same_seeds: bool = True
    predictions: bool = True
    shared: float = 0.3


SCENARIOS = (
    Scenario(name="seeds scatter by 0.2 points", points=(0.2,)),
    Scenario(name="seeds scatter by 0.4 points"),
    Scenario(name="seeds scatter by 0.8 points", points=(0.8,)),
    Scenario(name="one cell by 1, others by 0.2", points=(1.0, 0.2, 0.2, 0.2, 0.2, 0.2)),
    Scenario(name="other seeds, 0.4 points", same_seeds=False),
    Scenario(name="no test predictions, 0.4", predictions=False),
    Scenario(name="other seeds, 0.8 points", points=(0.8,), same_seeds=False),
    Scenario(name="smoke: 512 images, 2 points", points=(2.0,), accuracy=0.3, images=512),
)


def difficulty(accuracy: float, images: int, rng: np.random.Generator) -> np.ndarray:
    """Return logits of being right [images]: easy, hard and undecided ones, with that mean."""
    kind = rng.choice(3, size=images, p=(0.62, 0.10, 0.28))
    logits = np.choose(kind, (rng.gamma(4, 1.1, images), -rng.gamma(2, 1.0, images), rng.normal(0.3, 1.0, images)))
    low, high = -12.0, 12.0
    for _ in range(50):  # an offset gives the mean that is wanted
        middle = (low + high) / 2
        low, high = (middle, high) if probability(logits + middle).mean() < accuracy else (low, middle)
    return logits + low


def probability(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def shifts(deviation: float, classes: np.ndarray, trainings: int, rng: np.random.Generator) -> np.ndarray:
    """Return what each training adds to the logits [trainings, images]; half of its variance is common, half by class."""
    common = rng.standard_t(4, size=(trainings, 1)) / np.sqrt(2.0)
    by_class = rng.standard_normal((trainings, NUM_CLASSES)) * np.sqrt(NUM_CLASSES)
    return deviation * (np.sqrt(0.5) * common + np.sqrt(0.5) * by_class[:, classes])


class Cell:
    """One network and precision: its images, and how its trainings scatter."""

    def __init__(self, scenario: Scenario, number: int, rng: np.random.Generator) -> None:
        points = scenario.points[number % len(scenario.points)]
        self.scenario, self.rng = scenario, rng
        self.logits = difficulty(scenario.accuracy, scenario.images, rng)
        self.classes = rng.integers(0, NUM_CLASSES, scenario.images)
        slope = (probability(self.logits) * (1 - probability(self.logits))).mean()
        self.deviation = points / 100 / slope
        self._odds_against = np.exp(-(self.logits + shifts(self.deviation, self.classes, 200, rng)))
        self._slope = slope

    def _expected(self, offset: float) -> float:
        """Return the expected accuracy with that offset; the exponentials of two million logits are there already."""
        chances = self._odds_against * np.exp(offset)
        chances += 1
        return float(np.divide(1, chances, out=chances).mean())

    def offset_of(self, loss: float) -> float:
        """Return the offset of the logits that costs that much expected accuracy."""
        if not loss:
            return 0.0
        whole, low, high = self._expected(0.0), 0.0, 4 * loss / self._slope
        for _ in range(14):
            middle = (low + high) / 2
            low, high = (middle, high) if whole - self._expected(middle) < loss else (low, middle)
        return (low + high) / 2

    def outcomes(self, seeds: int, offsets: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Return which images both sides predict correctly [seeds, images]."""
        scenario, rng = self.scenario, self.rng
        share = scenario.shared if scenario.same_seeds else 0.0
        same = shifts(self.deviation, self.classes, seeds, rng)
        sides = []
        for offset in offsets:
            own = shifts(self.deviation, self.classes, seeds, rng)
            logits = self.logits + np.sqrt(share) * same + np.sqrt(1 - share) * own - offset
            sides.append(rng.random(logits.shape) < probability(logits))
        return sides[0], sides[1]


def change_of(scenario: Scenario, old: np.ndarray, new: np.ndarray) -> AccuracyChange:
    """Return what the comparison knows of a cell."""
    baseline, candidate = old.mean(axis=1), new.mean(axis=1)
    if not scenario.same_seeds:
        return unpaired_change(baseline, candidate, scenario.images)
    if scenario.predictions:
        pairs = zip((old & ~new).sum(axis=1), (new & ~old).sum(axis=1), strict=True)
        variances = [mcnemar_variance(float(b), float(c), scenario.images) for b, c in pairs]
        return paired_change(baseline, candidate, np.array(variances))
    both = binomial_variance(baseline, scenario.images) + binomial_variance(candidate, scenario.images)
    return paired_change(baseline, candidate, both)


def score(scenario: Scenario, seeds: int, pairs: int, seed: int) -> dict[str, float]:
    """Return the shares of one scenario with that many seeds a side."""
    rng = np.random.default_rng([seed, seeds, zlib.crc32(scenario.name.encode())])
    cells = [Cell(scenario, number, rng) for number in range(NUM_CELLS)]
    found: dict[str, list[float]] = {name: [] for name in ("fwer", "any", "coverage", "no worse", "missed", "-2", "-3")}
    offsets = [[cell.offset_of(loss) for loss in LOSSES] for cell in cells]
    alpha = ALPHA * (1 - TIME_SHARE)
    for _ in range(pairs):
        unchanged = decide_accuracy(
            [change_of(scenario, *cell.outcomes(seeds, (0.0, 0.0))) for cell in cells],
            margin=ACCURACY_MARGIN,
            alpha=alpha,
        )
        found["fwer"].append(float(unchanged.regressed.any()))
        found["any"].append(float((unchanged.regressed | unchanged.improved).any()))
        found["coverage"].append(float(((unchanged.low <= 0) & (unchanged.high >= 0)).mean()))
        found["no worse"].append(float((unchanged.non_inferior & ~unchanged.improved).mean()))
        order = rng.permutation(NUM_CELLS)
        lost_by_cell: list[int | None] = [None] * NUM_CELLS
        for loss, cell_number in enumerate(order[:3]):
            lost_by_cell[cell_number] = loss
        changed = decide_accuracy(
            [
                change_of(scenario, *cell.outcomes(seeds, (0.0, 0.0 if lost is None else own[lost])))
                for cell, own, lost in zip(cells, offsets, lost_by_cell, strict=True)
            ],
            margin=ACCURACY_MARGIN,
            alpha=alpha,
        )
        one, two, three = order[:3]
        found["missed"].append(float(changed.non_inferior[one]))
        found["-2"].append(float(changed.regressed[two]))
        found["-3"].append(float(changed.regressed[three]))
        truth = np.array([0.0 if lost is None else -LOSSES[lost] for lost in lost_by_cell])
        found["coverage"].append(float(((changed.low <= truth) & (changed.high >= truth)).mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenarios", default="", help="numbers, separated by commas; all if not given")
    options = parser.parse_args()
    chosen = [int(number) for number in options.scenarios.split(",") if number] or range(len(SCENARIOS))
    names = ("fwer", "any", "coverage", "no worse", "missed", "-2", "-3")
    print(f"| scenario | seeds a side | {' | '.join(names)} |")
    print(f"|---|---:|{'---:|' * len(names)}")
    for number in chosen:
        scenario = SCENARIOS[number]
        for seeds in SEEDS:
            row = score(scenario, seeds, options.pairs, options.seed)
            print(f"| {scenario.name} | {seeds} | {' | '.join(f'{row[name]:.3f}' for name in names)} |", flush=True)


if __name__ == "__main__":
    main()

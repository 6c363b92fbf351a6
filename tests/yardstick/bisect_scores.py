#!/usr/bin/env python3
"""How often does `perfsuite bisect` find the right commit? Simulated machines with known truth, searched in this process.

    python tests/yardstick/bisect_scores.py --searches 1000 --seed 1

prints a table in Markdown. A search is a line of 60 commits of which one (or none, or two) is slower. What a process
measures is made without the assumptions of the search (which knows one normal scatter of all processes):

- processes scatter with Student's t of 3 or 4 degrees of freedom, scaled to the standard deviation that is stated;
- the machine drifts between processes: a random walk, a slow oscillation, and steps that stay for a while;
- a share of the processes is disturbed by another load: 5 to 30% slower;
- kernels are picked again in every process, so that two speeds mix in a share that differs by commit;
- commits scatter by unlike amounts; commits that change nothing still move the time a little (0.1%, as layout does).

  right       share of the searches that end with the commit, confirmed
  wrong       share that end with another commit, confirmed: at most alpha, 5%
  misled      share in which any step was decided wrongly, whether or not the end shows it (one change only)
  one of      share that end with some commits, the right one among them
  cannot tell share that end without a commit: not established, undecided or not confirmed
  none        share that end with "no difference"
  coverage    share of the right searches whose 95% interval contains the true change of the commit
  processes   median and 90th percentile of the processes of a search
"""

from __future__ import annotations

import argparse
import math
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2])]

from perfsuite.campaign.bisect.revisions import OrderedList, Revision
from perfsuite.campaign.bisect.search import Block, NotMeasurableError, Search, Terms

NUM_COMMITS = 60
LAYOUT = 0.001


@dataclass(frozen=True)
class Scenario:
    """How times scatter, as logarithms, and what the commits do."""

    name: str
    slower: tuple[float, ...]  # 0.05: 5%; two: at two commits
    sd: float = 0.01
    dof: int = 4
    walk: float = 0.0
    wave: float = 0.0
    step: float = 0.0
    disturbed: float = 0.0
    picked: float = 0.0
    unlike: bool = False
    broken: float = 0.0


SCENARIOS = (
    Scenario("nothing changes", (0.0,)),
    Scenario("nothing changes, rough machine", (0.0,), walk=0.01, step=0.03, disturbed=0.05),
    Scenario("+1%: as much as the scatter", (0.01,)),
    Scenario("+2%", (0.02,)),
    Scenario("+3%", (0.03,)),
    Scenario("+5%", (0.05,)),
    Scenario("+10%", (0.10,)),
    Scenario("10% faster", (-0.10,)),
    Scenario("+5%, drift", (0.05,), walk=0.01, wave=0.05),
    Scenario("+5%, steps of the machine", (0.05,), step=0.05),
    Scenario("+5%, 5% disturbed", (0.05,), disturbed=0.05),
    Scenario("+5%, 15% disturbed", (0.05,), disturbed=0.15),
    Scenario("+5%, kernels picked", (0.05,), picked=0.03),
    Scenario("+5%, unlike scatter", (0.05,), unlike=True),
    Scenario("+5%, scatter 2%, t3", (0.05,), sd=0.02, dof=3),
    Scenario("+10%, all of it", (0.10,), dof=3, walk=0.01, wave=0.03, step=0.03, disturbed=0.05, unlike=True),
    Scenario("+5%, 20% of the commits broken", (0.05,), broken=0.2),
    Scenario("two changes: +5% and +5%", (0.05, 0.05)),
    Scenario("two changes: +8% and +2%", (0.08, 0.02)),
    Scenario("two changes: +10%, -4%", (0.10, -0.04)),
)


class Machine:
    """Measures; the truth is in `levels`."""

    def __init__(self, scenario: Scenario, rng: np.random.Generator) -> None:
        self.scenario, self.rng = scenario, rng
        self.changed = sorted(rng.choice(np.arange(1, NUM_COMMITS + 1), len(scenario.slower), replace=False).tolist())
        steps = np.zeros(NUM_COMMITS + 1)
        for commit, change in zip(self.changed, scenario.slower, strict=True):
            steps[commit] = math.log1p(change)
        layout = rng.normal(0, LAYOUT, NUM_COMMITS + 1) if any(scenario.slower) else np.zeros(NUM_COMMITS + 1)
        self.levels = np.cumsum(steps) + layout
        self.sds = scenario.sd * (rng.uniform(0.5, 2.0, NUM_COMMITS + 1) if scenario.unlike else np.ones(NUM_COMMITS + 1))
        self.shares = rng.uniform(0, 0.5, NUM_COMMITS + 1)
        self.broken = rng.random(NUM_COMMITS + 1) < scenario.broken
        self.broken[[0, NUM_COMMITS]] = False
        self.state, self.stepped, self.phase, self.num = 0.0, 0.0, rng.uniform(0, 2 * math.pi), 0

    def measure(self, block: Block) -> dict[str, float]:
        found = {}
        for role, revision in block.turns:
            commit = int(revision.name)
            if self.broken[commit]:
                raise NotMeasurableError("does not build")
            found[role] = self._process(commit)
        return found

    def _process(self, commit: int) -> float:
        one, rng = self.scenario, self.rng
        self.num += 1
        self.state += rng.normal(0, one.walk / 3)
        if rng.random() < 1 / 25:
            self.stepped = rng.normal(0, one.step)
        value = self.levels[commit] + self.state + self.stepped
        value += one.wave * math.sin(self.phase + self.num / 20)
        value += self.sds[commit] * rng.standard_t(one.dof) / math.sqrt(one.dof / (one.dof - 2))
        if rng.random() < one.disturbed:
            value += rng.uniform(0.05, 0.3)
        if one.picked and rng.random() < self.shares[commit]:
            value += one.picked
        return float(value)


def search(scenario: Scenario, rng: np.random.Generator, terms: Terms) -> tuple[str, int, bool | None, bool]:
    """Search once: how it ended, with how many processes, whether the interval contains the truth, and if misled."""
    machine = Machine(scenario, rng)
    revisions = [Revision(name=str(number), key=f"c{number}", subject="") for number in range(NUM_COMMITS + 1)]
    outcome = Search(OrderedList(revisions), machine.measure, terms, lambda _text: None).run()
    left = [int(one.name) for one in outcome.left]
    misled = any(
        step.verdict != "skip" and (step.verdict == "bad") != (int(step.revision.name) >= machine.changed[0])
        for step in outcome.steps
    )
    if outcome.ending == "found":
        assert outcome.change is not None
        (commit,) = left
        if commit not in machine.changed or not any(scenario.slower):
            return "wrong", machine.num, None, misled
        true = machine.levels[commit] - machine.levels[commit - 1]
        if scenario.picked:  # the shares of the kernels are changes of the mean as well
            true += scenario.picked * (machine.shares[commit] - machine.shares[commit - 1])
        return "right", machine.num, bool(outcome.change.low <= true <= outcome.change.high), misled
    if outcome.ending == "no_difference":
        return "none", machine.num, None, misled
    if outcome.ending == "only_skipped" and set(machine.changed) & set(left):
        return "one of", machine.num, None, misled
    return "cannot tell", machine.num, None, misled


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-processes", type=int, default=30)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    terms = Terms(alpha=0.05, min_effect=math.log1p(0.02), max_processes=options.max_processes)
    kinds = ("right", "wrong", "one of", "cannot tell", "none")
    print(f"| scenario | {' | '.join(kinds)} | misled | coverage | processes |")
    print("|---|" + "---:|" * (len(kinds) + 3))
    for scenario in SCENARIOS:
        if options.only not in scenario.name:
            continue
        found = []
        for number in range(options.searches):
            seed = [options.seed, zlib.crc32(scenario.name.encode()), number]
            found.append(search(scenario, np.random.default_rng(seed), terms))
        shares = [sum(one[0] == kind for one in found) / len(found) for kind in kinds]
        covered = [one[2] for one in found if one[2] is not None]
        coverage = f"{np.mean(covered):.3f}" if covered else "-"
        misled = f"{np.mean([one[3] for one in found]):.3f}" if len(scenario.slower) == 1 else "-"
        median, most = np.percentile([one[1] for one in found], [50, 90])
        row = [scenario.name, *(f"{share:.3f}" for share in shares), misled, coverage, f"{median:.0f}, {most:.0f}"]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()

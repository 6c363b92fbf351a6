"""How often intervals of efficiency and communication contain the truth of a simulated machine.

`PYTHONPATH=tests python tests/scaling_coverage.py [RUNS]` prints it for machines that drift, are disturbed and whose
ranks scatter. The truth is what the same machine does without drift and disturbance, by a run of many
blocks: nothing of it is computed by the formulas that are scored.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scaling_builders import Machine, make_scaling, simulated_turns

from perfsuite.analysis.frames.scaling_groups import communication, efficiency

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.intervals import Ratio

LONG_BLOCKS = 1500
"""Of the run that gives the truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A machine, and how often and for how long it is measured.

    Attributes:
        machine: It.
        world_size: Ranks.
        num_blocks: Of a run.
        num_processes: Runs that are put together.
        process_sd: How much the links of a machine differ from process to process, as a logarithm.
        scaling: `weak` or `strong`.
    """

    machine: Machine
    world_size: int = 2
    num_blocks: int = 12
    num_processes: int = 1
    process_sd: float = 0.0
    scaling: str = "weak"


SCENES = {
    "quiet": Scene(machine=Machine(rank_sd=0.01)),
    "drift of 30% in a run": Scene(machine=Machine(rank_sd=0.01, drift=0.26)),
    "3% of the turns disturbed": Scene(machine=Machine(rank_sd=0.01, outliers=0.03)),
    "4 ranks that scatter by 5%": Scene(machine=Machine(rank_sd=0.05), world_size=4),
    "drift, disturbances and scatter": Scene(
        machine=Machine(rank_sd=0.03, drift=0.26, outliers=0.03), world_size=4, num_blocks=20
    ),
    "the same, strong scaling": Scene(
        machine=Machine(rank_sd=0.03, drift=0.26, outliers=0.03), world_size=4, num_blocks=20, scaling="strong"
    ),
    "5 processes whose links differ by 10%": Scene(
        machine=Machine(rank_sd=0.02, drift=0.1), num_processes=5, process_sd=0.1
    ),
}


def truths(scene: Scene) -> tuple[float, float]:
    """Return efficiency and share of communication of a machine left alone, from sums of seconds and images."""
    calm = dataclasses.replace(scene.machine, drift=0.0, outliers=0.0)
    turns = simulated_turns(
        calm, world_size=scene.world_size, batch_size=64, scaling=scene.scaling, num_blocks=LONG_BLOCKS, seed=99
    )
    alone_s = np.mean(turns["alone_s"])
    with_s, without_s = (np.mean(np.max(turns[kind], axis=0)) for kind in ("exchange_s", "no_exchange_s"))
    images_alone = 64 * (scene.world_size if scene.scaling == "strong" else 1)
    rate_alone, rate = images_alone / alone_s, 64 * scene.world_size / with_s
    return float(rate / rate_alone / scene.world_size), float((with_s - without_s) / with_s)


def measured(scene: Scene, seed: int) -> tuple[Ratio, Ratio]:
    """Return what a run, or several, say of efficiency and communication."""
    random = np.random.default_rng(seed)
    records = []
    for process in range(scene.num_processes):
        speed = np.exp(scene.process_sd * random.standard_normal())
        machine = dataclasses.replace(scene.machine, bytes_per_second=scene.machine.bytes_per_second * speed)
        record = make_scaling(
            machine=machine,
            world_size=scene.world_size,
            num_blocks=scene.num_blocks,
            scaling=scene.scaling,
            seed=1000 * seed + process,
            run_id=f"run-{process}",
        )
        records.append(record)
    share = communication(records)
    assert share is not None
    return efficiency(records), share


def coverage(scene: Scene, num_runs: int, first_seed: int = 0) -> tuple[float, float]:
    """Return how often the intervals of efficiency and of communication contain the truth."""
    truth = truths(scene)
    covered = np.zeros(2)
    for seed in range(first_seed, first_seed + num_runs):
        for index, ratio in enumerate(measured(scene, seed)):
            assert ratio.low is not None
            assert ratio.high is not None
            covered[index] += ratio.low <= truth[index] <= ratio.high
    return float(covered[0] / num_runs), float(covered[1] / num_runs)


if __name__ == "__main__":
    num = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    for title, scene in SCENES.items():
        shares = coverage(scene, num)
        sys.stdout.write(f"{title:40} efficiency {shares[0]:.3f}  communication {shares[1]:.3f}  ({num} runs)\n")

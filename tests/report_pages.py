"""The kinds of page: one run or five, a regression, trainings, ten environments, foreign, numerics, several devices."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from builders import ENVIRONMENT, make_claim, make_content, make_workload
from numerics_studies import studies_file
from report_builders import h100, step_file, t4, training_epochs
from scaling_builders import Machine, make_fsdp2, scaling_file, scaling_matrix
from simulated import process_content
from training_builders import make_training, make_training_entry

from perfsuite.formatting import MIB_BYTES
from perfsuite.recipes import THESIS, recipe_for
from perfsuite.records.numerics import STUDIES
from perfsuite.records.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Files = tuple[list["Path"], list["Path"]]
"""Files to be shown, and those of a baseline."""


def one_run(folder: Path) -> Files:
    """Write one run of a matrix, of which some cells gave no result."""
    path = step_file(folder / "steps.json", evidence=True)
    _add_outcomes(path)
    return [path], []


def _add_outcomes(path: Path) -> None:
    content = json.loads(path.read_text())
    content["perfsuite"]["outcomes"] = [
        {
            "nodeid": f"benchmarks/test_step.py::test_train_step[{name}]",
            "outcome": outcome,
            "reason": reason,
        }
        for name, outcome, reason in (
            ("resnet50-fp32-b512", "out_of_memory", "21.4 GiB needed, 14.7 GiB free"),
            ("resnet50-amp-bf16-b128", "skipped", "bfloat16 has no tensor cores on a Tesla T4"),
        )
    ]
    path.write_text(json.dumps(content))


def five_runs(folder: Path) -> Files:
    """Write five runs of 36 cells."""
    return [
        step_file(folder / f"{seed}.json", run_id=f"run-{seed}", seed=seed, batch_sizes=(64, 128)) for seed in range(5)
    ], []


def regression(folder: Path) -> Files:
    """Write two sides, one after the other: with another torch three cells are slower, and one uses more memory."""
    old = [step_file(folder / f"old{seed}.json", run_id=f"old{seed}", seed=seed) for seed in range(5)]
    later = dataclasses.replace(ENVIRONMENT, torch="2.14.0+cu130")
    new = [
        step_file(folder / f"new{seed}.json", run_id=f"new{seed}", seed=10 + seed, environment=later)
        for seed in range(5)
    ]
    for path in new:
        content = json.loads(path.read_text())
        for entry in content["benchmarks"]:
            workload = entry["extra_info"]["perfsuite"]["workload"]
            name = (workload["model"], workload["precision"], workload["phase"])
            scale_times(entry, SLOWER.get(name, 1.0))
            if name == ("resnet18", "fp32", "train_step"):
                entry["extra_info"]["perfsuite"]["metrics"]["peak_allocated_bytes"] += 96 * MIB_BYTES
        path.write_text(json.dumps(content))
    return new, old


SLOWER = {
    ("resnet50", "amp-fp16", "train_step"): 1.123,
    ("resnet50", "amp-fp16", "backward"): 1.15,
    ("resnet34", "amp-fp16", "train_step"): 1.09,
}


def scale_times(entry: dict[str, Any], factor: float) -> None:
    """Make an entry take so many times as long."""
    stats = entry["stats"]
    for name in ("min", "max", "mean", "stddev", "median"):
        stats[name] *= factor
    stats["data"] = [second * factor for second in stats["data"]]


TRAINED = {"resnet18": (0.832, 3600.0), "resnet34": (0.839, 6100.0), "resnet50": (0.813, 11000.0)}
"""Test accuracy in FP32, and training time in seconds."""


def trainings(folder: Path) -> Files:
    """Write full trainings of three networks in FP32 and with AMP, three seeds each."""
    entries = []
    for model, accuracy, seconds in (
        ("resnet18", 0.832, 3600.0),
        ("resnet34", 0.839, 6100.0),
        ("resnet50", 0.813, 11000.0),
    ):
        for precision, change, factor in (("fp32", 0.0, 1.0), ("amp-fp16", -0.001, 0.55)):
            for seed in range(3):
                record = make_training(
                    precision,
                    workload=make_workload(model=model, precision=precision, phase="full_training"),
                    recipe=recipe_for(THESIS, model, precision),
                    weights_sha256=f"{model}-{precision}-{seed}",
                    seed=seed,
                    accuracy=accuracy + change + 0.003 * (seed - 1),
                    seconds=seconds * factor,
                    history=training_epochs(50, precision),
                )
                entries.append(make_training_entry(record))
    path = folder / "trainings.json"
    path.write_text(json.dumps(make_content(entries)))
    return [path], []


GPUS = {
    "Tesla T4": 1.0,
    "NVIDIA L4": 0.6,
    "NVIDIA A100-SXM4-80GB": 0.21,
    "NVIDIA H100 80GB HBM3": 0.12,
    "NVIDIA GeForce RTX 4090": 0.2,
}
"""Times of a step over those of a T4."""


def ten_environments(folder: Path) -> Files:
    """Write runs on five GPUs with two versions of torch each."""
    found: list[Path] = []
    for index, (gpu, factor) in enumerate(GPUS.items()):
        for torch, change in (("2.13.0+cu130", 1.0), ("2.14.0+cu130", 0.97)):
            environment = dataclasses.replace(t4() if index == 0 else h100(), device=gpu, gpu=gpu, torch=torch)
            name = f"{index}-{torch[:4]}"
            found.append(
                step_file(
                    folder / f"{name}.json",
                    environment=environment,
                    run_id=name,
                    factor=factor * change,
                    seed=len(found),
                )
            )
    return found, []


def foreign(folder: Path) -> Files:
    """Write 5,000 benchmarks of a project that is not this one, from nanoseconds to seconds."""
    generator = np.random.default_rng(0)
    typical = np.exp(generator.normal(np.log(2e-4), 2.2, 5000))
    times = {
        f"test_{('solve', 'parse', 'render', 'sort')[index % 4]}[{index}]": (
            median * np.exp(generator.normal(0, 0.02, 6))
        ).tolist()
        for index, median in enumerate(typical)
    }
    path = folder / "many.json"
    path.write_text(json.dumps(process_content(times, minute=0)))
    return [path], []


def numerics(folder: Path) -> Files:
    """Write all studies of mixed precision, of which one claim does not hold."""
    kinds = [kind for kind in STUDIES if kind != "types"]
    failed = make_claim(
        name="operations in FP16", measured=0.42, expected=0.99, relation="at least", unit="share", source="PyTorch"
    )
    paths = [studies_file(folder / "numerics.json", kinds)]
    return [*paths, studies_file(folder / "types.json", ["types"], run_id="b", claims=(failed,))], []


def scaling(folder: Path) -> Files:
    """Write three runs of two networks on one to eight devices, one of whose cells ran out of memory."""
    reason = "21.4 GiB needed, 14.7 GiB free"
    lost = Outcome(nodeid="benchmarks/test_scaling.py::test_scaling[big]", outcome="out_of_memory", reason=reason)
    found = []
    for seed in range(3):
        machine = Machine(rank_sd=0.01, bytes_per_second=9e9 * (1 + 0.01 * seed))
        run_id = f"run-{seed}"
        records = scaling_matrix(
            models=("resnet18", "resnet50"), world_sizes=(1, 2, 4, 8), machine=machine, seed=seed, run_id=run_id
        )
        records += [make_fsdp2(world_size=size, seed=seed, machine=machine, run_id=run_id) for size in (2, 4)]
        found.append(scaling_file(folder / f"{seed}.json", records, outcomes=[lost]))
    return found, []


PAGES: dict[str, Callable[[Path], Files]] = {
    "one-run": one_run,
    "five-runs": five_runs,
    "regression": regression,
    "trainings": trainings,
    "ten-environments": ten_environments,
    "foreign": foreign,
    "numerics": numerics,
    "scaling": scaling,
}
"""By name."""

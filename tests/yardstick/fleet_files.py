"""Result files of a whole fleet, as large as real ones: a real file's entries, with times, telemetry and machines drawn.

    python tests/yardstick/fleet_files.py --out FOLDER --nodes 1000 --repetitions 5 --cells 36 --slow 1

The first nodes of every kind are slow: by 3.8%, at a lower clock, throttled by the power cap. The truth is in the names:
`slow-0000`, and `node-0001` for the others.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

REAL_FILE = Path(__file__).parents[2] / "benchmarks" / "results" / "cpu-amd-epyc-avx2" / "roofline.json"
"""A file of the suite with everything that a record may hold: profile, operators, telemetry."""

SLOW_LOG = -np.log(1 - 0.038)
"""3.8% less throughput."""

MODELS = ("resnet18", "resnet34", "resnet50")
PHASES = ("forward", "backward", "train_step")
PRECISIONS = ("fp32", "amp-fp16")
BATCH_SIZES = (128, 256, 512, 64)
KINDS = ("Tesla T4", "NVIDIA A10G")


def write_fleet(  # noqa: PLR0913 - a fleet has many properties
    folder: Path,
    *,
    num_nodes: int,
    num_repetitions: int = 5,
    num_cells: int = 36,
    num_slow: int = 1,
    num_kinds: int = 1,
    num_rounds: int = 30,
    seed: int = 0,
    as_fleet: bool = True,
) -> list[Path]:
    """Write one file per node and repetition; return their paths.

    Args:
        folder: Where; it exists.
        num_nodes: Of each kind.
        num_repetitions: Processes of each node.
        num_cells: Benchmarks in each file.
        num_slow: Nodes of each kind that are slow.
        num_kinds: Kinds of GPU.
        num_rounds: Of each benchmark.
        seed: Of all that is drawn.
        as_fleet: Whether files say which node they are of, as `perfsuite fleet run` writes them.
    """
    generator = np.random.default_rng(seed)
    template = json.loads(REAL_FILE.read_text(encoding="utf-8"))
    written = []
    for kind in KINDS[:num_kinds]:
        for number in range(num_nodes):
            is_slow = number < num_slow
            name = f"{'slow' if is_slow else 'node'}-{number:04d}"
            node_log = generator.normal(0, 0.001) + (SLOW_LOG if is_slow else 0.0)
            for repetition in range(num_repetitions):
                content = _content(template, kind, is_slow=is_slow)
                content["machine_info"]["node"] = name
                if as_fleet:
                    content["machine_info"]["perfsuite_fleet"] = {
                        "node": name,
                        "kind": kind,
                        "environment": "torch213",
                        "repetition": repetition,
                    }
                run_id = f"{kind}-{name}-{repetition}"
                process_log = node_log + generator.normal(0, 0.002)
                cells = itertools.islice(itertools.product(BATCH_SIZES, PRECISIONS, PHASES, MODELS), num_cells)
                content["benchmarks"] = [
                    _entry(template["benchmarks"][index % 5], cell, process_log, num_rounds, generator, run_id, is_slow)
                    for index, cell in enumerate(cells)
                ]
                path = folder / f"{kind.replace(' ', '-')}-{name}-r{repetition}.json"
                path.write_text(json.dumps(content, indent=1), encoding="utf-8")
                written.append(path)
    return written


def _content(template: dict[str, Any], kind: str, *, is_slow: bool) -> dict[str, Any]:
    content = {key: value for key, value in template.items() if key != "benchmarks"}
    content["machine_info"] = copy.deepcopy(template["machine_info"])
    environment = content["machine_info"]["perfsuite"]
    environment |= {
        "device_type": "cuda",
        "device": kind,
        "gpu": kind,
        "gpu_memory_bytes": 15_843_721_216,
        "num_gpus": 1,
        "driver": "550.54.14" if is_slow else "550.90.07",
        "power_limit_watts": 60.0 if is_slow else 70.0,
        "max_sm_clock_mhz": 1590,
        "absent": {},
    }
    return content


def _entry(
    real: dict[str, Any],
    cell: tuple[int, str, str, str],
    process_log: float,
    num_rounds: int,
    generator: np.random.Generator,
    run_id: str,
    is_slow: bool,  # noqa: FBT001 - called once
) -> dict[str, Any]:
    batch_size, precision, phase, model = cell
    entry = copy.copy(real)
    typical_s = 0.1 * (1 + MODELS.index(model)) * (0.5 if precision != "fp32" else 1.0) * batch_size / 128
    rounds = typical_s * np.exp(process_log + generator.normal(0, 0.002) + generator.normal(0, 0.01, num_rounds))
    name = f"test_{phase}[{model}-{precision}-b{batch_size}]"
    record = dict(real["extra_info"]["perfsuite"])
    record["workload"] = record["workload"] | {
        "model": model,
        "precision": precision,
        "phase": phase,
        "batch_size": batch_size,
        "image_size": 32,
        "num_classes": 10,
        "model_digest": "",
        "compile_mode": "off",
        "memory_format": "contiguous",
        "device_type": "cuda",
    }
    record["process"] = {"run_id": run_id, "pid": 1, "started": "2026-06-30T08:00:00+00:00"}
    clock = 1410.0 if is_slow else 1500.0
    record["telemetry"] = {
        "num_samples": 40,
        "seconds": 4.0,
        "sm_clock_mhz": {"minimum": clock - 60, "median": clock, "maximum": clock + 60},
        "memory_clock_mhz": {"minimum": 5001.0, "median": 5001.0, "maximum": 5001.0},
        "max_sm_clock_mhz": 1590.0,
        "power_watts": {"minimum": 55.0, "median": 60.0 if is_slow else 69.0, "maximum": 70.0},
        "temperature_celsius": {"minimum": 60.0, "median": 70.0, "maximum": 76.0},
        "throttle_ratio": {"power cap": 0.9 if is_slow else 0.4},
        "num_other_processes": 0,
        "other_processes_bytes": 0,
        "num_ecc_errors": 0,
        "is_mig": False,
        "energy_joules": 140.0,
        "energy_num_images": 7000,
        "absent": {},
    }
    ordered = np.sort(rounds)
    entry |= {
        "group": f"{model} {phase}",
        "name": name,
        "fullname": f"benchmarks/test_step.py::{name}",
        "extra_info": {"perfsuite": record},
        "stats": {
            **real["stats"],
            "min": float(ordered[0]),
            "max": float(ordered[-1]),
            "mean": float(rounds.mean()),
            "stddev": float(rounds.std(ddof=1)),
            "median": float(np.median(rounds)),
            "q1": float(np.quantile(rounds, 0.25)),
            "q3": float(np.quantile(rounds, 0.75)),
            "rounds": num_rounds,
            "iterations": 1,
            "data": rounds.tolist(),
        },
    }
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--cells", type=int, default=36)
    parser.add_argument("--slow", type=int, default=1)
    parser.add_argument("--kinds", type=int, default=1, choices=range(1, len(KINDS) + 1))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    files = write_fleet(
        options.out,
        num_nodes=options.nodes,
        num_repetitions=options.repetitions,
        num_cells=options.cells,
        num_slow=options.slow,
        num_kinds=options.kinds,
        seed=options.seed,
    )
    num_bytes = sum(path.stat().st_size for path in files)
    print(f"{len(files)} files, {num_bytes / 1e6:,.1f} MB, {num_bytes / len(files) / 1e3:,.1f} kB each")


if __name__ == "__main__":
    main()

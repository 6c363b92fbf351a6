"""Tables of the committed results, of which no value may change; `python tests/golden_tables.py` writes them."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tempfile
from pathlib import Path

import numpy as np

from perfsuite.cli import main

REPOSITORY = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "data" / "golden"
RESULTS = sorted((REPOSITORY / "benchmarks" / "results").glob("cpu-amd-epyc/*.json"))
FOREIGN = sorted((Path(__file__).parent / "data" / "foreign").glob("*.json"))
TABLES = (
    *(
        "steps",
        "speedup",
        "gpus",
        "memory",
        "thesis",
        "accuracy",
        "confusion",
        "epochs",
        "interleaved",
        "overhead",
        "input_pipeline",
    ),
    *("roofline", "telemetry", "kernels"),
)


def commands() -> dict[str, list[str]]:
    """Return the commands whose output is kept, by the name of the file that keeps it."""
    files = [str(path) for path in RESULTS]
    found = {f"{table}.csv": ["collect", *files, "--table", table, "--format", "csv"] for table in TABLES}
    found["foreign.csv"] = ["collect", *map(str, FOREIGN), "--format", "csv"]
    return found


def comparisons(folder: Path) -> dict[str, list[str]]:
    """Return commands that compare processes made from the committed results, written into a folder."""
    found = {}
    for name in ("smoke", "steps"):
        (path,) = (path for path in RESULTS if path.stem == name)
        sides = {side: [changed(path, folder, side, process) for process in range(3)] for side in SLOWDOWN}
        files = [word for side, paths in sides.items() for word in (f"--{side}", *map(str, paths))]
        for output_format in ("csv", "json"):
            found[f"compare_{name}.{output_format}"] = ["compare", *files, "--format", output_format]
    found["across_steps.csv"] = [*found["compare_steps.csv"], "--across", "gpu,torch"]
    return found


SLOWDOWN = {"baseline": 1.0, "candidate": 1.1}
"""By which factor the forward passes of a side are slower."""


def changed(path: Path, folder: Path, side: str, process: int) -> Path:
    """Write a committed result as if another process had measured it, its rounds a little slower or faster."""
    content = json.loads(path.read_text().replace('"run_id": "', f'"run_id": "{side}{process}'))
    random = np.random.default_rng([process, len(side)])
    content["machine_info"]["perfsuite"]["torch"] = {"baseline": "2.12.0", "candidate": "2.13.0"}[side]
    for benchmark in content["benchmarks"]:
        factor = float(random.normal(1.0, 0.01))
        if "forward" in benchmark["name"]:
            factor *= SLOWDOWN[side]
        stats = benchmark["stats"]
        stats["data"] = [seconds * factor for seconds in stats["data"]]
        for key in ("min", "max", "mean", "median", "stddev", "q1", "q3", "iqr", "total"):
            stats[key] *= factor
    target = folder / f"{path.stem}-{side}-{process}.json"
    target.write_text(json.dumps(content))
    return target


def output_of(command: list[str], folder: Path) -> str:
    """Return what a command writes, without the paths of this machine."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        main(command)
    text = output.getvalue().replace(f"{REPOSITORY}/", "").replace(f"{folder}/", "")
    # Processors differ in the last digit of exponentials and logarithms.
    return re.sub(r"\d+\.\d{9,}(?:e[-+]\d+)?", lambda number: f"{float(number.group()):.9g}", text)


def outputs(folder: Path) -> dict[str, str]:
    """Return what all commands write, by the name of the file that keeps it."""
    return {name: output_of(command, folder) for name, command in (commands() | comparisons(folder)).items()}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in outputs(Path(folder)).items():
            (GOLDEN / name).write_text(text)

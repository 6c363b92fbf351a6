"""Sample outputs of the pages, from committed or simulated files.

`python tests/documented_samples.py` writes them again, `... TEXT` those whose commands contain a text.

A sample is a block of text whose first line is `$ perfsuite ...`. One that names files of `benchmarks/results`, or that
needs no files, is the whole output of its command. Those of `SIMULATED` are shortened to some of its lines.
"""

from __future__ import annotations

import contextlib
import glob
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np

from perfsuite.cli import main
from perfsuite.formatting import MIB_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[1]
YARDSTICK = Path(__file__).parent / "yardstick"
PAGES = sorted(
    path
    for folder in ("", "benchmarks/", "perfsuite/", "tests/")
    for path in (REPOSITORY / folder).glob("README.md" if not folder else "**/README.md")
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
WITHOUT_FILES = {"memory", "limits"}
GAP = "..."


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample output that is made from simulated files.

    Attributes:
        page: It is in.
        command: Arguments of perfsuite, as the page shows them.
        write: Writes the files into a folder.
        shown: Beginnings of the lines that the page shows; the others are left out.
        width: Of the terminal; None: every column is shown.
        max_length: Characters of a line, of which the rest is left out; None: lines are whole.
    """

    page: str
    command: str
    write: Callable[[Path], None]
    shown: tuple[str, ...]
    width: int | None = None
    max_length: int | None = None


def sample_of(first_words: str) -> str:
    """Return the sample, a block of text in any of the pages, that begins with some words."""
    texts = [path.read_text(encoding="utf-8") for path in PAGES]
    blocks = [block for text in texts for kind, block in BLOCK.findall(text) if kind == "text"]
    (found,) = (str(block) for block in blocks if block.startswith(first_words))
    return found


def commands_in(path: Path) -> list[str]:
    """Return every command of perfsuite in the blocks of a page and in its tables, without comments."""
    text = path.read_text(encoding="utf-8")
    lines = [
        line
        for kind, block in BLOCK.findall(text)
        for line in block.replace("\\\n", " ").splitlines()
        if kind in {"sh", "yaml"} or line.startswith("$ ")
    ]
    lines += re.findall(r"`(perfsuite [a-z]+ [^`]*)`", text)
    return [
        command.partition("perfsuite ")[2]
        for line in lines
        for command in line.split("  #")[0].removeprefix("$ ").removeprefix("        run: ").split("&&")
        if re.match(r"\s*(\w+=\S+ )*perfsuite ", command) and "..." not in command
    ]


def without_numbers(text: str) -> str:
    """Return the words of a text: numbers and fingerprints are a sign each, spaces between columns one."""
    words = re.sub(r"\b[0-9a-f]{8,64}\b", "#", text)
    return re.sub(r"[ ]{2,}", "  ", re.sub(r"[-+]?\d[\d,.]*", "#", words))


def printed(command: str, *, width: int | None = None) -> str:
    """Run a command of perfsuite in the current folder; return what it prints.

    Args:
        command: Its arguments; patterns of files are replaced by the files, as a shell does.
        width: Of the terminal that it prints on; None: on none.
    """
    words = [word for text in shlex.split(command) for word in (sorted(glob.glob(text)) or [text])]  # noqa: PTH207
    out = io.StringIO()
    surroundings = {} if width is None else {"COLUMNS": str(width), "NO_COLOR": "1"}
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        mock.patch.dict(os.environ, surroundings),
        mock.patch("perfsuite.commands.output.is_terminal", return_value=width is not None),
    ):
        main(words)
    return out.getvalue()


def simulated_output(sample: Sample, folder: Path) -> str:
    """Return what a sample shows, from files that are written into a folder."""
    sample.write(folder)
    with contextlib.chdir(folder):
        return shortened(printed(sample.command, width=sample.width), sample)


def shortened(text: str, sample: Sample) -> str:
    """Return the lines that begin like one of `shown`, and those that belong to them; dots for the others."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        continues = bool(lines) and lines[-1] != GAP and (not line.strip() or line[0] in "─ ")
        if continues or line.startswith(sample.shown):
            is_long = sample.max_length is not None and len(line) > sample.max_length
            lines.append(f"{line[: sample.max_length].rpartition(' ')[0]} {GAP}" if is_long and " " in line else line)
        elif lines and lines[-1] != GAP:
            lines.append(GAP)
    rule = max(len(line) for line in lines if not line.startswith("─"))
    return "".join(f"{line[:rule].rstrip() if line.startswith('─') else line.rstrip()}\n" for line in lines)


def write_sides(folder: Path) -> None:
    """Write five processes a side, which scatter by 1%; six benchmarks are slower and one is faster."""
    _run("regress_eval.py", "gen", "--out", str(folder), "--scenarios", "proc1", "--pairs", "2", "--seed", "7")
    pair = folder / "proc1" / "pair_001"
    (pair / "base").rename(folder / "old")
    (pair / "new").rename(folder / "new")


def write_sides_of_trainings(folder: Path) -> None:
    """Write five seeds a side, of which AMP loses 2 points in the candidate."""
    from compared_trainings import write_trainings
    from training_builders import make_predicted_training

    for side, loss in (("seeds-old", 0.0), ("seeds-new", 0.02)):
        (folder / side).mkdir()
        for seed in range(5):
            run_id, hour = f"{side}-{seed}", 2 * seed + (side == "seeds-new")
            trainings = [
                make_predicted_training(precision, seed=seed, run_id=run_id, loss=loss if precision != "fp32" else 0.0)
                for precision in ("fp32", "amp-fp16")
            ]
            write_trainings(folder / side, f"run-{seed}", trainings, hour=hour)


def write_scaling(folder: Path) -> None:
    """Write three runs on a machine that loses 2% with each further rank."""
    from scaling_builders import scaling_file

    for number in range(3):
        run_id = f"run-{number + 1}"
        scaling_file(folder / f"{run_id}.json", run_id=run_id, seed=number, world_sizes=(1, 2, 4))


def write_fleet_of_eight(folder: Path) -> None:
    """Write five processes of each of eight nodes, one of which is 4% slower."""
    (folder / "results").mkdir()
    _run("fleet_files.py", "--out", str(folder / "results"), "--nodes", "8")


def _run(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, str(YARDSTICK / script), *arguments], check=True, capture_output=True)


def write_two_gpus(folder: Path) -> None:
    """Write two runs of each of two GPUs; the A100 is 4.6 times as fast."""
    from gpu_builders import A100, T4, gpu_content

    step_s = {"resnet18": 0.1, "resnet34": 0.19, "resnet50": 0.31}
    peak_mib = {"resnet18": 2.7, "resnet34": 4.2, "resnet50": 8.4}
    random = np.random.default_rng(11)
    for name, environment, faster, joules in (("t4", T4, 1.0, 0.0214), ("a100", A100, 4.6, 0.0171)):
        for number in range(2):
            process = np.exp(random.normal(0, 0.006))
            cells = {
                (model, precision, 128): list(
                    seconds * share * process / faster * np.exp(random.normal(0, 0.005, 20)),
                )
                for model, seconds in step_s.items()
                for precision, share in (("fp32", 1.0), ("amp-fp16", 0.52))
            }
            content = gpu_content(cells, environment=environment, run_id=f"{name}-{number}", joules_per_image=joules)
            for entry in content["benchmarks"]:
                record = entry["extra_info"]["perfsuite"]
                of_image = peak_mib[record["workload"]["model"]]
                of_image *= 1.0 if record["workload"]["precision"] != "fp32" else 1.7
                record["metrics"]["peak_allocated_bytes"] = int((100 + of_image * 128) * MIB_BYTES)
            (folder / f"{name}-{number + 1}.json").write_text(json.dumps(content), encoding="utf-8")


SIMULATED = (
    Sample(
        page="perfsuite/analysis/README.md",
        command="compare --baseline old/*.json --candidate new/*.json",
        write=write_sides,
        shown=(
            *("4 regressed", "verdict", "▲", "? inconclusive  test_step[transformer-bf16-eager-8]"),
            *("? inconclusive  test_step[mlp-fp32-eager-32]", "▼", "= unchanged     test_step[mlp-bf16-compile-128]"),
            *("times:", "detectable:", "chance of", "scatter:", "needs N", "trust:", "perfsuite: failed"),
        ),
    ),
    Sample(
        page="perfsuite/analysis/README.md",
        command="compare --baseline seeds-old/*.json --candidate seeds-new/*.json",
        write=write_sides_of_trainings,
        shown=("Full trainings", "verdict", "▲", "="),
        max_length=190,
    ),
    Sample(
        page="perfsuite/commands/README.md",
        command="collect --table scaling run-*.json",
        write=write_scaling,
        shown=("Scaling", "precision", "model", "fp32", "amp-fp16  4", "efficiency:", "communication:", "[low"),
        width=150,
    ),
    Sample(
        page="perfsuite/commands/README.md",
        command="collect --table nodes results",
        write=write_fleet_of_eight,
        shown=("1 of 8", "node  ", "slow-0000", "node-0007", "nodes that agree"),
        max_length=150,
    ),
    Sample(
        page="perfsuite/commands/README.md",
        command="collect --table gpus t4-*.json a100-*.json --price t4=0.35,a100=2",
        write=write_two_gpus,
        shown=(
            *("Which GPU", "network", "resnet18", "resnet50", "speed:", "[low", "largest batch:", "hours", "~", "kWh"),
            "cost:",
        ),
    ),
)


def whole_outputs() -> list[tuple[str, str, str]]:
    """Return page, command and output of each sample that is the whole output of its command."""
    found = []
    for path in PAGES:
        for kind, block in BLOCK.findall(path.read_text(encoding="utf-8")):
            first, _, rest = block.partition("\n")
            command = first.removeprefix("$ perfsuite ")
            if kind != "text" or command == first or command in {sample.command for sample in SIMULATED}:
                continue
            if "benchmarks/results/" in command or command.split()[0] in WITHOUT_FILES:
                found.append((name_of(path), command, rest))
    return found


def write_samples(text: str) -> None:
    """Make the samples again whose commands contain a text, in their pages."""
    outputs = [(page, command, _whole(command)) for page, command, _ in whole_outputs() if text in command]
    for sample in SIMULATED:
        if text not in sample.command:
            continue
        with tempfile.TemporaryDirectory() as folder:
            outputs.append((sample.page, sample.command, simulated_output(sample, Path(folder))))
    for page, command, output in outputs:
        path = REPOSITORY / page
        pattern = re.compile(rf"^```text\n\$ perfsuite {re.escape(command)}\n.*?^```", re.MULTILINE | re.DOTALL)
        before, after = pattern.split(path.read_text(encoding="utf-8"))
        path.write_text(f"{before}```text\n$ perfsuite {command}\n{output}```{after}", encoding="utf-8")


def _whole(command: str) -> str:
    with contextlib.chdir(REPOSITORY):
        return "".join(f"{line.rstrip()}\n" for line in printed(command).strip().splitlines())


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    write_samples(" ".join(sys.argv[1:]))

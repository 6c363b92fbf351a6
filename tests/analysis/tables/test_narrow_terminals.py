"""Every table at every width: no line too long, no word broken, every column shown or named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from builders import ENVIRONMENT, make_content, make_pair, make_paired_entry, make_workload
from compared_trainings import trained, write_trainings
from hypothesis import given, settings
from hypothesis import strategies as st
from report_builders import hostile_file, plain_file, step_file, training_epochs
from scaling_builders import make_fsdp2, scaling_file, scaling_matrix
from simulated import write_sides

from perfsuite.analysis.frames.environments import across
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.load.noise_file import NoiseFloor
from perfsuite.analysis.statistics.intervals import Scatter
from perfsuite.analysis.tables.environments import across_tables
from perfsuite.analysis.tables.gpu_limits import gpu_limits_table
from perfsuite.analysis.tables.memory import predicted_memory_table
from perfsuite.analysis.tables.noise import noise_table
from perfsuite.analysis.tables.registry import TABLES, build_table
from perfsuite.analysis.tables.saved import saved_table
from perfsuite.analysis.tables.table import Column, Priority, Table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.tables.trainings import amp_table
from perfsuite.analysis.tables.verdicts import comparison_tables
from perfsuite.analysis.verdicts.thresholds import Judging, Thresholds
from perfsuite.cli import main
from perfsuite.commands.compare import judge_files
from perfsuite.commands.doctor import doctor_table
from perfsuite.formatting import MIB_BYTES, printable
from perfsuite.gpus import GPUS
from perfsuite.measure.doctor import MachineCheck

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.records.environment import Environment

COMMITTED = sorted((Path(__file__).parents[3] / "benchmarks" / "results").rglob("*.json"))
JUDGING = Judging(alpha=0.05, margin=0.01, thresholds=Thresholds(default=0.02))
WIDTHS = (20, 40, 60, 80, 100, 120, 200)
GPU_NAMES = (
    "Tesla T4",
    "NVIDIA A100-SXM4-40GB",
    "NVIDIA H100 80GB HBM3",
    "NVIDIA GeForce RTX 4090 Laptop GPU",
    "NVIDIA RTX 6000 Ada Generation",
)


def five_environments() -> list[Environment]:
    return [
        dataclasses.replace(ENVIRONMENT, device=name, gpu=name, torch=f"2.1{number}.0+cu130", driver=f"58{number}.95")
        for number, name in enumerate(GPU_NAMES)
    ]


def committed(_folder: Path) -> Iterable[Path]:
    return COMMITTED


def of_environments(folder: Path) -> Iterable[Path]:
    for number, environment in enumerate(five_environments()):
        yield step_file(
            folder / f"{'long-' * 12}{number}.json",
            environment=environment,
            run_id=f"run-{number}",
            seed=number,
            evidence=True,
            batch_sizes=(128, 256),
        )


def of_pairs(folder: Path) -> Iterable[Path]:
    for number, environment in enumerate(five_environments()):
        pairs = [
            make_pair(comparison="speedup", run_id=f"run-{number}"),
            make_pair(comparison="overhead", run_id=f"run-{number}", limit_ratio=0.01 * (1 + number)),
            make_pair(
                comparison="pipeline_step", run_id=f"run-{number}", findings=("noisy in " + "many " * 40 + "ways",)
            ),
        ]
        path = folder / f"pairs-{number}.json"
        path.write_text(json.dumps(make_content(list(map(make_paired_entry, pairs)), environment=environment)))
        yield path


def of_several_devices(folder: Path) -> Iterable[Path]:
    for number, environment in enumerate(five_environments()):
        records = scaling_matrix(models=("resnet18", "resnet50"), num_blocks=6, run_id=f"run-{number}", seed=number)
        records += [make_fsdp2(run_id=f"run-{number}", compression="bf16", findings=("noisy in " + "many " * 40,))]
        yield scaling_file(folder / f"{'long-' * 12}{number}.json", records, environment=environment)


def of_trainings(folder: Path) -> Iterable[Path]:
    """Yield trainings of several precisions, seeds and environments, with everything that can be told of one."""
    for number, environment in enumerate(five_environments()[:2]):
        records = []
        for precision in ("fp32", "amp-fp16"):
            for seed in range(3):
                record = trained(precision, seed=seed, run_id=f"run-{number}", environment=environment)
                metrics: dict[str, float | None] = {
                    **record.metrics,
                    "time_to_target_s": 3000.0,
                    "energy_joules": 2e5,
                    "peak_net_bytes": 600 * MIB_BYTES,
                    "num_skipped_steps": 4,
                    "num_interruptions": 2,
                    "lost_time_s": 3.0,
                }
                history = training_epochs(3, precision)
                records.append(dataclasses.replace(record, metrics=metrics, history=history))
        yield write_trainings(folder, f"trainings-{number}", records, environment=environment)


def foreign(folder: Path) -> Iterable[Path]:
    names = [f"test_{'very_' * (number % 12)}long_name[{'x' * number}-{number}]" for number in range(60)]
    yield plain_file(folder / "plain.json", names)


def hostile(folder: Path) -> Iterable[Path]:
    yield hostile_file(folder / "hostile.json")


@pytest.mark.no_cover  # any table is, below
@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    "write", [committed, of_environments, of_pairs, of_several_devices, of_trainings, foreign, hostile]
)
def test_every_table_fits_every_terminal(write: Any, name: str, tmp_path: Path) -> None:
    fits(build_table(name, collect(list(write(tmp_path)))))


def comparison(folder: Path) -> list[Table]:
    old, new = write_sides(folder, changes=[1.0, 1.3, 0.8, 1.01], num=5)
    return comparison_tables(judge_files(old, new, JUDGING))


def comparison_of_two_processes(folder: Path) -> list[Table]:
    old, new = (step_file(folder / f"{name}.json", run_id=name, seed=seed) for seed, name in enumerate(("old", "new")))
    return comparison_tables(judge_files([old], [new], JUDGING))


def comparison_of_trainings(folder: Path) -> list[Table]:
    sides = []
    for number, name in enumerate(("old", "new")):
        records = [trained(seed=seed, run_id=name, accuracy=0.83 - 0.02 * number) for seed in range(3)]
        sides.append(write_trainings(folder, name, records))
    return comparison_tables(judge_files(sides[:1], sides[1:], JUDGING))


def environments(folder: Path) -> list[Table]:
    first, *others = of_environments(folder)
    return across_tables(across([first], others, ("gpu", "torch")))


def environments_of_trainings(folder: Path) -> list[Table]:
    first, *others = of_trainings(folder)
    return across_tables(across([first], others, ("gpu", "torch")))


def amp_of_trainings(folder: Path) -> list[Table]:
    return [amp_table(collect(list(of_trainings(folder))))]


def predicted_memory(_folder: Path) -> list[Table]:
    parts = ("parameters", "gradients", "optimizer", "activations", "autocast", "temporary", "other", "peak")
    row: dict[str, Any] = {f"{part}_bytes": 12_345 * MIB_BYTES for part in parts}
    row |= {"thesis_peak_bytes": 3387 * MIB_BYTES}
    workload = {
        "model": "resnet152",
        "precision": "amp-bf16",
        "batch_size": 128,
        "image_size": 32,
        "num_classes": 10,
        "largest_batch_size": 12_345,
    }
    rows = [
        {**row, **workload, "gradients": gradients, "thesis_difference_ratio": -0.01} for gradients in ("kept", "freed")
    ]
    return [predicted_memory_table(pd.DataFrame(rows), title="Predicted peak memory", notes=("a note",))]


PREDICTED: dict[str, Any] = {
    "model": "resnet50",
    "precision": "amp-fp16",
    "batch_size": 128,
    "image_size": 32,
    "num_classes": 10,
    "memory_format": "channels_last",
    "step_flops": 1e12,
    "min_bytes": 1e9,
    "bound_images_per_second": 123_456.7,
    "roofline_images_per_second": 23_456.7,
    "memory_bound_ratio": 0.91,
    "predicted_images_per_second": 12_345.6,
    "predicted_low": 9_123.4,
    "predicted_high": 16_789.1,
    "largest_batch_size": 12_345,
    "num_epochs": 60,
    "num_images": 1_281_167,
    "training_s": 1e6,
    "training_low_s": 7e5,
    "training_high_s": 1.4e6,
    "training_joules": 1e9,
    "training_price": 1234.5,
    "thesis_training_time_s": None,
    "thesis_ratio": None,
}


def predicted_trainings(_folder: Path) -> list[Table]:
    gpus = list(GPUS.values())
    rows = [{**PREDICTED, "gpu": gpu.name} for gpu in gpus]
    theirs = {**PREDICTED, "gpu": "t4", "thesis_training_time_s": 12815.0, "thesis_ratio": 0.4, "training_price": None}
    return [
        gpu_limits_table(pd.DataFrame(rows), gpus=gpus),
        gpu_limits_table(pd.DataFrame([theirs]), gpus=[GPUS["t4"]]),
    ]


def checks(_folder: Path) -> list[Table]:
    long = "many words about what was found and how to go on with it, " * 4
    return [
        doctor_table(
            [
                MachineCheck(name="GPU", status="fine", found="Tesla T4, driver 580.95"),
                MachineCheck(
                    name="other processes", status="unfit", found=long, fix=f"{long}: nvidia-smi --gpu-reset -i 0"
                ),
            ]
        )
    ]


def noise_floor(_folder: Path) -> list[Table]:
    names = [f"{make_workload(batch_size=size).label} {'word ' * size}" for size in (1, 8, 32)]
    floor = NoiseFloor(
        machine="host GPU",
        measured="2026-01-05",
        num_processes=5,
        versions={},
        detectable_slowdown_ratio=dict.fromkeys(names, 0.012),
        process_scatter={names[0]: Scatter(sd_log=0.01, num_dof=8)},
    )
    return [noise_table(floor, false_alarms=names)]


def saved(folder: Path) -> list[Table]:
    results = collect(list(of_environments(folder)))
    return [saved_table(build_table("steps", results).rows(), "steps.json")]


@pytest.mark.parametrize(
    "build",
    [
        *(comparison, comparison_of_two_processes, comparison_of_trainings, environments, environments_of_trainings),
        *(amp_of_trainings, predicted_memory, predicted_trainings, checks, noise_floor, saved),
    ],
)
def test_every_table_of_a_command_fits_every_terminal(build: Any, tmp_path: Path) -> None:
    for table in build(tmp_path):
        assert table.columns
        fits(table)


def test_a_terminal_of_80_columns_gets_80_and_a_file_gets_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfsuite.commands.output.is_terminal", lambda _stream: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    command = ["collect", *map(str, COMMITTED[:3]), "--table", "memory"]
    main(command)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cells, lines)) <= 80
    assert any(line.startswith("not shown at a width of 80 characters: ") for line in lines)
    for name in ("table.txt", "table.csv"):
        main([*command, "-o", str(tmp_path / name)])
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "not shown" not in text
        assert "momentum" in text or "optimizer_bytes" in text


WORDS = st.text("abc-_.\N{CJK UNIFIED IDEOGRAPH-540D}", min_size=1, max_size=30)
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Draw a table of columns of any kind, with distinct headings without commas."""
    num_rows = draw(st.integers(0, 12))
    headings = draw(st.lists(TEXTS.filter(bool), min_size=1, max_size=8, unique_by=squeezed))
    columns, rows = [], [dict[str, str]() for _ in range(num_rows)]
    for heading in headings:
        texts = draw(st.lists(TEXTS, min_size=1, max_size=3))
        for number, row in enumerate(rows):
            row[heading] = texts[number % len(texts)]
        columns.append(
            Column(
                heading=heading,
                show=lambda row, heading=heading: row[heading],  # type: ignore[misc]
                numeric=draw(st.booleans()),
                foldable=draw(st.booleans()),
                priority=draw(st.sampled_from([None, *Priority])),
            )
        )
    return Table(title="any", frame=rows, columns=tuple(columns), notes=("a note",))


@settings(max_examples=150, deadline=None)
@given(tables(), st.lists(st.integers(2, 130), min_size=1, max_size=3))
def test_any_table_fits_any_terminal(table: Table, widths: list[int]) -> None:
    fits(table, widths)


def fits(table: Table, widths: Sequence[int] = WIDTHS) -> None:
    """Assert what holds of a table at any width; without a terminal, every column is a column."""
    for width in widths:
        text = render_terminal(table, width=width, color=False)
        assert max(map(cells, text.splitlines())) <= width
        if table.columns:
            assert_unbroken(table.rows(), without_those_left_out(table, text, width), text, width)
    text = render_terminal(table, width=None, color=False)
    assert "not shown at a width" not in text
    assert all(printable(column.show(row)) in text for column in table.columns for row in table.rows())


def cells(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


def without_those_left_out(table: Table, text: str, width: int) -> list[Column]:
    """Return the columns that the note below the table does not name."""
    _, found, note = squeezed(text).partition(squeezed(f"not shown at a width of {width} characters: "))
    if not found:
        return list(table.columns)
    names = note.partition(";toseeallcolumns:")[0] + ","
    shown = []
    for column, priority in zip(table.columns, table.priorities, strict=True):
        name = squeezed(column.heading) + ","
        if names.startswith(name):
            assert priority != Priority.KEY
            names = names.removeprefix(name)
        else:
            shown.append(column)
    assert names == ""
    return shown


def squeezed(text: str) -> str:
    """Return a text without spaces and ends of lines: a word that is wider than the terminal is broken."""
    return "".join(text.split())


def assert_unbroken(rows: Sequence[dict[str, Any]], shown: Sequence[Column], text: str, width: int) -> None:
    """Assert that every word of headings and cells is there as it is; those wider than the terminal are broken."""
    words = set(text.split())
    for column in shown:
        seen = set()
        for row in rows:
            cell = printable(column.show(row))
            seen.update(cell.split() if cell != "-" else [])
        expected = [*column.heading.split(), *sorted(seen)] if seen else []
        for word in expected:
            assert words & {word, f"{word},", f"{word}:"} or cells(word) > width, (column.heading, word, width)

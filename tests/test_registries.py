"""Adding a table, a figure, a precision or a GPU is its own module, if any, and one entry of a registry."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import make_content, make_entry, make_record, make_workload
from training_builders import make_training, make_training_entry

from perfsuite.analysis.figures.registry import FIGURES, FigureKind
from perfsuite.analysis.figures.style import precision_color
from perfsuite.analysis.report.embed import THEMED
from perfsuite.analysis.tables.registry import TABLES, TableKind, tables_of
from perfsuite.analysis.tables.table import Table, text_column
from perfsuite.cli import main
from perfsuite.gpus import GPUS
from perfsuite.precisions import POLICIES
from perfsuite.recipes import THESIS, recipe_for
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def steps(write_result: Callable[..., Path]) -> Path:
    records = [make_record(make_workload(precision=name)) for name in ("fp32", "amp-fp16")]
    return write_result(make_content([make_entry(record, [0.1, 0.11, 0.12]) for record in records]))


def add_module(name: str, monkeypatch: pytest.MonkeyPatch, **functions: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, name, module)


def test_a_new_table_is_a_module_and_an_entry(
    steps: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rounds_table(results: Any) -> Table:
        return Table(title="Rounds", frame=results.benchmarks, columns=(text_column("num_rounds"),))

    add_module("perfsuite.analysis.tables.rounds", monkeypatch, rounds_table=rounds_table)
    monkeypatch.setitem(TABLES, "rounds", TableKind(module="rounds", of="steps", about="how many rounds there were"))
    assert main(["collect", str(steps), "--table", "rounds"]) == 0
    assert capsys.readouterr().out.startswith("Rounds\n")
    with pytest.raises(SystemExit):
        main(["collect", "--help"])
    assert "rounds: how many rounds there were" in " ".join(capsys.readouterr().out.split())


def test_a_table_of_steps_alone_says_so_where_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trainings.json"
    path.write_text(json.dumps(make_content([make_training_entry(make_training())])))
    for name in tables_of("steps"):
        assert main(["collect", str(path), "--table", name]) == 0
        assert "full trainings: --table accuracy, confusion, epochs, thesis" in " ".join(
            capsys.readouterr().out.split()
        )


def test_a_new_figure_is_a_module_and_an_entry(
    steps: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from perfsuite.analysis.figures.steps import speedup_chart

    add_module("perfsuite.analysis.figures.again", monkeypatch, speedup_again_chart=speedup_chart)
    monkeypatch.setitem(FIGURES, "speedup-again", FigureKind(module="again", needs="two precisions"))
    target = tmp_path / "again.svg"
    assert main(["chart", "speedup-again", str(steps), "-o", str(target)]) == 0
    assert target.read_text().startswith("<?xml")
    with pytest.raises(SystemExit):
        main(["chart", "--help"])
    assert "speedup-again" in "".join(capsys.readouterr().out.split())  # a line may end at the hyphen


@pytest.mark.usefixtures("tiny_networks")
def test_a_new_precision_is_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its backward pass is verified with its own tolerance; it has a target and a colour."""
    new = dataclasses.replace(POLICIES["amp-bf16"], name="amp-new", color="#123456", thesis_note=None)
    monkeypatch.setitem(POLICIES, "amp-new", new)
    workload = make_workload(precision="amp-new", phase="backward", batch_size=2, device_type="cpu")
    step = TrainingStep(workload, device=torch.device("cpu"))
    step.train_step()
    assert step.check_retained_backward() <= new.gradient_tolerance
    assert recipe_for(THESIS, "resnet18", "amp-new").target_accuracy == 0.8367
    assert precision_color("amp-new") == "#123456"
    assert set(THEMED) >= {policy.color for name, policy in POLICIES.items() if name != "amp-new"}


def test_a_new_gpu_is_an_entry_for_memory_and_limits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(GPUS, "t5", dataclasses.replace(GPUS["t4"], name="t5"))
    for command in ("memory", "limits"):
        assert main([command, "--gpu", "t5", "--model", "resnet18", "--precision", "fp32"]) == 0
        assert "t5" in capsys.readouterr().out.lower()

"""How much memory torch has on a GPU, and what `perfsuite memory --gpu` makes of it."""

from __future__ import annotations

import json

import pytest

from perfsuite.cli import main
from perfsuite.formatting import GIB_BYTES, MIB_BYTES
from perfsuite.gpus import GPUS, WORKSPACE_BYTES
from perfsuite.offline.cells import CellChoice
from perfsuite.offline.memory import plan_cells

SHOWN_BY_NVIDIA_SMI_BYTES = {
    "t4": 15_360 * MIB_BYTES,
    "l4": 23_034 * MIB_BYTES,
    "h100": 81_559 * MIB_BYTES,
    "h200": 143_771 * MIB_BYTES,
}


@pytest.mark.parametrize("name", GPUS)
def test_what_torch_has_is_less_than_the_board_and_has_a_source(name: str) -> None:
    memory = GPUS[name].memory
    assert memory.available_bytes == memory.total_bytes - memory.context_bytes - WORKSPACE_BYTES
    shown = SHOWN_BY_NVIDIA_SMI_BYTES.get(name)
    if shown is not None:
        assert 0.97 * shown < memory.total_bytes < shown
    assert 100 * MIB_BYTES < memory.context_bytes < 600 * MIB_BYTES
    assert "github.com/" in memory.source or "by rule" in memory.source


def test_a_t4_has_what_torch_sees_and_not_what_nvidia_smi_shows() -> None:
    """14.56 GiB of capacity: an error message of torch on a T4 with a recent driver."""
    plan = plan_cells(CellChoice(models="resnet18", precisions="fp32"), gradients=None, capacity=None, gpu="T4")
    assert GPUS["t4"].memory.total_bytes == pytest.approx(14_909 * MIB_BYTES, abs=MIB_BYTES)
    assert plan.capacity_bytes is not None
    assert plan.capacity_bytes < 14.56 * GIB_BYTES - 256 * MIB_BYTES
    text = " ".join(plan.notes)
    for part in ("14,909 MiB that torch sees", "133 MiB for the CUDA context", "256 MiB", "CatVTON/issues/133"):
        assert part in text


def test_every_gpu_with_a_data_sheet_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--gpu", "l4", "--model", "resnet18", "--precision", "fp32", "--format", "json"]
    assert main(["memory", *arguments]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["peak_bytes"] <= GPUS["l4"].memory.available_bytes

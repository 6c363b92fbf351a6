"""Stands for a full training in a process of its own: does what a script says, and returns a record that is given.

`script.json` in the working folder has, by precision and seed, words of `pool_tasks.obey`; `record.json` has the record
that everything but the identity of the cell is taken from. Light to import, for each process imports it anew.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pool_tasks import obey

from perfsuite.measure.training_task import TrainingLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.device_pool import Seat
    from perfsuite.measure.training_task import TrainingTask


def scripted_training(task: TrainingTask, seat: Seat, tell: Callable[[Any], None]) -> dict[str, Any]:
    """Do what the script says of this cell."""
    cell = f"{task.workload.precision} {task.seed}"
    script = json.loads(Path("script.json").read_text())
    tell(TrainingLine(kind="epoch", text=f"epoch 1 of 2 of {cell}", left_s=7.0))
    obey(script.get(cell, ""), seat, lambda content: tell(TrainingLine(kind="warning", text=str(content))))
    record: dict[str, Any] = json.loads(Path("record.json").read_text())
    return {
        **record,
        "workload": dataclasses.asdict(task.workload),
        "recipe": dataclasses.asdict(task.recipe),
        "seed": task.seed,
        "weights_sha256": cell,
        "process": dataclasses.asdict(task.process),
    }


def real_training(task: TrainingTask, seat: Seat, tell: Callable[[Any], None]) -> dict[str, Any]:
    """Train, without a dry run and a verification of the precision, which take longer than this training."""
    import pytest

    from perfsuite.measure import train
    from perfsuite.measure.training_task import run_training

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "evaluation_batch_size", lambda _step: 4)
        patch.setattr(train, "verify", lambda *_: ())
        return run_training(task, seat, tell)

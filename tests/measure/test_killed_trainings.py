"""A training that is killed (-9) at random moments ends as one that was left alone."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from killed_training import run_training

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess

REPOSITORY = Path(__file__).parents[2]
NUM_KILLS = int(os.environ.get("PERFSUITE_NUM_KILLS", "10"))
"""Every fifth of them while a checkpoint is being saved. `PERFSUITE_NUM_KILLS=50` asks for more than the tests need."""

NUM_EPOCHS = max(12, NUM_KILLS)


@dataclass(frozen=True, slots=True)
class Started:
    """A training in a process of its own, and what it tells."""

    process: ForkServerProcess
    connection: Connection[Any, Any]

    def read(self) -> Any:
        """Wait for what it tells next; None once it has ended."""
        try:
            return self.connection.recv()
        except EOFError:
            return None


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], Started]:
    """Start a training; its process is forked from one that has imported torch, which takes longest."""
    folders = (str(REPOSITORY), str(REPOSITORY / "tests"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_training"])

    def start_one(folder: Path, run_id: str) -> Started:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=run_training, args=(sender, folder, run_id, NUM_EPOCHS), daemon=True)
        process.start()
        sender.close()  # ours: the end of the process is then the end of what it tells
        return Started(process, receiver)

    return start_one


def wait_for_a_save(process: ForkServerProcess, folder: Path) -> bool:
    """Wait until a checkpoint is being written; false if the process ends before."""
    while process.is_alive():
        if any(folder.glob("*/.checkpoint.pt.*")):
            return True
        time.sleep(0.001)
    return False


def test_a_training_killed_at_random_moments_ends_bit_for_bit_as_one_left_alone(
    tmp_path: Path, start: Callable[[Path, str], Started]
) -> None:
    whole = start(tmp_path / "whole", "whole")
    generator = random.Random(7)  # noqa: S311 - moments, not secrets
    num_killed = num_killed_while_saving = 0
    for number in range(NUM_KILLS):
        started = start(tmp_path / "killed", f"run-{number}")
        assert started.read() == "started"
        is_saving = False
        if number % 5 == 4:
            is_saving = wait_for_a_save(started.process, tmp_path / "killed")
        elif number % 2:  # in the epoch after, or the one after that: a slow machine has something to resume too
            started.read()
            time.sleep(generator.uniform(0.0, 0.2))
        else:
            time.sleep(generator.uniform(0.0, 0.8))
        started.process.kill()
        started.process.join()
        num_killed += started.process.exitcode == -9
        num_killed_while_saving += is_saving and started.process.exitcode == -9
    last = start(tmp_path / "killed", "last")
    results = []
    for started in (whole, last):
        told = list(iter(started.read, None))
        started.process.join(120)
        assert started.process.exitcode == 0
        results.append(told[-1])
    alone, survivor = results
    assert num_killed_while_saving >= NUM_KILLS // 10
    assert [path.name for path in tmp_path.glob("*/*/.*")] == []  # no part of a file is left
    assert num_killed >= NUM_KILLS / 2  # after the last epoch there may be nothing left to kill
    assert survivor["weights_sha256"] == alone["weights_sha256"]
    assert survivor["test_accuracy"] == alone["test_accuracy"]
    assert survivor["confusion"] == alone["confusion"]
    kept = ("epoch", "learning_rate", "train_loss", "validation_loss", "validation_accuracy", "num_skipped_steps")
    for one, other in zip(survivor["history"], alone["history"], strict=True):
        assert {key: one[key] for key in kept} == {key: other[key] for key in kept}
    assert survivor["num_resumes"] >= 1
    assert survivor["metrics"]["num_interruptions"] >= survivor["num_resumes"]
    assert survivor["metrics"]["lost_time_s"] >= 0  # these epochs end before their second time stamp
    assert alone["metrics"]["lost_time_s"] == 0
    assert survivor["metrics"]["training_time_s"] == pytest.approx(
        sum(epoch["training_s"] + epoch["evaluation_s"] for epoch in survivor["history"])
    )

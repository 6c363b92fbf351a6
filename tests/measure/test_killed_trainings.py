"""A training that is killed (-9) at random moments ends as one that was left alone."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NUM_KILLS = int(os.environ.get("PERFSUITE_NUM_KILLS", "10"))
"""Every fifth of them while a checkpoint is being saved. `PERFSUITE_NUM_KILLS=50` asks for more than the tests need."""

NUM_EPOCHS = max(12, NUM_KILLS)

SCRIPT = """
import dataclasses, json, sys
from pathlib import Path
import torch
from builders import ENVIRONMENT, make_workload
from generated_images import generated_set
from perfsuite.measure.active_clock import ActiveClock
from perfsuite.measure.training_job import Job
from perfsuite.measure import train as train_module
from perfsuite.measure.train import train
from perfsuite.recipes import SMOKE
from perfsuite.records.environment import Process

torch.set_num_threads(1)
train_module.evaluation_batch_size = lambda _step: 4  # a dry run takes longer than this training
recipe = dataclasses.replace(SMOKE, epochs=int(sys.argv[3]), batch_size=4, num_train=12, num_validation=4, num_test=20)
workload = make_workload(precision="fp32", phase="full_training", batch_size=4, device_type="cpu")
job = Job(
    workload=workload, recipe=recipe, seed=0, images=generated_set(), folder=Path(sys.argv[1]),
    environment=ENVIRONMENT, deterministic=True, checkpoint_every_s=1.0,
)
clock = ActiveClock()
said = lambda epoch, images_per_s, left: print("epoch", epoch.epoch, "is on disk", flush=True)
process = Process(run_id=sys.argv[2], pid=1, started="2026-01-05T10:00:00+00:00")
print("started", flush=True)
record = train(
    job, device=torch.device("cpu"), process=process, clock=clock, epoch_ended=said,
    warn=lambda text: print(text, file=sys.stderr),
)
print(json.dumps(record.to_json()))
"""


def start(folder: Path, run_id: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment["PYTHONPATH"] = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), run_id, str(NUM_EPOCHS)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_a_save(process: subprocess.Popen[str], folder: Path) -> bool:
    """Wait until a checkpoint is being written; false if the process ends before."""
    while process.poll() is None:
        if any(folder.glob("*/.checkpoint.pt.*")):
            return True
        time.sleep(0.001)
    return False


def test_a_training_killed_at_random_moments_ends_bit_for_bit_as_one_left_alone(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole", "whole")
    generator = random.Random(7)  # noqa: S311 - moments, not secrets
    num_killed = num_killed_while_saving = 0
    for number in range(NUM_KILLS):
        process = start(tmp_path / "killed", f"run-{number}")
        assert process.stdout is not None
        process.stdout.readline()  # imported, about to train
        is_saving = False
        if number % 5 == 4:
            is_saving = wait_for_a_save(process, tmp_path / "killed")
        elif number % 2:  # in the epoch after, or the one after that: a slow machine has something to resume too
            process.stdout.readline()
            time.sleep(generator.uniform(0.0, 0.3))
        else:
            time.sleep(generator.uniform(0.0, 1.5))
        process.kill()
        process.communicate()
        num_killed += process.returncode == -9
        num_killed_while_saving += is_saving and process.returncode == -9
    last = start(tmp_path / "killed", "last")
    results = []
    for process in (whole, last):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        results.append(json.loads(out.splitlines()[-1]))
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

"""Trainings on several ranks, each a real process with gloo: the same training as on one device."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from forked import pool_forked
from rank_tasks import losses_alone, losses_on_ranks

from perfsuite.measure.device_pool import DevicePlace, TaskEnded, run_in_pool
from perfsuite.workloads.ranks import Ranks

NUM_TRAIN = {2: (16,), 3: (17, 14)}
"""Images by number of ranks. The last batch has 4: 2 and 2; 5: 2, 2 and 1; 2: 1, 1 and none."""


@pytest.fixture(scope="module", params=NUM_TRAIN)
def shared(request: pytest.FixtureRequest) -> tuple[int, dict[str, Any]]:
    """What several ranks did, each a process of its own."""
    world_size = request.param
    place = DevicePlace(devices=tuple(f"cpu:{rank}" for rank in range(world_size)))
    tasks = {"task": NUM_TRAIN[world_size]}
    with pool_forked(), contextlib.closing(run_in_pool(tasks, [place], losses_on_ranks)) as events:
        (ended,) = [event for event in events if isinstance(event, TaskEnded)]
    assert ended.error is None, f"{ended.error}\n{ended.details}"
    return world_size, ended.result


@pytest.mark.parametrize(("num", "world_size"), [(128, 2), (7, 3), (2, 3), (0, 2), (5, 1), (12, 5)])
def test_a_batch_is_shared_without_a_gap_and_as_evenly_as_possible(num: int, world_size: int) -> None:
    parts = [Ranks(rank=rank, world_size=world_size).share(num) for rank in range(world_size)]
    rows = list(range(num))
    assert [row for part in parts for row in rows[part]] == rows
    sizes = [len(rows[part]) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)  # the first rank, whose statistics are kept, never has nothing


def test_ranks_train_as_one_process_does_with_the_whole_batch(shared: tuple[int, dict[str, Any]]) -> None:
    world_size, results = shared
    for num_train in NUM_TRAIN[world_size]:
        alone, found = losses_alone(num_train), results[str(num_train)]
        assert found["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        assert found["weights"] == pytest.approx(alone["weights"], abs=1e-5)
        assert len(set(found["sha256"])) == 1
        assert abs(alone["losses"][0] - alone["losses"][-1]) > 1e-2  # it learns: a wrong gradient would show


def test_an_overflow_on_one_rank_skips_the_step_on_all(shared: tuple[int, dict[str, Any]]) -> None:
    world_size, results = shared
    found = results["overflow"]
    assert found["num_skipped"] == [1.0] * world_size
    assert found["loss_scale"] == [2.0**15] * world_size  # halved once
    assert len(set(found["sha256"])) == 1

"""Records of a step on several devices: written and read again, and refused where they cannot be right."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from builders import make_workload
from scaling_builders import make_fsdp2, make_scaling

from perfsuite.errors import RecordError
from perfsuite.records.reading import read_record
from perfsuite.records.spread_workload import SpreadWorkload

PAIR = (0.1, 0.1)


@pytest.mark.parametrize("record", [make_scaling(), make_scaling(world_size=1), make_fsdp2(world_size=4)])
def test_a_scaling_record_survives_the_way_through_json(record: Any) -> None:
    assert read_record(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"world_size": 0}, "world_size is 0, at least 1 is needed"),
        ({"world_size": 3}, "no_exchange_s is of 2 ranks, 3 are needed"),
        ({"exchange_s": ()}, "exchange_s is of 0 ranks, 2 are needed"),
        ({"exchange_s": ((PAIR,), (PAIR,))}, r"exchange_s\[0\] has 1 blocks, 12 are needed"),
        ({"alone_s": ()}, "at least one block"),
        ({"alone_s": ((0.1,),) * 12}, r"alone_s\[0\] is \[0.1\], 2 times between 1e-09 and 1e\+09 s are needed"),
        ({"alone_s": ((0.1, 0.0),) * 12}, r"alone_s\[0\] is \[0.1, 0.0\]"),
        ({"alone_s": ((0.1, 5e-324),) * 12}, r"2 times between"),
        ({"alone_s": ((0.1, 1e18),) * 12}, r"2 times between"),
        ({"alone_s": ((0.1, math.nan),) * 12}, r"2 times between"),
        ({"all_reduce_s": (0.1, -1.0)}, "all_reduce_s holds a time"),
        ({"all_reduce_s": (1e18,)}, "all_reduce_s holds a time"),
        ({"peak_allocated_bytes": (1,)}, "peak_allocated_bytes is of 1 ranks, 2 are needed"),
        ({"peak_allocated_bytes": (1, 0)}, "peak_allocated_bytes is 0, at least 1"),
        ({"predicted_peak_bytes": -5}, "predicted_peak_bytes is -5, at least 1"),
        ({"gradient_bytes": 0}, "gradient_bytes is 0, at least 1"),
        ({"num_iterations": 0}, "num_iterations is 0"),
    ],
)
def test_a_scaling_record_refuses_what_cannot_be_right(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RecordError, match=complaint):
        dataclasses.replace(make_scaling(), **changes)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("strategy", "ring", "one of ddp, fsdp2 is needed"),
        ("scaling", "super", "one of weak, strong is needed"),
        ("alone_s", [[0.1, "0.1"]], r"alone_s\[0\]\[1\] is"),
        ("gradient_bytes", 2**70, "gradient_bytes is int"),
        ("world_size", True, "world_size is a boolean"),
    ],
)
def test_a_scaling_record_from_elsewhere_is_read_strictly(field: str, value: object, complaint: str) -> None:
    with pytest.raises(RecordError, match=complaint):
        read_record({**make_scaling().to_json(), field: value})


def test_what_is_compared_says_how_it_is_spread_and_is_no_step_of_one_device() -> None:
    record = make_scaling(world_size=4, compression="bf16", scaling="strong", batch_size=16)
    spread = SpreadWorkload.of_record(record)
    assert spread.label == "resnet18 fp32 train_step b16 4 ranks ddp bf16-gradients strong"
    assert SpreadWorkload.of_record(make_scaling(world_size=1)).label == "resnet18 fp32 train_step b64 1 rank ddp"
    assert spread.of_a_rank == make_workload(batch_size=16)
    assert spread != spread.of_a_rank
    assert len({spread, spread.of_a_rank, SpreadWorkload.of_record(make_scaling())}) == 3

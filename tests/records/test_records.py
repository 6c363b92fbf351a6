from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from builders import ENVIRONMENT, make_pair, make_record, make_workload
from training_builders import make_training

from perfsuite.errors import RecordError
from perfsuite.records.environment import Environment
from perfsuite.records.outcome import Outcome
from perfsuite.records.reading import read_record
from perfsuite.records.schema import SCHEMA_VERSION
from perfsuite.records.training import TrainingRecord
from perfsuite.records.workload import label_of


def test_a_record_survives_the_way_through_json() -> None:
    record = make_record()
    assert read_record(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("comparison", ["speedup", "overhead"])
def test_a_paired_record_survives_the_way_through_json(comparison: Any) -> None:
    record = make_pair(comparison=comparison)
    assert read_record(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("blocks", [(), ((0.1, 0.1, 0.1),), ((0.1, 0.1, 0.1, 0.0),), ((0.1, 0.1, 0.1, -1.0),)])
def test_a_pair_refuses_blocks_that_are_none(blocks: Any) -> None:
    with pytest.raises(RecordError, match="block"):
        make_pair(blocks=blocks)


def test_a_record_of_the_first_schema_is_a_cell() -> None:
    content = {**make_record().to_json(), "schema_version": 1}
    del content["kind"]
    assert read_record(content) == make_record()


def test_a_pair_of_the_second_schema_ran_in_one_order_and_was_looked_at_once() -> None:
    content = {**make_pair().to_json(), "schema_version": 2}
    del content["turn_order"], content["num_looks"]
    assert read_record(content) == make_pair(turn_order="abba", num_looks=1)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("turn_order", "baab", "record.turn_order is 'baab', one of abba, abba_or_baab is needed"),
        ("num_looks", 0, "num_looks is 0, at least 1 is needed"),
        ("num_looks", 1.5, "record.num_looks is float 1.5, int is needed"),
    ],
)
def test_a_pair_refuses_an_order_or_a_number_of_looks_that_does_not_exist(
    field: str, value: object, complaint: str
) -> None:
    with pytest.raises(RecordError, match=complaint):
        read_record({**make_pair().to_json(), field: value})


def test_an_environment_survives_the_way_through_json() -> None:
    assert Environment.from_json(json.loads(json.dumps(ENVIRONMENT.to_json()))) == ENVIRONMENT


def test_an_outcome_survives_the_way_through_json() -> None:
    outcome = Outcome(nodeid="a::b", outcome="skipped", reason="no TF32", workload=make_workload())
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_workload().model = "resnet34"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("metrics", "absent", "complaint"),
    [
        ({"speed": 1.0}, {}, "not registered"),
        ({"peak_reserved_bytes": None}, {}, "absent without a reason"),
        ({"warm_up_s": float("nan")}, {}, "finite number"),
        ({"warm_up_s": float("inf")}, {}, "finite number"),
    ],
)
def test_a_record_refuses_metrics_that_are_no_numbers(
    metrics: dict[str, Any], absent: dict[str, str], complaint: str
) -> None:
    with pytest.raises(RecordError, match=complaint):
        dataclasses.replace(make_record(), metrics=metrics, absent=absent)


def test_objects_that_json_cannot_carry_are_refused() -> None:
    settings: Any = {"dtype": object()}
    with pytest.raises(RecordError, match="strict JSON"):
        dataclasses.replace(make_record(), settings=settings).to_json()


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (
            ("schema_version",),
            SCHEMA_VERSION + 1,
            f"schema version {SCHEMA_VERSION + 1}, this perfsuite reads up to {SCHEMA_VERSION}: upgrade",
        ),
        (("kind",), "triple", "one of cell, pair, training, numerics, scaling is needed"),
        (("kind",), ["cell"], "one of cell, pair, training, numerics, scaling is needed"),
        (("schema_version",), "1", "a whole number is needed"),
        (("schema_version",), True, "a whole number is needed"),
        (("workload",), None, "record.workload is null, an object is needed"),
        (("workload", "batch_size"), "128", "record.workload.batch_size is a text, int is needed"),
        (("workload", "batch_size"), True, "record.workload.batch_size is a boolean"),
        (("metrics", "warm_up_s"), [1], "record.metrics.warm_up_s is a list"),
        (("outcome",), "great", "one of measured is needed"),
        (("proof",), {}, "record.proof is an object"),
        (("findings",), [1], r"record.findings\[0\]"),
    ],
)
def test_a_damaged_record_is_refused_with_the_place_of_the_damage(
    path: tuple[str, ...], value: object, complaint: str
) -> None:
    content = make_record().to_json()
    inner: Any = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(RecordError, match=complaint):
        read_record(content)


def test_a_missing_field_is_named() -> None:
    content = make_record().to_json()
    del content["workload"]["model"]
    with pytest.raises(RecordError, match=r"record\.workload\.model is missing"):
        read_record(content)


def test_something_that_is_no_object_is_refused() -> None:
    with pytest.raises(RecordError, match="an object is needed"):
        read_record([])


def test_the_label_leaves_out_what_is_the_default() -> None:
    assert make_workload().label == "resnet18 fp32 train_step b128"
    changed = make_workload(memory_format="channels_last", compile_mode="default", gradients="kept")
    assert changed.label == "resnet18 fp32 train_step b128 channels_last compiled gradients kept"


def test_a_part_of_a_workload_is_called_by_the_same_words() -> None:
    workload = make_workload(memory_format="channels_last", cudnn_benchmark=True, cuda_graphs=True, num_classes=100)
    fields = dataclasses.asdict(workload)
    assert label_of(fields) == workload.label
    del fields["phase"]
    assert label_of(fields) == workload.label.replace(" train_step", "")


def test_records_of_before_schema_version_6_have_the_names_of_today() -> None:
    pair = make_pair(comparison="overhead").to_json()
    num_passes = pair.pop("num_iterations")
    old_pair = {**pair, "schema_version": 5, "comparison": "fidelity", "num_passes": num_passes}
    assert read_record(old_pair) == make_pair(comparison="overhead")
    both = {**old_pair, "num_iterations": num_passes, "num_passes": 99}
    assert read_record(both) == make_pair(comparison="overhead")
    cell = make_record().to_json()
    for value in (5, None):
        for record, name in ((cell, "min_bytes"), (old_cell := {**cell, "schema_version": 5}, "least_bytes")):
            record["metrics"] = {**make_record().metrics, name: value}
            record["absent"] = {**make_record().absent, **({} if value else {name: "unknown"})}
        assert read_record(old_cell) == read_record(cell)
    training = make_training()
    content = training.to_json()
    old = {**content, "schema_version": 5, "recipe": {**content["recipe"], "name": "study"}}
    read = read_record(old)
    assert isinstance(read, TrainingRecord)
    assert read.recipe.name == "thesis"

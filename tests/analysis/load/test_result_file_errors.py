from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content, make_entry, make_record

from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.errors import ResultFileError
from perfsuite.formatting import printable
from perfsuite.records.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = make_content([make_entry(make_record(), [0.1, 0.2, 0.3])])


def complaint_about(path: Path) -> str:
    with pytest.raises(ResultFileError) as caught:
        read_result_file(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(printable(str(path)))
    return message.removeprefix(f"{printable(str(path))}: ")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        (" \n", "empty"),
        (json.dumps(GOOD)[:-100], "cut off"),
        (json.dumps(GOOD)[: json.dumps(GOOD).index("test_train_step")], "cut off"),
        ("hello", "not JSON (line 1, column 1"),
        ("{'a': 1}", "not JSON"),
        ("[]", "a list, such as a table in JSON, not a result file"),
        ('{"benchmarks": {}}', "JSON, but not of pytest-benchmark"),
        ('{"benchmarks": [{"fullname": "a", "stats": {"median": NaN}}]}', "NaN in it, which is not a number"),
        ('{"benchmarks": [{"fullname": "a", "stats": {"median": Infinity}}]}', "Infinity in it"),
        ('{"benchmarks": [{"fullname": "a", "stats": {"median": -Infinity}}]}', "-Infinity in it"),
        ("[" * 100_000, "not readable JSON (RecursionError"),
        ('{"benchmarks": [' + "1" * 5000 + "]}", "not readable JSON (ValueError"),
    ],
    ids=lambda value: value[:12],
)
def test_a_text_that_is_no_result_file_is_refused_in_one_line(
    write_result: Callable[..., Path], text: str, complaint: str
) -> None:
    assert complaint_about(write_result(text)).startswith(complaint)


def test_half_a_character_becomes_a_question_mark_and_whole_ones_stay(write_result: Callable[..., Path]) -> None:
    content = '{"benchmarks": [{"fullname": "a\\ud800b \\ud83d\\ude00 \\u540d", "stats": {"median": 1}}]}'
    (benchmark,) = read_result_file(write_result(content)).benchmarks
    assert benchmark.fullname == "a?b \U0001f600 \u540d"


def test_files_that_cannot_be_read_are_refused_in_one_line(tmp_path: Path) -> None:
    assert complaint_about(tmp_path / "missing.json") == "no such file"
    assert complaint_about(tmp_path).startswith("a folder")
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    assert complaint_about(binary) == "not JSON (not UTF-8 text)"
    assert complaint_about(Path("nul\0byte")).startswith("cannot be read")


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        (("benchmarks", 0), 1, "benchmarks[0] is not an object"),
        (("benchmarks", 0, "stats"), [], "benchmarks[0].stats is not an object"),
        (("benchmarks", 0, "stats", "median"), "fast", "benchmarks[0].stats.median is 'fast', a time in seconds"),
        (("benchmarks", 0, "stats", "median"), -1.0, "benchmarks[0].stats.median is '-1.0'"),
        (("benchmarks", 0, "stats", "median"), True, "benchmarks[0].stats.median is 'True'"),
        (("benchmarks", 0, "stats", "median"), 10**400, "benchmarks[0].stats.median is '1000"),
        (("benchmarks", 0, "stats", "rounds"), 1.5, "benchmarks[0].stats.rounds is '1.5', a whole number"),
        (("benchmarks", 0, "stats", "data"), "x", "benchmarks[0].stats.data is not a list"),
        (("benchmarks", 0, "stats", "data"), [0.1, "x"], "benchmarks[0].stats.data has an entry"),
        (("benchmarks", 0, "stats", "data"), [0.1, True], "benchmarks[0].stats.data has an entry"),
        (("benchmarks", 0, "stats", "data"), [0.1, -0.1], "benchmarks[0].stats.data has a number that is not a time"),
        (("benchmarks", 0, "stats", "data"), [10**400], "benchmarks[0].stats.data has a number that is not a time"),
        (("benchmarks", 0, "stats", "data"), [float("inf")], "Infinity in it"),
        (("benchmarks", 0, "stats", "median"), 0, "benchmarks[0].stats.median is '0', a time in seconds above 0"),
        (("benchmarks", 0, "stats", "data"), [0.1, 0], "benchmarks[0].stats.data has a number that is not a time"),
        (("benchmarks", 0, "extra_info", "perfsuite", "metrics", "warm_up_s"), 10**400, "benchmarks[0].extra_info"),
        (("benchmarks", 0, "extra_info", "perfsuite", "workload", "batch_size"), 10**400, "benchmarks[0].extra_info"),
        (("benchmarks", 0, "extra_info", "perfsuite", "workload", "batch_size"), 0, "batch size is 0, at least 1"),
        (("machine_info", "perfsuite", "power_limit_watts"), 10**400, "machine_info.perfsuite.power_limit_watts"),
        (("perfsuite",), [], "perfsuite is not an object"),
        (
            ("perfsuite", "schema_version"),
            99,
            f"perfsuite has schema version 99, this perfsuite reads up to {SCHEMA_VERSION}: upgrade",
        ),
        (("perfsuite", "schema_version"), "x", "perfsuite.schema_version is 'x'"),
        (("perfsuite", "outcomes"), {}, "perfsuite.outcomes is not a list"),
        (("perfsuite", "outcomes"), [{}], "perfsuite.outcomes[0].nodeid is missing"),
        (("machine_info", "perfsuite", "schema_version"), 99, "machine_info.perfsuite has schema version 99"),
        (("benchmarks", 0, "extra_info", "perfsuite", "workload"), 1, "benchmarks[0].extra_info.perfsuite.workload"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_a_damaged_field_is_named_with_its_place(
    write_result: Callable[..., Path], place: tuple[Any, ...], value: object, complaint: str
) -> None:
    content = copy.deepcopy(GOOD)
    inner: Any = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert complaint_about(write_result(content)).startswith(complaint)


def test_a_benchmark_without_a_name_is_refused(write_result: Callable[..., Path]) -> None:
    complaint = complaint_about(write_result({"benchmarks": [{"stats": {}}]}))
    assert complaint == "benchmarks[0] has no fullname"


def test_a_good_file_is_read_with_a_byte_order_mark_too(write_result: Callable[..., Path]) -> None:
    result = read_result_file(write_result("\N{ZERO WIDTH NO-BREAK SPACE}" + json.dumps(GOOD)))
    assert result.benchmarks[0].record == make_record()
    assert result.benchmarks[0].stats["time_median_s"] == 0.2
    assert result.complete

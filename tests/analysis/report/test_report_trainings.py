from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content, make_workload
from report_builders import h100
from training_builders import make_predicted_training, make_training, make_training_entry

from perfsuite.analysis.report.data import gather
from perfsuite.analysis.report.sections import page_sections
from perfsuite.analysis.report.summary import summarize, warnings_of
from perfsuite.records.environment import Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.report.answers import Answer
    from perfsuite.analysis.report.sections import Section
    from perfsuite.records.training import TrainingRecord


@pytest.fixture
def read(write_result: Callable[..., Path]) -> Callable[..., FigureData]:
    def gathered(*records: TrainingRecord, baseline: tuple[TrainingRecord, ...] = (), **content: Any) -> FigureData:
        paths = [
            [write_result(make_content([make_training_entry(record) for record in side], **more), name)] if side else []
            for side, name, more in ((records, "new.json", content), (baseline, "old.json", {}))
        ]
        return gather(*paths)

    return gathered


def answer(figure_data: FigureData, question: str) -> Answer:
    return next(one for one in summarize(figure_data) if one.question == question)


def section(figure_data: FigureData, name: str) -> Section:
    return next(one for one in page_sections(figure_data) if one.name == name)


def trained(run_id: str, *, loss: float = 0.0, num_seeds: int = 3, factor: float = 1.0) -> tuple[TrainingRecord, ...]:
    """Return ResNet-18 in FP32 and with AMP, the second that much less accurate; a process for each seed."""
    found = []
    for seed in range(num_seeds):
        is_second = (run_id == "new") != (seed % 2 == 1)  # A B B A
        process = Process(run_id=f"{run_id}{seed}", pid=1, started=f"2026-01-05T{2 * seed + is_second:02d}:00:00+00:00")
        for precision in ("fp32", "amp-fp16"):
            record = make_predicted_training(
                precision,
                seed=seed,
                run_id=f"{run_id}{seed}",
                loss=loss if precision != "fp32" else 0.0,
                process=process,
                seconds=3600.0 * factor * (1 + 0.001 * seed),
            )
            found.append(record)
    return tuple(found)


ACCURACY = r"resnet18 fp32 83\.0% \[81\.\d, 84\.\d\], target 83\.6% minus 2 points: reached"


def test_the_first_line_says_the_accuracy_with_its_interval_against_the_target(read: Callable[..., FigureData]) -> None:
    one = read(make_training())
    assert re.fullmatch(ACCURACY, answer(one, "How accurate are the full trainings?").lead)
    two = read(make_training(), make_training("amp-fp16", accuracy=0.78))
    found = answer(two, "How accurate are the full trainings?")
    assert found.lead == "78.0 to 83.0%, 95% intervals within ±1.3 points; targets: 1 missed, 1 reached"
    assert found.tone == "bad"
    (table,) = found.tables
    assert table.heads == ("", "fp32", "amp-fp16", "points (lower bound)", "time [no interval]", "memory")
    (row,) = table.rows
    assert re.fullmatch(r"83\.0% \[81\.\d, 84\.\d\]", row[1])
    assert re.fullmatch(r"78\.0% \[.*\]: target missed", row[2])
    assert re.fullmatch(r"-5\.00 \(-\d\.\d\d\): not shown to be no worse", row[3])
    assert row[4:] == ("1.00x", "-36%")


def test_the_section_begins_with_all_accuracies_and_shows_what_amp_changed(read: Callable[..., FigureData]) -> None:
    metrics = {**make_training().metrics, "num_skipped_steps": 0}
    amp = make_training(
        "amp-fp16", seconds=1800.0, metrics={**metrics, "training_time_s": 1800.0, "num_skipped_steps": 7}
    )
    found = section(read(make_training(metrics=metrics), amp), "trainings")
    assert re.match(ACCURACY + "; resnet18 amp-fp16 83", found.words[0])
    assert [drawing.kind for drawing in found.drawings] == ["accuracy", "epochs"]
    table = found.tables[0]
    ((row,), columns) = table.rows(), {column.heading: column for column in table.columns}
    shown = {heading: column.show(row) for heading, column in columns.items()}
    assert re.fullmatch(r"\+0\.00 \[-1\.\d\d, \+1\.\d\d\]", shown["accuracy points [95%]"])
    assert shown["time, AMP / FP32"] == "0.50x [no interval]"
    assert shown["memory, AMP / FP32"] == "1.00x"
    assert shown["skipped steps"] == "0 -> 7"
    assert shown["non-inferiority"] == "not shown"


def test_an_unchecked_target_is_not_called_reached(read: Callable[..., FigureData]) -> None:
    record = make_training()
    record = dataclasses.replace(record, data=dataclasses.replace(record.data, is_canonical=False))
    found = answer(read(record), "How accurate are the full trainings?")
    assert found.lead.endswith("target 83.6% minus 2 points: not checked")
    assert found.tone == "plain"


def test_trainings_that_regressed_are_named_in_points_with_their_interval(read: Callable[..., FigureData]) -> None:
    figure_data = read(*trained("new", loss=0.03), baseline=trained("old"))
    found = answer(figure_data, "Did anything regress?")
    assert found.lead == "Regressed: 1 less accurate, of 2 full trainings."
    ((name, change, values),) = found.tables[0].rows
    assert name == "resnet18 amp-fp16"
    assert re.fullmatch(r"-\d\.\d\d \[-\d\.\d\d, -\d\.\d\d\] points of accuracy", change)
    assert re.fullmatch(r"8\d\.\d\d -> 8\d\.\d\d %", values)
    verdicts = section(figure_data, "verdicts")
    assert [drawing.kind for drawing in verdicts.drawings] == ["accuracy-changes"]
    assert [table.title for table in verdicts.tables] == ["Full trainings: 1 regressed, 1 unchanged"]
    assert not verdicts.words


def test_trainings_that_take_longer_or_more_memory_are_named(read: Callable[..., FigureData]) -> None:
    def grown(record: TrainingRecord) -> TrainingRecord:
        peak = 900 * 2**20
        return dataclasses.replace(record, metrics={**record.metrics, "peak_allocated_bytes": peak})

    slow = tuple(grown(record) for record in trained("new", factor=1.5, num_seeds=5))
    found = answer(read(*slow, baseline=trained("old", num_seeds=5)), "Did anything regress?")
    assert found.lead == "Regressed: 2 slower, 2 use more memory, of 2 full trainings."
    rows = found.tables[0].rows
    assert rows[0][0] == "resnet18 fp32"
    assert re.fullmatch(r"\+50\.\d% \[\+\d+\.\d, \+\d+\.\d\] training time", rows[0][1])
    assert ("resnet18 fp32", "+28.6% memory", "700.0 -> 900.0 MiB") in rows


def test_notes_of_compared_trainings_are_among_the_warnings(read: Callable[..., FigureData]) -> None:
    figure_data = read(*trained("new", num_seeds=1), baseline=trained("old", num_seeds=1))
    assert any(text.startswith("one seed a side") for text in warnings_of(figure_data))


def test_a_training_that_the_candidate_lacks_is_missing(read: Callable[..., FigureData]) -> None:
    old, new = trained("old"), trained("new")
    only_fp32 = tuple(record for record in new if record.workload == make_workload(phase="full_training"))
    found = answer(read(*only_fp32, baseline=old), "Did anything regress?")
    assert found.lead == "Missing: 1 of 2 full trainings."
    assert "missing in the candidate: resnet18 amp-fp16" in found.lines


def test_trainings_of_other_machines_have_no_verdicts(read: Callable[..., FigureData]) -> None:
    figure_data = read(*trained("new"), baseline=trained("old"), environment=h100())
    assert answer(figure_data, "Did anything regress?").lead == "Cannot be judged: the machines are not the same."
    verdicts = section(figure_data, "verdicts")
    assert verdicts.words == ("No verdicts: the machines of the two sides are not the same.",)
    assert verdicts.folded
    assert not verdicts.tables

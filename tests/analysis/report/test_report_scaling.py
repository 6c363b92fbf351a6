"""Several devices in the report: the answer of the first screen, the section, the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import make_claim, make_workload
from compared_scaling import write_scaling_sides
from report_builders import HOSTILE, step_file
from scaling_builders import make_fsdp2, make_scaling, scaling_file, scaling_matrix

from perfsuite.analysis.figures.scaling import EFFICIENCY
from perfsuite.analysis.report.data import gather
from perfsuite.analysis.report.page import _hero, render_page
from perfsuite.analysis.report.sections import page_sections
from perfsuite.analysis.report.summary import summarize

if TYPE_CHECKING:
    from pathlib import Path

QUESTION = "How well does it scale?"


def test_a_page_of_such_steps_alone_answers_first_how_close_to_ideal_they_come(tmp_path: Path) -> None:
    data = gather([scaling_file(tmp_path / "run.json", precisions=("fp32",))])
    first, trust, measured = summarize(data)
    assert (first.question, first.lead) == (QUESTION, "2 GPUs: 91% of ideal; 7% of a step is communication")
    assert first.tables[0].rows == (("resnet18 fp32", "91.4% (91.3 to 91.5)", "6.7% (6.7 to 6.8)", "4,237"),)
    assert (trust.lead, trust.command) == ("Trust: low", "pytest benchmarks -m scaling --benchmark-json=run2.json")
    assert measured.lead == "2 scaling cells"
    (section,) = [one for one in page_sections(data) if one.name == "scaling"]
    assert section.words == ("2 GPUs: 91% of ideal; 7% of a step is communication",)
    assert len(section.drawings) == len(section.tables) == 1
    hero = _hero(data, first)
    assert hero is not None
    assert [panel.title for panel in hero.panels] == [f"resnet18{EFFICIENCY}"]
    assert {swatch.look for swatch in hero.legend} <= {"dashed", "thin", "interval"}


def test_several_cells_are_a_range_of_those_with_the_most_ranks(tmp_path: Path) -> None:
    records = scaling_matrix(models=("resnet18", "resnet50"), world_sizes=(1, 2, 4))
    answer = summarize(gather([scaling_file(tmp_path / "run.json", records)]))[0]
    assert answer.lead == "4 GPUs: 80% to 88% of ideal; 7% to 15% of a step is communication"
    assert [row[0] for row in answer.tables[0].rows] == [
        "resnet18 fp32",
        "resnet18 amp-fp16",
        "resnet50 fp32",
        "resnet50 amp-fp16",
    ]


def test_ranks_of_a_cpu_are_no_gpus_and_without_steps_without_exchange_nothing_is_said_of_communication(
    tmp_path: Path,
) -> None:
    record = make_fsdp2(workload=make_workload(device_type="cpu", batch_size=64))
    answer = summarize(gather([scaling_file(tmp_path / "run.json", [record])]))[0]
    assert answer.lead == "2 ranks: 91% of ideal"


def test_unequal_gradients_are_said_first(tmp_path: Path) -> None:
    claim = make_claim(name="gradients equal on all ranks", measured=0.5, expected=0.0)
    data = gather([scaling_file(tmp_path / "run.json", [make_scaling(checks=(claim,))])])
    answer = summarize(data)[0]
    assert answer.tone == "bad"
    assert answer.lead.startswith("FAILED: gradients of 1 step are not what they should be. 2 GPUs: ")
    assert "does not hold: gradients equal on all ranks: measured 0.5, expected 0" in answer.lines[0]
    (section,) = [one for one in page_sections(data) if one.name == "scaling"]
    assert section.items == answer.lines


def test_a_page_without_such_steps_has_no_such_section(tmp_path: Path) -> None:
    data = gather([step_file(tmp_path / "steps.json")])
    assert "scaling" not in {section.name for section in page_sections(data)}
    assert QUESTION not in {answer.question for answer in summarize(data)}


def test_with_a_baseline_what_regressed_is_first_and_cells_differ_by_their_ranks(tmp_path: Path) -> None:
    torches = ("2.13.0+cu130", "2.14.0+cu130")
    old, new = write_scaling_sides(tmp_path, num=3, torches=torches, versions=("2.27.3", "2.28.1"))
    data = gather(new, old)
    answers = summarize(data)
    assert [answer.question for answer in answers[:2]] == ["Did anything regress?", QUESTION]
    assert "torch 2.14.0 vs 2.13.0 · NCCL 2.28.1 vs 2.27.3" in answers[0].context
    page = render_page(data, version="1")
    assert "4 ranks ddp" in page
    assert "Efficiency of several devices" in page


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "backend": name,
        "backend_version": name,
        "findings": (name,),
        "absent": {"all_reduce_s": name},
        "checks": (make_claim(name=name, measured=1.0, expected=0.0),),
    }
    records = [make_scaling(model=name, run_id="a", **changes), make_scaling(run_id="b")]
    page = render_page(gather([scaling_file(tmp_path / "run.json", records)]), version="1")
    assert page.count("<script") == 1
    assert "<img" not in page
    assert not {"\x1b", "\u202e"} & set(page)

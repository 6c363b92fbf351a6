"""The section of the report on why mixed precision works, and its answer of the first screen."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_claim
from numerics_studies import claims_of, studies_file
from report_builders import HOSTILE, step_file

from perfsuite.analysis.report.data import gather
from perfsuite.analysis.report.page import render_page
from perfsuite.analysis.report.sections import page_sections
from perfsuite.analysis.report.summary import summarize
from perfsuite.records.numerics import Curve

if TYPE_CHECKING:
    from pathlib import Path

TITLE = "Why mixed precision works here"


def test_a_page_of_studies_alone_has_their_section_and_answers_first_whether_all_claims_hold(tmp_path: Path) -> None:
    figure_data = gather([studies_file(tmp_path / "all.json")])
    first, trust, measured = summarize(figure_data)
    assert (first.lead, first.tone, first.target) == ("14 of 14 claims hold", "good", "numerics")
    assert trust.lead == "Trust: high"
    assert measured.lead == "14 mixed-precision claims"
    (section,) = [one for one in page_sections(figure_data) if one.name == "numerics"]
    assert section.title == TITLE
    assert section.words == ("14 of 14 claims hold.",)
    assert section.folded[0].title.startswith("Why mixed precision works on ")
    assert not section.tables
    assert not set(section.items) & {note for table in section.folded for note in table.notes}
    page = render_page(figure_data, version="1")
    assert f'<h2 id="numerics-title">{TITLE}</h2>' in page
    assert '<div class="hero">' in page
    assert page.count("<svg") == 16 + 3  # of the section, and the first three on the first screen


def test_claims_that_do_not_hold_are_on_the_first_screen_and_lower_the_grade(tmp_path: Path) -> None:
    path = studies_file(tmp_path / "failed.json", ["formats"], run_id="f", claims=claims_of(10, num_failed=6))
    answers = summarize(gather([path, step_file(tmp_path / "steps.json")]))
    (answer,) = [one for one in answers if one.target == "numerics"]
    assert (answer.lead, answer.tone) == ("FAILED: 6 of 10 claims", "bad")
    assert answer.tables[0].rows[0] == ("formats: claim 0", "2", "1")
    assert answer.lines[0] == "and 2 more"
    first, trust, _ = summarize(gather([path]))
    assert first is not None
    assert trust.lead == "Trust: low"
    assert trust.lines[0] == "6 of 10 claims about mixed precision do not hold here."
    assert trust.command == "perfsuite collect --table numerics"


def test_a_page_without_studies_has_no_such_section(tmp_path: Path) -> None:
    figure_data = gather([step_file(tmp_path / "steps.json")])
    assert "numerics" not in {section.name for section in page_sections(figure_data)}
    assert "numerics" not in {answer.target for answer in summarize(figure_data)}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str, tmp_path: Path) -> None:
    curves = (
        Curve(name="fp16", labels=(name, f"{name}2"), y=(0.1, 0.2)),
        Curve(name=f"{name} by learning rate", x=(1.0, 2.0), y=(0.1, 0.2)),
    )
    changes: dict[str, Any] = {
        "curves": curves,
        "notes": (name,),
        "claims": (make_claim(name=name, source=name, measured=1.0),),
    }
    page = render_page(gather([studies_file(tmp_path / "one.json", ["updates"], **changes)]), version="1")
    found = Elements()
    found.feed(page)
    assert not found.names & {"img", "iframe", "object"}
    assert not {attribute for attribute in found.attributes if attribute.startswith("on")}
    assert page.count("<script") == 1
    assert not {"\x1b", "\u202e"} & set(page)


class Elements(HTMLParser):
    """The names of all elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)

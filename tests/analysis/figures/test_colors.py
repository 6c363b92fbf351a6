from __future__ import annotations

import itertools
import re
from importlib import resources

import numpy as np
import pytest
from colour_vision import KINDS, difference, seen

from perfsuite.analysis.figures import style
from perfsuite.precisions import POLICIES

MIN_DIFFERENCE = 10.0
"""CIEDE2000: 1 is just noticeable side by side, 3 across a figure."""


def themes() -> dict[str, dict[str, str]]:
    """Return the colours of the page by theme: every block of its style sheet that sets the ink."""
    sheet = resources.files("perfsuite.analysis.report").joinpath("page.css").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"\{([^{}]*)\}", sheet) if "--ink:" in block]
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]
    return {f"block {index}": colors for index, colors in enumerate(found)}


def together(colors: dict[str, str]) -> dict[str, list[str]]:
    """Return the colours that stand in one figure, by what they stand for."""
    verdicts = ("regressed", "improved", "inconclusive", "unchanged")
    return {
        "precisions": [colors[name] for name in POLICIES],
        "parts": [*(colors[f"part-{index}"] for index in range(7)), colors["muted"]],
        "verdicts": [colors[f"verdict-{name}"] for name in verdicts],
    }


def of_saved_figures() -> dict[str, str]:
    parts = {f"part-{index}": color for index, color in enumerate(style.SEQUENCE)}
    verdicts = {
        "verdict-regressed": style.WORSE,
        "verdict-improved": style.BETTER,
        "verdict-inconclusive": style.UNSURE,
        "verdict-unchanged": style.SAME,
    }
    return {**{policy.name: policy.color for policy in POLICIES.values()}, **parts, **verdicts, "muted": style.MUTED}


PALETTES = {"saved figures": of_saved_figures(), **themes()}


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("kind", KINDS)
def test_colours_of_one_figure_differ_for_every_kind_of_colour_vision(palette: str, kind: str) -> None:
    for what, colors in together(PALETTES[palette]).items():
        for one, other in itertools.combinations(colors, 2):
            apart = difference(seen(one, kind), seen(other, kind))
            assert apart >= MIN_DIFFERENCE, (what, one, other, apart)


def test_the_light_page_has_the_colours_of_saved_figures() -> None:
    light = themes()["block 0"]
    assert len(themes()) == 3
    for name, color in of_saved_figures().items():
        assert light[name] == color, name


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_difference_of_colours_is_that_of_the_published_table(
    one: tuple[float, float, float], other: tuple[float, float, float], expected: float
) -> None:
    """Sharma, Wu, Dalal (2005), table 1."""
    assert difference(np.array(one), np.array(other)) == pytest.approx(expected, abs=1e-4)

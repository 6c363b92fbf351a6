"""A panel -> an SVG element that a page can theme, point at and read aloud; nothing in it but shapes and text."""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from perfsuite.analysis.figures import style
from perfsuite.analysis.figures.panels import panel_figure
from perfsuite.formatting import printable
from perfsuite.precisions import POLICIES

if TYPE_CHECKING:
    from perfsuite.analysis.figures.panels import Panel

SVG = "http://www.w3.org/2000/svg"
HREF = "{http://www.w3.org/1999/xlink}href"

THEMED = {
    style.INK: "ink",
    style.MUTED: "muted",
    style.GRID: "grid",
    style.PAPER: "paper",
    style.TRACK: "track",
    **{policy.color: name for name, policy in POLICIES.items()},
    style.OTHER_PRECISION: "other",
    **{color: f"part-{index}" for index, color in enumerate(style.SEQUENCE)},
    **{color: f"verdict-{verdict}" for verdict, color in style.VERDICT_COLORS.items()},
}
"""Colours that a page has its own values of, by theme; all others (the shades of a matrix) stay as they are."""

TEXT_REM = 0.875
"""Size of all text of a page, `--text` of its style sheet: figures are scaled so that theirs is as large."""

POINTS_PER_INCH = 72

_ELEMENTS = {"svg", "g", "path", "use", "text", "tspan", "defs", "clipPath", "rect", "pattern", "title"}
_ATTRIBUTES = {"d", "x", "y", "width", "height", "transform", "viewBox", "patternUnits", "clip-path"}
_PRESENTATION = {
    "fill",
    "stroke",
    "stroke-width",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linecap",
    "stroke-linejoin",
    "opacity",
    "fill-opacity",
    "stroke-opacity",
    "text-anchor",
    "font-size",
    "font-weight",
}
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def panel_svg(panel: Panel, prefix: str) -> str:
    """Return a panel as an SVG element.

    Every colour of the style becomes a variable of the page, every declaration a presentation attribute, so that a
    policy without inline styles holds. A mark has class `mark` and its words as its title.

    Args:
        panel: What to draw.
        prefix: Makes ids unique in the page.
    """
    with style.in_style(text_as_text=True), warnings.catch_warnings():
        figure, marks = panel_figure(panel)
        stream = io.BytesIO()
        warnings.simplefilter("ignore", UserWarning)  # a letter that the font lacks is set by the reader's own font
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ET.fromstring(stream.getvalue())  # noqa: S314 - matplotlib's own output
    used = _references(root)
    _rebuild(root, marks.texts, used, prefix)
    root.set("role", "img")
    root.set("aria-label", printable(panel.finding))
    root.set("focusable", "false")
    root.set("width", f"{panel.width * TEXT_REM / (style.FONT_POINTS / POINTS_PER_INCH):.2f}rem")
    root.attrib.pop("height", None)
    ET.register_namespace("", SVG)
    return ET.tostring(root, encoding="unicode").replace(f' xmlns="{SVG}"', "", 1)


def _references(root: ET.Element) -> set[str]:
    used = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == HREF:
                used.add(value.lstrip("#"))
            used.update(_REFERENCE.findall(value))
    return used


def _rebuild(element: ET.Element, texts: dict[str, str], used: set[str], prefix: str) -> None:
    """Keep of an element and what is in it only what is known, in the page's terms."""
    name = element.get("id", "")
    kept = _attributes(element, used, prefix)
    if name in texts:
        kept["class"] = "mark"
    element.attrib.clear()
    element.attrib.update(kept)
    for child in list(element):
        kind = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
        if kind not in _ELEMENTS:
            element.remove(child)
            continue
        _rebuild(child, texts, used, prefix)
        is_empty_group = kind in {"g", "defs"} and len(child) == 0
        if is_empty_group:
            element.remove(child)
    element.text = _unless_blank(element.text)
    element.tail = _unless_blank(element.tail)
    if name in texts:
        title = ET.Element(f"{{{SVG}}}title")
        title.text = texts[name]
        element.insert(0, title)


def _unless_blank(text: str | None) -> str | None:
    return text if text is not None and text.strip() else None


def _attributes(element: ET.Element, used: set[str], prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in [*element.attrib.items(), *_declarations(element.get("style", ""))]:
        if key == HREF:
            found["href"] = f"#{prefix}{value.lstrip('#')}"
        elif key == "id" and value in used:
            found["id"] = prefix + value
        elif key in _PRESENTATION or key in _ATTRIBUTES:
            found[key] = _value(key, value, prefix)
    return found


def _declarations(text: str) -> list[tuple[str, str]]:
    found = []
    for declaration in text.split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip(), value.strip()
        if name == "font":  # a shorthand: "700 8px 'DejaVu Sans'"
            words = value.split()
            size = next((word for word in words if word.endswith("px")), "8px")
            found.append(("font-size", size))
            found += [("font-weight", word) for word in words[:1] if word in {"bold", "700", "600"}]
        elif name:
            found.append((name, value))
    return found


def _value(key: str, value: str, prefix: str) -> str:
    if key in {"fill", "stroke"} and value.lower() in THEMED:
        return f"var(--{THEMED[value.lower()]})"
    if key in {"d", "x", "y", "transform", "width", "height", "stroke-width"}:
        value = _NUMBER.sub(lambda found: f"{float(found[0]):.1f}", " ".join(value.split()))
    if key == "transform" and value.startswith("rotate(-0 "):
        return ""
    return _REFERENCE.sub(lambda found: f"url(#{prefix}{found[1]})", value)

"""Tables as LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.formatting import printable

if TYPE_CHECKING:
    from perfsuite.analysis.tables.table import Table


def render_latex(table: Table) -> str:
    """Return the table as a LaTeX `tabular` for the package booktabs; nothing in a name is read as a command."""
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        f"% {_latex(table.title)}",
        f"\\begin{{tabular}}{{{alignment}}}",
        "\\toprule",
        " & ".join(_latex(column.heading) for column in table.columns) + " \\\\",
        "\\midrule",
        *(" & ".join(_latex(column.show(row)) for column in table.columns) + " \\\\" for row in table.rows()),
        "\\bottomrule",
        "\\end{tabular}",
        *(f"% {_latex(note)}" for note in (*table.notes, *table.legend)),
    ]
    return "\n".join(lines) + "\n"


_LATEX = {
    "\\": "\\textbackslash{}",
    "{": "\\{",
    "}": "\\}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    # A row that begins with a bracket would give its own line break an argument.
    "[": "{[}",
    "]": "{]}",
    **{character: f"\\{character}" for character in "&%$#_"},
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))

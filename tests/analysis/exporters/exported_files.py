"""Result files that are exported: of cells, of names that are hostile, of several nights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from builders import make_content, make_entry, make_record, make_workload
from foreign_files import write_foreign

from perfsuite.analysis.exporters.exported_run import ExportedRun, read_run

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    'a "quoted" name',
    "two\nlines\r\nthree",
    "\x1b[2J\x9b\x7f control",
    "\x1b[2J\x9b\x00 control",
    "<script>alert(1)</script> & co",
    "=1+1",
    "back\\slash\\n",
    "é 名 \U0001f600 \u202e",
    "half \ud83d",
    " ",
    "../../etc/passwd",
    "same_bencher_ignore",
    "x" * 3000,
    "x" * 3000 + "y",
]


def cells(folder: Path, name: str = "cells.json", scale: float = 1.0) -> ExportedRun:
    """Write a step of 128 images in FP32 of 0.2 s and one with AMP of 0.1 s, times a scale."""
    entries = []
    for precision, phase, time_s in (("fp32", "train_step", 0.2), ("amp-fp16", "train_step", 0.1)):
        record = make_record(make_workload(precision=precision, phase=phase))
        entries.append(make_entry(record, [time_s * scale * factor for factor in (0.9, 1.0, 1.2)]))
    path = folder / name
    path.write_text(json.dumps(make_content(entries)))
    return read_run(path)


def hostile(folder: Path) -> ExportedRun:
    statistics = {"median": 0.5, "q1": 0.4, "q3": 0.6}
    return read_run(write_foreign(folder / "hostile.json", dict.fromkeys(HOSTILE, statistics)))

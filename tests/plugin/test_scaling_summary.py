"""What is shown after the last cell of a run that measured steps on several devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import make_pair, make_paired_entry
from scaling_builders import scaling_file
from simulated import changed

from perfsuite.plugin.summary import _render

if TYPE_CHECKING:
    from pathlib import Path


def test_the_table_of_several_devices_is_shown_and_named(tmp_path: Path) -> None:
    path = scaling_file(tmp_path / "run.json")
    text, table = _render(path, width=80, color=False)
    assert table == "scaling"
    assert text.startswith("Scaling over several devices, ddp, weak scaling, nccl")
    assert "perfsuite collect with -o table.csv" in " ".join(text.split())


def test_it_comes_after_pairs_and_before_claims(tmp_path: Path) -> None:
    path = scaling_file(tmp_path / "run.json")
    changed(path, lambda content: content["benchmarks"].append(make_paired_entry(make_pair())))
    text, table = _render(path, width=80, color=False)
    assert table == "interleaved"
    assert text.index("interleaved") < text.index("Scaling over several devices")


def test_a_run_of_which_no_cell_gave_a_result_says_so(tmp_path: Path) -> None:
    text, table = _render(scaling_file(tmp_path / "none.json", []), width=80, color=False)
    assert (text, table) == ("No benchmark produced a result.\n", "steps")

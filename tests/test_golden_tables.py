from __future__ import annotations

from typing import TYPE_CHECKING

from golden_tables import GOLDEN, outputs

if TYPE_CHECKING:
    from pathlib import Path


def test_no_value_of_the_committed_results_changes(tmp_path: Path) -> None:
    found = outputs(tmp_path)
    assert sorted(found) == sorted(path.name for path in GOLDEN.iterdir())
    changed = [name for name, text in found.items() if text != (GOLDEN / name).read_text()]
    assert not changed

from __future__ import annotations

from collections import Counter

from fuzz_data import KINDS, fuzz


def test_no_damaged_archive_image_result_or_checkpoint_gives_a_traceback() -> None:
    counts: Counter[str] = Counter()
    assert fuzz(480, counts=counts) == []
    assert {kind.rpartition(", ")[0] for kind in counts} == set(KINDS)
    assert sum(count for kind, count in counts.items() if kind.endswith("refused")) > 100  # mutants are damaged

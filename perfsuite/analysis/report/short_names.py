"""Names of benchmarks, as short as they can be without two of them being the same."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def short_names(fullnames: Iterable[str]) -> dict[str, str]:
    """Return for each of pytest's names its shortest end that no other one has.

    The ends begin at the test, at its class, at the file without its folders; else the whole name is kept.
    """
    names = list(dict.fromkeys(fullnames))
    ends = {name: _ends(name) for name in names}
    counts = Counter(end for found in ends.values() for end in set(found))
    return {name: next((end for end in ends[name] if counts[end] == 1), name) for name in names}


def _ends(name: str) -> list[str]:
    """Return the ends of a name, the shortest first; what is in brackets is one part, whatever it holds."""
    path, bracket, parameters = name.partition("[")
    parts = path.split("::")
    ends = ["::".join(parts[index:]) for index in range(len(parts) - 1, 0, -1)]
    ends.append("::".join([parts[0].rpartition("/")[2], *parts[1:]]))
    return [f"{end}{bracket}{parameters}" for end in ends]

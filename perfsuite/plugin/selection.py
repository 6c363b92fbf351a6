"""Markers, and what runs without being asked for: never a full training."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ON_REQUEST = "full_training"
"""Cells with this marker run only if `-m` names it (or `long`, which they carry too) or a node id names them."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the suite's markers."""
    for line in (
        "step(phase): a phase of a training step: forward, backward or train_step",
        "speedup: FP32 and AMP of a training step in alternation, a paired ratio",
        "fidelity: harness overhead: a training step as reported compared with a bare loop of the same step",
        "input_pipeline: a step of full training against the step benchmark, and against the study's way of loading",
        "full_training: a full training to the accuracy target; runs only when asked for by name",
        "long: takes hours",
    ):
        config.addinivalue_line("markers", line)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect full trainings unless they are asked for, whatever else `-m` says."""
    named = set(re.findall(r"\w+", config.option.markexpr or ""))
    if named & {ON_REQUEST, "long"}:
        return
    deselected = [item for item in items if item.get_closest_marker(ON_REQUEST) and not _named_by_id(config, item)]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if item not in deselected]


def _named_by_id(config: pytest.Config, item: pytest.Item) -> bool:
    """Whether a node id among the arguments is the item's, or that of the function or class it stems from."""
    inside = item.nodeid.partition("::")[2]
    for argument in config.args:
        file, _, wanted = argument.partition("::")
        if wanted and _same_file(config.invocation_params.dir / file, item.path):
            rest = inside.removeprefix(wanted)
            if rest != inside and (not rest or rest.startswith(("[", "::"))):
                return True
    return False


def _same_file(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()

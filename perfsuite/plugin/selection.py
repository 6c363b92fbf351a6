"""Markers, and what runs without being asked for: the step benchmarks alone."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ON_REQUEST = "full_training"
"""Cells with this marker run only if `-m` names it (or `long`, which they carry too) or a node id names them."""

NOT_PLAIN = ("inference", "interleaved", "switches", "overhead", "input_pipeline", "numerics", "scaling")
"""Markers whose cells run only if there is a `-m`, if a word of `-k` is in their name, or if their file is named."""

_LEFT_OUT = pytest.StashKey[tuple[str, ...]]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the suite's markers."""
    for line in (
        "step(phase): a phase of a training step: forward, backward or train_step; a plain run measures these",
        "inference: a network in eval mode: latency, throughput, memory",
        "interleaved: FP32 and AMP of a training step interleaved, a paired ratio",
        "switches: channels_last, AMP, torch.compile and CUDA graphs, singly and together, each against the eager step",
        "overhead: harness overhead: a training step as reported compared with a bare loop of the same step",
        "input_pipeline: a step of full training against the step benchmark, and against the thesis's way of loading",
        "numerics: why mixed precision works: number formats, lost updates, loss scaling, accumulation, measured",
        "scaling: a training step on 1, 2, 4, ... devices: cost of sharing the machine and of exchanging gradients",
        "full_training: a full training to the accuracy target; runs only when asked for by name",
        "long: takes hours",
    ):
        config.addinivalue_line("markers", line)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is not asked for.

    Raises:
        pytest.UsageError: There is nothing else.
    """
    wanted, deselected = [], []
    for item in items:
        if _is_wanted_training(config, item) and _is_wanted_by_marker(config, item):
            wanted.append(item)
        else:
            deselected.append(item)
    if not deselected:
        return
    found = {marker.name for item in deselected for marker in item.iter_markers()}
    names = tuple(name for name in (*NOT_PLAIN, ON_REQUEST) if name in found)
    if not wanted:
        raise pytest.UsageError(_only_on_request(config, names))
    config.stash[_LEFT_OUT] = names
    config.hook.pytest_deselected(items=deselected)
    items[:] = wanted


def is_training(item: pytest.Item) -> bool:
    """Whether a test is a full training."""
    return item.get_closest_marker(ON_REQUEST) is not None


def _only_on_request(config: pytest.Config, names: tuple[str, ...]) -> str:
    where = shlex.join(map(str, config.args))
    what = "full trainings, which take hours and" if names == (ON_REQUEST,) else f"{', '.join(names)}, which"
    return f"{where}: contains {what} run only on request: pytest {where} -m {shlex.quote(' or '.join(names))}"


def left_out(config: pytest.Config) -> tuple[str, ...]:
    """Return the markers of what was deselected because nothing asked for it."""
    return config.stash.get(_LEFT_OUT, ())


def _is_wanted_training(config: pytest.Config, item: pytest.Item) -> bool:
    """Whether an item is no full training, or one that is asked for, whatever else `-m` says."""
    if not item.get_closest_marker(ON_REQUEST):
        return True
    named = set(re.findall(r"\w+", config.option.markexpr or ""))
    return bool(named & {ON_REQUEST, "long"}) or _named_by_id(config, item)


def _is_wanted_by_marker(config: pytest.Config, item: pytest.Item) -> bool:
    """Whether an item is one that a plain run measures, or one that is asked for."""
    if config.option.markexpr or not any(map(item.get_closest_marker, NOT_PLAIN)):
        return True
    words = re.findall(r"\w+", config.option.keyword.lower())
    name = item.name.lower().partition("[")[0]
    return any(word in name for word in words) or _named_by_file(config, item)


def _named_by_file(config: pytest.Config, item: pytest.Item) -> bool:
    """Whether an argument is the item's file, or something in it."""
    folder = config.invocation_params.dir
    return any(_same_file(folder / argument.partition("::")[0], item.path) for argument in config.args)


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

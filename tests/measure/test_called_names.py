"""Every name of `torch.cuda`, `torch.backends`, `torch.amp` and `pynvml` that is used exists, with these arguments.

Checked against what is installed, without a GPU: `tox -e tests-torch26` and so on check the other versions of torch.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml
import pytest
import torch

PACKAGE = Path(__file__).parents[2] / "perfsuite"
WATCHED = ("torch.cuda.", "torch.backends.", "torch.amp.", "torch.profiler.", "torch.random.", "pynvml.")

NOT_IN_EVERY_NVML = {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"}
"""Asked for one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A name as it is used somewhere.

    Attributes:
        name: With its modules.
        where: File and line.
        num_positional: Arguments by position; None where it is not called, or with `*`.
        keywords: Arguments by name.
    """

    name: str
    where: str
    num_positional: int | None = None
    keywords: tuple[str, ...] = ()


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return node.id if isinstance(node, ast.Name) else ""


def is_open_ended(call: ast.Call) -> bool:
    return any(isinstance(argument, ast.Starred) for argument in call.args) or any(
        keyword.arg is None for keyword in call.keywords
    )


def uses_in(source: str, where: str) -> list[Use]:
    """Return the longest watched names in a source, each with the arguments of its calls."""
    found: list[Use] = []

    def visit(node: ast.AST, call: ast.Call | None = None) -> None:
        name = re.sub(r"^library\.(?=nvml|NVML)", "pynvml.", dotted(node))
        if name.startswith(WATCHED):
            place = f"{where}:{getattr(node, 'lineno', 0)}"
            if call is None or is_open_ended(call):
                found.append(Use(name=name, where=place))
            else:
                keywords = tuple(keyword.arg for keyword in call.keywords if keyword.arg is not None)
                found.append(Use(name=name, where=place, num_positional=len(call.args), keywords=keywords))
            return
        for child in ast.iter_child_nodes(node):
            visit(child, node if isinstance(node, ast.Call) and child is node.func else None)

    visit(ast.parse(source))
    return found


@functools.cache
def all_uses() -> tuple[Use, ...]:
    files = sorted(PACKAGE.rglob("*.py"))
    return tuple(
        use
        for path in files
        for use in uses_in(path.read_text(encoding="utf-8"), str(path.relative_to(PACKAGE.parent)))
    )


def problem_with(use: Use) -> str | None:
    """Return what is wrong with a use, or None."""
    found: Any = {"torch": torch, "pynvml": pynvml}[use.name.partition(".")[0]]
    for part in use.name.split(".")[1:]:
        if not hasattr(found, part):
            return f"{use.where}: {use.name} does not exist"
        found = getattr(found, part)
    if use.num_positional is None or not callable(found):
        return None
    try:
        signature = inspect.signature(found)
    except ValueError:  # in C, without one
        return None
    try:
        signature.bind(*range(use.num_positional), **dict.fromkeys(use.keywords))
    except TypeError as error:
        return f"{use.where}: {use.name}: {error}"
    return None


def test_every_name_of_torch_and_nvml_that_is_used_exists_and_takes_these_arguments() -> None:
    uses = all_uses()
    names = {use.name for use in uses}
    assert {"torch.cuda.synchronize", "torch.cuda.mem_get_info", "torch.backends.cudnn.deterministic"} <= names
    assert "torch.amp.GradScaler" in names
    assert [problem for use in uses if (problem := problem_with(use)) is not None] == []


def test_every_question_to_nvml_is_one_that_its_library_knows() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))]
    names = {name for text in texts for name in re.findall(r"[\"'](nvml[A-Z]\w+|NVML_\w+)[\"']", text)}
    assert "nvmlDeviceGetPowerUsage" in names
    missing = {name for name in names if not hasattr(pynvml, name)} - NOT_IN_EVERY_NVML
    assert not missing
    assert any(hasattr(pynvml, name) for name in NOT_IN_EVERY_NVML)


@pytest.mark.parametrize(
    "source",
    [
        "torch.cuda.synchronise(device)",
        "torch.cuda.synchronize(device, 1)",
        "torch.cuda.mem_get_info(gpu=device)",
        "torch.backends.cudnn.is_deterministic",
        "library.nvmlDeviceGetPowerDraw(handle)",
        "library.nvmlDeviceGetTotalEnergyConsumption()",
    ],
)
def test_a_name_or_an_argument_that_does_not_exist_is_found(source: str) -> None:
    (use,) = uses_in(source, "x.py")
    assert problem_with(use) is not None

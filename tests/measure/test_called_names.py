"""Every name of `torch.cuda`, `torch.backends`, `torch.amp` and `pynvml` that is used exists, with these arguments.

Checked without a GPU against what is installed, and against `tests/signatures.json`, which `tests/read_signatures.py`
has read from the sources of every version of torch in tox.ini, and of four of nvidia-ml-py. Names written as a text, as
`getattr(owner, "fp32_precision")` does, are not seen: code asks whether those exist.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml
import pytest
import torch
from read_signatures import TABLE as SIGNATURES
from read_signatures import read_signatures

PACKAGE = Path(__file__).parents[2] / "perfsuite"
WATCHED = ("torch.cuda.", "torch.backends.", "torch.amp.", "torch.profiler.", "torch.random.", "pynvml.")

TOX = PACKAGE.parent / "tox.ini"
TABLE: dict[str, dict[str, str | None]] = json.loads(SIGNATURES.read_text(encoding="utf-8"))

NOT_IN_EVERY_NVML = {
    "pynvml.nvmlDeviceGetCurrentClocksEventReasons",
    "pynvml.nvmlDeviceGetCurrentClocksThrottleReasons",
    "pynvml.nvmlDeviceGetComputeRunningProcesses_v2",  # then the one without a version
}
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


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Return what `from torch.x import y` calls `y`, with its modules."""
    return {
        one.asname or one.name: f"{node.module}.{one.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in {"torch", "pynvml"}
        for one in node.names
    }


def uses_in(source: str, where: str) -> list[Use]:
    """Return the longest watched names in a source, each with the arguments of its calls."""
    found: list[Use] = []
    tree = ast.parse(source)
    imported = imported_names(tree)
    found += [Use(name=name, where=where) for name in imported.values() if name.startswith(WATCHED)]

    def visit(node: ast.AST, call: ast.Call | None = None) -> None:
        first, dot, rest = dotted(node).partition(".")
        name = re.sub(r"^library\.(?=nvml|NVML)", "pynvml.", imported.get(first, first) + dot + rest)
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

    visit(tree)
    return found


@functools.cache
def all_uses() -> tuple[Use, ...]:
    files = sorted(PACKAGE.rglob("*.py"))
    return tuple(
        use
        for path in files
        for use in uses_in(path.read_text(encoding="utf-8"), str(path.relative_to(PACKAGE.parent)))
    )


def torch_uses() -> list[Use]:
    return [use for use in all_uses() if use.name.startswith("torch.")]


def questions_to_nvml() -> set[str]:
    """Return the names of NVML that are written as a text, as `ask` takes them, with their module."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))]
    return {f"pynvml.{name}" for text in texts for name in re.findall(r"[\"'](nvml[A-Z]\w+|NVML_\w+)[\"']", text)}


def signature_of(arguments: str) -> inspect.Signature:
    """Return the signature that a text of the table says."""
    (function,) = ast.parse(f"def f({arguments}): ...").body
    assert isinstance(function, ast.FunctionDef)
    found = function.args
    plain = [*found.posonlyargs, *found.args]
    first_default = len(plain) - len(found.defaults)

    def parameter(argument: ast.arg, kind: Any, *, has_default: bool = False) -> inspect.Parameter:
        return inspect.Parameter(argument.arg, kind, default=None if has_default else inspect.Parameter.empty)

    kinds = inspect._ParameterKind
    parameters = [
        parameter(
            one,
            kinds.POSITIONAL_ONLY if number < len(found.posonlyargs) else kinds.POSITIONAL_OR_KEYWORD,
            has_default=number >= first_default,
        )
        for number, one in enumerate(plain)
    ]
    parameters += [parameter(found.vararg, kinds.VAR_POSITIONAL)] if found.vararg else []
    parameters += [
        parameter(one, kinds.KEYWORD_ONLY, has_default=default is not None)
        for one, default in zip(found.kwonlyargs, found.kw_defaults, strict=True)
    ]
    parameters += [parameter(found.kwarg, kinds.VAR_KEYWORD)] if found.kwarg else []
    return inspect.Signature(parameters)


def problem_in_table(use: Use, names: dict[str, str | None]) -> str | None:
    """Return what is wrong with a use by the names of a version and their arguments, or None."""
    if use.name not in names:
        return f"{use.where}: {use.name} does not exist"
    arguments = names[use.name]
    if use.num_positional is None or arguments is None:
        return None
    try:
        signature_of(arguments).bind(*range(use.num_positional), **dict.fromkeys(use.keywords))
    except TypeError as error:
        return f"{use.where}: {use.name}: {error}"
    return None


def problem_with(use: Use) -> str | None:
    """Return what is wrong with a use in what is installed, or None."""
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


def versions_of(package: str) -> list[str]:
    return [name for name in TABLE if name.startswith(f"{package} ")]


@pytest.mark.parametrize("version", versions_of("torch"))
def test_every_name_that_is_used_exists_in_every_torch_of_tox_and_takes_these_arguments(version: str) -> None:
    assert [problem for use in torch_uses() if (problem := problem_in_table(use, TABLE[version])) is not None] == []


def test_the_table_has_every_torch_of_tox_and_nothing_that_was_not_read() -> None:
    tox = TOX.read_text(encoding="utf-8")
    wanted = set(re.findall(r"\btorch==(\d+\.\d+)[.\d*]*", tox))
    assert {".".join(version.split()[1].split(".")[:2]) for version in versions_of("torch")} == wanted
    assert len(wanted) >= 10
    installed = torch.__version__.partition("+")[0]
    if f"torch {installed}" in TABLE:
        read = read_signatures(Path(torch.__file__).parents[1], {use.name for use in torch_uses()})
        assert read == TABLE[f"torch {installed}"]


@pytest.mark.parametrize("version", versions_of("nvidia-ml-py"))
def test_every_question_to_nvml_is_one_that_every_version_of_its_library_knows(version: str) -> None:
    missing = questions_to_nvml() - set(TABLE[version])
    assert missing <= NOT_IN_EVERY_NVML


def test_every_question_to_nvml_is_one_that_the_installed_library_knows() -> None:
    names = {name.removeprefix("pynvml.") for name in questions_to_nvml()}
    assert "nvmlDeviceGetPowerUsage" in names
    assert len(names) > 25
    missing = {f"pynvml.{name}" for name in names if not hasattr(pynvml, name)} - NOT_IN_EVERY_NVML
    assert not missing
    assert any(hasattr(pynvml, f"nvmlDeviceGetCurrentClocks{name}Reasons") for name in ("Event", "Throttle"))
    assert hasattr(pynvml, "nvmlDeviceGetComputeRunningProcesses")


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
    assert use.name.startswith("pynvml.") or problem_in_table(use, TABLE[versions_of("torch")[0]]) is not None


def test_a_name_that_was_imported_from_its_module_is_seen_too() -> None:
    source = "from torch.profiler import profile as take\ntake(nonsense=1)"
    named, called = uses_in(source, "x.py")
    assert named.name == called.name == "torch.profiler.profile"
    assert problem_with(called) is not None
    assert problem_in_table(called, TABLE[versions_of("torch")[0]]) is not None

"""Every name of `torch.cuda`, `torch.backends`, `torch.amp` and `pynvml` that is used exists, with these arguments.

Checked without a GPU against what is installed, and against `tests/signatures.json`, which `tests/read_signatures.py`
has read from the sources of every version of torch in tox.ini, and of four of nvidia-ml-py. Names written as a text, as
`getattr(owner, "fp32_precision")` does, are not seen: code asks whether those exist.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pynvml
import pytest
import torch
from called_names import Use, all_uses, questions_to_nvml, torch_uses, uses_in
from read_signatures import TABLE as SIGNATURES
from read_signatures import read_signatures

TOX = Path(__file__).parents[2] / "tox.ini"
TABLE: dict[str, dict[str, str | None]] = json.loads(SIGNATURES.read_text(encoding="utf-8"))

NOT_IN_EVERY_NVML = {
    "pynvml.nvmlDeviceGetCurrentClocksEventReasons",
    "pynvml.nvmlDeviceGetCurrentClocksThrottleReasons",
    "pynvml.nvmlDeviceGetComputeRunningProcesses_v2",  # then the one without a version
}
"""Asked for one after the other."""


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

"""No code leaves a global mode of torch switched on: setters are called where a `finally` puts back what was set."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from called_names import dotted

REPOSITORY = Path(__file__).parents[1]

SETTERS_WITHOUT_A_PREFIX = {"torch.use_deterministic_algorithms"}

NOT_MODES = {
    "torch.set_rng_state",  # a state that a resumed training goes on from
    "torch.cuda.set_rng_state",
    "torch.cuda.set_device",  # the GPU that is measured, chosen once for the whole process
    "torch.set_grad_enabled",  # restores by itself, used with `with`
}


def is_setter(node: ast.AST) -> bool:
    """Whether a node calls one of torch's global setters, or assigns to a flag in `torch.backends`."""
    if isinstance(node, ast.Call):
        name = dotted(node.func)
        is_named_so = name.startswith("torch.") and name.rpartition(".")[2].startswith("set_")
        return (is_named_so and name not in NOT_MODES) or name in SETTERS_WITHOUT_A_PREFIX
    if isinstance(node, ast.Assign):
        targets = [part for target in node.targets for part in getattr(target, "elts", [target])]
        return any(dotted(target).startswith("torch.backends.") for target in targets)
    return False


def unguarded_setters(source: str) -> list[int]:
    """Return the lines that set a global mode outside of a `try` with a `finally`."""
    found: list[int] = []

    def visit(node: ast.AST, *, is_guarded: bool) -> None:
        if is_setter(node) and not is_guarded:
            found.append(getattr(node, "lineno", 0))
        for child in ast.iter_child_nodes(node):
            # A function that is defined in a `try` may be called after it.
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            in_try = isinstance(node, ast.Try) and bool(node.finalbody)
            visit(child, is_guarded=not is_function and (is_guarded or in_try))

    visit(ast.parse(source), is_guarded=False)
    return found


def python_files() -> list[Path]:
    """Return the Python files of package and tests that belong to the repository."""
    return sorted(
        path for folder in ("perfsuite", "tests", "benchmarks") for path in (REPOSITORY / folder).rglob("*.py")
    )


@pytest.mark.no_cover
def test_torch_s_global_modes_are_set_only_where_a_finally_puts_them_back() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}"
        for path in python_files()
        for line in unguarded_setters(path.read_text(encoding="utf-8"))
    ]
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "torch.cuda.set_sync_debug_mode('error')\ntry:\n    run()\nfinally:\n    torch.cuda.set_sync_debug_mode(0)",
        "torch.backends.cudnn.benchmark = True",
        "a, torch.backends.cudnn.benchmark = 1, True",
        "torch.use_deterministic_algorithms(True)",
        "try:\n    torch.set_num_threads(1)\nexcept OSError:\n    pass",
        "try:\n    def f():\n        torch.set_num_threads(1)\nfinally:\n    g()",
    ],
)
def test_a_setter_outside_is_found(source: str) -> None:
    assert unguarded_setters(source)


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    with ignored():\n        torch.cuda.set_sync_debug_mode(2)\n    yield\nfinally:\n    torch.set_x(0)",
        "monkeypatch.setattr(torch.backends.cudnn, 'benchmark', True)",
        "torch.set_rng_state(state)",
        "before = torch.backends.cudnn.benchmark",
    ],
)
def test_what_is_put_back_is_left_alone(source: str) -> None:
    assert unguarded_setters(source) == []

"""Which names of `torch` and `pynvml` the code of perfsuite uses, and with which arguments."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "perfsuite"
WATCHED = ("torch.cuda.", "torch.backends.", "torch.amp.", "torch.profiler.", "torch.random.", "pynvml.")


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
    """Return `torch.cuda.set_device` for such an expression, an empty text for any other."""
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

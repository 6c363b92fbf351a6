"""Reads which names of torch and pynvml exist, and which arguments they take, from their sources, imported by nobody.

`python tests/read_signatures.py FOLDER...` writes `tests/signatures.json`. A folder is an unpacked wheel: of torch any
platform's will do, since these are its Python sources; one for macOS is 70 to 140 MB, from
`pip download --no-deps --only-binary=:all: --platform macosx_14_0_arm64 --python-version 3.11 torch==2.14.*`.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import TypeAlias

TABLE = Path(__file__).with_name("signatures.json")

Signatures: TypeAlias = dict[str, str | None]
"""Arguments by name, defaults left out of account: `device=None, *, step=None`; None: not called, or in C."""


def read_signatures(folder: Path, names: set[str]) -> Signatures:
    """Return those of the names that exist in the sources in a folder, with their arguments."""
    found: Signatures = {}
    for name in sorted(names):
        node = _find(folder, name.split("."))
        if node is not None:
            found[name] = _arguments(node)
    return found


def _find(folder: Path, parts: list[str], followed: tuple[list[str], ...] = ()) -> ast.AST | None:
    """Return the node that defines a name, imports followed; None where nothing does."""
    if parts in followed:  # a module that imports from itself
        return None
    for num in range(len(parts), 0, -1):
        path = folder.joinpath(*parts[:num])
        for file in (path / "__init__.py", path.with_suffix(".py"), path / "__init__.pyi", path.with_suffix(".pyi")):
            if file.is_file():
                if num == len(parts):
                    return ast.Module(body=[], type_ignores=[])
                return _find_within(folder, file, parts, num, (*followed, parts))
    return None


def _find_within(
    folder: Path, file: Path, parts: list[str], num: int, followed: tuple[list[str], ...]
) -> ast.AST | None:
    module, rest = parts[:num], parts[num:]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == rest[0] and len(rest) == 1:
            return node
        if isinstance(node, ast.ClassDef) and node.name == rest[0]:
            return next((one for one in node.body if rest[1] in _assigned(one)), None)
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        originals = [one.name for one in node.names if (one.asname or one.name) in {rest[0], "*"}]
        for original in originals:
            package = module if file.stem == "__init__" else module[:-1]
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = node.module.split(".") if node.module else []
            name = rest[0] if original == "*" else original
            found = _find(folder, [*base, *origin, name, *rest[1:]], followed)
            if found is not None:
                return found
    # A flag: torch replaces some of its modules by an object whose class has them.
    for node in ast.walk(tree):
        if rest[0] in _assigned(node):
            return node
    return None


def _assigned(node: ast.AST) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _arguments(node: ast.AST) -> str | None:
    if isinstance(node, ast.ClassDef):
        makers = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name in {"__new__", "__init__"}]
        return _without_first(makers[0].args) if makers else None
    return _plain(node.args) if isinstance(node, ast.FunctionDef) else None


def _without_first(arguments: ast.arguments) -> str:
    (arguments.posonlyargs or arguments.args).pop(0)
    return _plain(arguments)


def _plain(arguments: ast.arguments) -> str:
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [None if default is None else ast.Constant(None) for default in arguments.kw_defaults]
    return ast.unparse(arguments)


def _main(folders: list[Path]) -> None:
    from called_names import questions_to_nvml, torch_uses

    table: dict[str, dict[str, object]] = {}
    for folder in folders:
        (info,) = folder.glob("*.dist-info/METADATA")
        lines = info.read_text(encoding="utf-8").splitlines()
        package, version = (
            next(line.removeprefix(key) for line in lines if line.startswith(key)) for key in ("Name: ", "Version: ")
        )
        names = {use.name for use in torch_uses()} if package == "torch" else questions_to_nvml()
        table[f"{package} {version}"] = dict(read_signatures(folder, names))
    TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    _main([Path(argument) for argument in sys.argv[1:]])

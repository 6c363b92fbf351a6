"""A recipe as a TOML file, as `--perf-recipe` takes it."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import DataError, ResultFileError
from perfsuite.recipes import RECIPES
from perfsuite.records.study import chosen_recipe, chosen_trial, final_error
from perfsuite.small_files import read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.records.study import Study
    from perfsuite.records.workload import Recipe

MARK = "# A recipe that perfsuite tune wrote."


def recipe_toml(recipe: Recipe, comments: Sequence[str]) -> str:
    """Return a recipe as TOML; `read_recipe` gives it back, its name that of the file.

    Args:
        recipe: What.
        comments: Where it comes from, a line each.
    """
    lines = [MARK, *(f"# {comment}" for comment in comments)]
    for name, value in dataclasses.asdict(recipe).items():
        if value is not None and name != "name":
            # A text in JSON, and a number as Python writes it, are both TOML; the shortest digits that give it back.
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def recipe_paths(output: Path, precisions: Sequence[str]) -> dict[str, Path]:
    """Return the file of each precision: the one that was named, or of several one each, `tuned-fp32.toml`."""
    if len(precisions) == 1:
        return {precisions[0]: output}
    return {name: output.with_name(f"{output.stem}-{name}{output.suffix}") for name in precisions}


def check_recipe_paths(paths: Sequence[Path]) -> None:
    """Check before the search that the files can be written, and are nobody else's.

    Raises:
        DataError: One cannot be.
    """
    for path in paths:
        if path.suffix != ".toml" or path.stem in RECIPES:
            taken = " or ".join(f"{name}.toml" for name in RECIPES)
            raise DataError(f"-o {path}: a recipe is written to a file named .toml, but not {taken}")
        if not os.path.isdir(path.parent):  # noqa: PTH112 - no error for a path that is too long
            raise DataError(f"-o {path}: no such folder")
        if os.path.lexists(path) and not _is_own(path):
            raise DataError(f"-o {path}: exists, and perfsuite tune did not write it; name another file")


def _is_own(path: Path) -> bool:
    try:
        read_toml(path)
        return path.read_text(encoding="utf-8").startswith(MARK)
    except (ResultFileError, OSError, ValueError):
        return False


def write_recipe(path: Path, text: str) -> bool:
    """Write a recipe; whether it was not there already.

    Raises:
        DataError: Another one is there, or it cannot be written.
    """
    try:
        if path.exists():
            if path.read_text(encoding="utf-8") == text:
                return False
            raise DataError(f"-o {path}: exists with another recipe; name another file, or remove it")
        write_atomically(path, text)
    except (OSError, ValueError) as error:
        raise DataError(f"-o {path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
    return True


def write_chosen(study: Study, precision: str, path: Path) -> bool:
    """Write the recipe that was chosen for a precision; whether it was not there already.

    Raises:
        DataError: Nothing was chosen, another recipe is there, or it cannot be written.
    """
    trial, recipe = chosen_trial(study, precision), chosen_recipe(study, precision)
    if trial is None or recipe is None:
        raise DataError(f"-o {path}: no recipe for {precision}: no trial finished")
    error = f"{study.score if study.score == 'loss' else 'error'} {final_error(study, trial, precision):.4f}"
    comments = [
        f"Chosen for {precision} of {study.model}: trial {trial.number} of {len(study.trials)}, with the smallest",
        f"validation {error} ({study.num_validation} images); sampler {study.sampler}, pruner {study.pruner},",
        f"seed {study.seed}. All else is that of the recipe {json.dumps(study.recipe.name)}.",
        f"Images to train and validate on: {study.data_sha256[:16]}.",
    ]
    return write_recipe(path, recipe_toml(recipe, comments))

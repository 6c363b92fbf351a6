"""Result files as options name them: a folder stands for the files in it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.load.json_file import COMPRESSED
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_RESULTS = ("campaign.json", "fleet.json", "noise.json", "finished.json")
"""Files of perfsuite's own that are not results: states of A/B runs and fleets, noise floors, a finished training."""


class ResultFiles(argparse.Action):
    """Keeps the paths of result files, those of a folder in the order of their names."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the paths.

        Raises:
            ResultFileError: A folder without result files.
        """
        del parser, option_string
        given = [Path(value) for value in values or ()]
        setattr(namespace, self.dest, [path for one in given for path in _files_of(one)])


def _files_of(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        # pytest-benchmark keeps its files in a folder for each machine, as a history does.
        found = _results_in(path, "") or _results_in(path, "*/")
    except (OSError, ValueError):  # reading it says what is wrong
        return [path]
    if not found:
        raise ResultFileError(
            f"{path}: no result files (.json, .json.gz) in this folder; name a file, or another folder"
        )
    return found


def _results_in(folder: Path, below: str) -> list[Path]:
    files = sorted([*folder.glob(f"{below}*.json"), *folder.glob(f"{below}*.json{COMPRESSED}")])
    return [path for path in files if path.name not in NOT_RESULTS and not path.name.endswith(".part.json")]

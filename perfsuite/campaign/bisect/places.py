"""Where a revision is measured: a checkout of a commit, or an environment."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from perfsuite.campaign.bisect.folder import WORKTREES
from perfsuite.campaign.bisect.git_history import add_worktree, make_repository, remove_worktree
from perfsuite.campaign.bisect.search import NotMeasurableError
from perfsuite.campaign.process_log import complaint
from perfsuite.campaign.run import run_to_end
from perfsuite.child_process import ended_in_words
from perfsuite.errors import CampaignError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from perfsuite.campaign.bisect.git_history import Source
    from perfsuite.campaign.bisect.revisions import Revision

READY = "ready"
"""Ending of an empty file next to a checkout that is whole and set up."""

BARRIER = "[pytest]\n# Keeps the settings of folders above out of checkouts that have none of their own.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and how pytest runs.

    Attributes:
        python: Path of the interpreter.
        folder: Where it runs.
        variables: Environment variables that are set for it.
        arguments: Of pytest, before the user's.
    """

    python: str
    folder: Path
    variables: dict[str, str]
    arguments: tuple[str, ...] = ()


class Places(Protocol):
    """Of all revisions."""

    def prepare(self, revision: Revision, lock: int, tell: Callable[[str], None]) -> Place:
        """Return where to measure a revision; `NotMeasurableError` where it cannot be made ready."""

    def keep_only(self, revisions: Iterable[Revision]) -> None:
        """Delete what is made for other revisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentPlaces:
    """The same checkout in several environments.

    Attributes:
        pythons: Interpreters by the name of the revision.
        folder: The checkout.
        variables: Environment variables that are set.
    """

    pythons: dict[str, str]
    folder: Path
    variables: dict[str, str]

    def prepare(self, revision: Revision, lock: int, tell: Callable[[str], None]) -> Place:
        """Return where to measure an environment."""
        del lock, tell  # nothing is to be made
        return Place(python=self.pythons[revision.name], folder=self.folder, variables=self.variables)

    def keep_only(self, revisions: Iterable[Revision]) -> None:
        """Delete nothing: nothing is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPlaces:
    """A checkout of each commit, in the folder of the run.

    Attributes:
        source: The user's repository.
        run_folder: Of the run.
        python: The interpreter.
        variables: Environment variables that are set.
        setup: Run by the shell in every checkout before it is measured, or None.
    """

    source: Source
    run_folder: Path
    python: str
    variables: dict[str, str]
    setup: str | None

    def prepare(self, revision: Revision, lock: int, tell: Callable[[str], None]) -> Place:
        """Check a commit out and set it up, if that is not done.

        Raises:
            NotMeasurableError: The setup failed.
            CampaignError: Git failed, or the folder cannot be written.
        """
        try:
            return self._prepare(revision, lock, tell)
        except OSError as error:
            raise CampaignError(f"{self.run_folder}: cannot be used: {error.strerror}") from None

    def _prepare(self, revision: Revision, lock: int, tell: Callable[[str], None]) -> Place:
        repository, folder = self._repository(revision.name), self._folder(revision)
        ready = folder.with_suffix(f".{READY}")
        if not ready.exists():
            tell("checking out")
            add_worktree(repository, folder, revision.name)
        # Packages of the checkout come before those that are installed, also where these are links into another one.
        paths = [str(folder)]
        if (folder / "src").is_dir():
            paths.insert(0, str(folder / "src"))
        before = self.variables.get("PYTHONPATH", os.environ.get("PYTHONPATH"))
        if before:
            paths.append(before)
        variables = {**self.variables, "PYTHONPATH": os.pathsep.join(paths)}
        if not ready.exists():
            if self.setup is not None:
                self._set_up(revision, folder, variables, lock, tell)
            ready.touch()
        return Place(
            python=self.python,
            folder=folder,
            variables=variables,
            arguments=(f"--rootdir={folder}", f"--confcutdir={folder}"),
        )

    def _set_up(
        self, revision: Revision, folder: Path, variables: dict[str, str], lock: int, tell: Callable[[str], None]
    ) -> None:
        shell = ["cmd", "/c"] if sys.platform == "win32" else ["/bin/sh", "-c"]
        log = self.run_folder / f"setup-{revision.key}.log"
        with log.open("wb") as output:
            status = run_to_end(
                [*shell, str(self.setup)],
                folder=folder,
                variables=variables,
                output=output,
                lock=lock,
                tell=lambda: tell("setup"),
            )
        if status:
            raise NotMeasurableError(f"the setup {ended_in_words(status)}: {complaint(log)}; see {log.name}")

    def keep_only(self, revisions: Iterable[Revision]) -> None:
        """Delete the checkouts of other commits."""
        kept = {self._folder(revision).name for revision in revisions}
        for ready in (self.run_folder / WORKTREES).glob(f"*.{READY}"):
            if ready.stem not in kept:
                ready.unlink()
                remove_worktree(self.run_folder / WORKTREES / REPOSITORY, ready.with_suffix(""))

    def _folder(self, revision: Revision) -> Path:
        return self.run_folder / WORKTREES / revision.key

    def _repository(self, head: str) -> Path:
        """Return the repository of the checkouts; with its mark missing, nothing next to it is whole."""
        folder = self.run_folder / WORKTREES
        repository, mark = folder / REPOSITORY, folder / "pytest.ini"
        if not mark.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make_repository(self.source, repository, head)
            mark.write_text(BARRIER, encoding="utf-8")
        return repository


REPOSITORY = "repository"

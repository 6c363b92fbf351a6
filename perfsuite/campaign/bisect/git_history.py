"""The commits between two revisions, bisected by git itself; nothing in the user's repository is written.

Git's objects are read from there by repositories of the run's own (`objects/info/alternates`): one has the worktrees,
one the state of `git bisect`, which is made again from the verdicts whenever the search is resumed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.campaign.bisect.revisions import Revision
from perfsuite.errors import CampaignError
from perfsuite.formatting import first_line

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.campaign.bisect.revisions import Verdict

TIMEOUT_S = 600.0
"""Of one command of git; a checkout of a large repository on a network drive takes minutes."""

KEY_LENGTH = 10
"""Digits of a commit that name its files, as git abbreviates commits of large repositories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The user's repository.

    Attributes:
        folder: Its root, or itself where it is bare.
        common: Where its objects are.
        object_format: `sha1` or `sha256`.
        is_shallow: Whether its history is cut off.
    """

    folder: Path
    common: Path
    object_format: str
    is_shallow: bool


def run_git(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run git in a folder and wait for it.

    Raises:
        CampaignError: There is no git, or it complains; its first line is the reason.
    """
    # Variables such as GIT_DIR, which hooks set, would lead it elsewhere; messages are compared.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, and revisions that are known not to begin with a dash
            ["git", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", *arguments],  # noqa: S607 - the user's git
            cwd=folder,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            env=environment,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise CampaignError("bisect: there is no git on this machine; install it") from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise CampaignError(f"git {arguments[0]}: {str(error)[:200]}") from None
    if check and done.returncode:
        reason = first_line(done.stderr or done.stdout or "no message")
        raise CampaignError(f"git {arguments[0]}: {reason[:300]}")
    return done


def find_source(folder: Path) -> Source:
    """Return the repository that a folder is in.

    Raises:
        CampaignError: It is in none, or git cannot read it.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - a Path raises an error where the name is too long
        raise CampaignError(f"--repository {folder}: no such folder")
    asked = ("--git-common-dir", "--is-shallow-repository", "--show-object-format")
    done = run_git(folder, "rev-parse", *asked, check=False)
    if done.returncode:
        reason = first_line(done.stderr).removeprefix("fatal: ")
        raise CampaignError(f"--repository {folder}: {reason[:200]}; run the command in the repository, or name it")
    common, shallow, object_format = done.stdout.splitlines()
    top = run_git(folder, "rev-parse", "--show-toplevel", check=False)
    root = folder if top.returncode else folder / top.stdout.rstrip("\n")
    return Source(
        folder=root.resolve(),
        common=(folder / common).resolve(),
        object_format=object_format,
        is_shallow=shallow == "true",
    )


def resolve(source: Source, option: str, text: str) -> Revision:
    """Return the commit that a revision names.

    Raises:
        CampaignError: It names none.
    """
    found = None
    if text and not text.startswith("-") and "\0" not in text:
        done = run_git(source.folder, "rev-parse", "--verify", "--quiet", f"{text}^{{commit}}", check=False)
        found = done.stdout.strip() if done.returncode == 0 else None
    if not found:
        shallow = "; this clone is shallow: git fetch --unshallow" if source.is_shallow else ""
        raise CampaignError(f"{option} {text[:100]!r}: git knows no such commit{shallow}")
    return describe(source, found)


def describe(source: Source, commit: str) -> Revision:
    """Return a commit with what its message and its author say."""
    text = run_git(source.folder, "show", "--no-patch", "--format=%aI%n%s", commit).stdout
    date, _, subject = text.partition("\n")
    return Revision(name=commit, key=commit[:KEY_LENGTH], subject=first_line(subject.strip() or "-"), date=date)


def check_range(source: Source, good: Revision, bad: Revision) -> None:
    """Check that there is something to be bisected.

    Raises:
        CampaignError: Both are the same, or good is not an ancestor of bad.
    """
    if good.name == bad.name:
        raise CampaignError(f"--good and --bad are the same commit, {good.key}: name two")
    if run_git(source.folder, "merge-base", "--is-ancestor", good.name, bad.name, check=False).returncode == 0:
        return
    if source.is_shallow:
        raise CampaignError("--good is not an ancestor of --bad in this shallow clone; git fetch --unshallow")
    if run_git(source.folder, "merge-base", "--is-ancestor", bad.name, good.name, check=False).returncode == 0:
        raise CampaignError("--good comes after --bad: exchange them; what became faster is found as well")
    common = run_git(source.folder, "merge-base", good.name, bad.name, check=False).stdout.split()
    advice = f"try --good {common[0][:KEY_LENGTH]}, their last common commit" if common else "they share no history"
    raise CampaignError(f"--good {good.key} is not an ancestor of --bad {bad.key}: {advice}")


def make_repository(source: Source, folder: Path, head: str) -> None:
    """Make a bare repository that reads the objects of the user's.

    Args:
        source: The user's.
        folder: Of the new one; it is made anew.
        head: Commit that it is at; `git bisect` asks for one.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run_git(folder, "init", "--quiet", "--bare", f"--object-format={source.object_format}", ".")
    alternates = folder / "objects" / "info" / "alternates"
    alternates.parent.mkdir(parents=True, exist_ok=True)
    alternates.write_text(f"{source.common / 'objects'}\n", encoding="utf-8")
    if source.is_shallow:
        shutil.copy(source.common / "shallow", folder / "shallow")
    if (source.common / "lfs").is_dir():
        run_git(folder, "config", "lfs.storage", str(source.common / "lfs"))
    run_git(folder, "update-ref", "--no-deref", "HEAD", head)
    # Versions that are made from tags (setuptools_scm, versioneer) need them.
    tags = ("--no-write-fetch-head", str(source.common), "refs/tags/*:refs/tags/*")
    run_git(folder, "fetch", "--quiet", *tags, check=False)


class GitSuspects:
    """Suspects that `git bisect` narrows down: merges and skipped commits are treated as git treats them.

    Args:
        source: The user's repository.
        folder: For the repository that keeps the state of the bisection.
        good: An ancestor of `bad`.
        bad: The other end.
        first_parent: Whether to follow only the first parent of merges.
    """

    def __init__(
        self, source: Source, folder: Path, good: Revision, bad: Revision, *, first_parent: bool = False
    ) -> None:
        self._source, self._folder = source, folder
        self._first_parent = ("--first-parent",) if first_parent else ()
        self._good_names, self._bad_name, self._skipped = [good.name], bad.name, set[str]()
        self.good, self.bad = good, bad
        make_repository(source, folder, bad.name)
        run_git(folder, "bisect", "start", "--no-checkout", *self._first_parent, bad.name, good.name)
        self._left = self._names_left()

    def next(self) -> Revision | None:
        """Return the commit that git chooses; None where only one is left, or only skipped ones are."""
        if not [name for name in self._left if name != self._bad_name and name not in self._skipped]:
            return None
        name = run_git(self._folder, "rev-parse", "--verify", "BISECT_HEAD").stdout.strip()
        return describe(self._source, name)

    def mark(self, revision: Revision, verdict: Verdict) -> None:
        """Tell git what a commit is."""
        # Status 2: only skipped commits are left; 10: a first bad commit is found. Both are seen from what is left.
        done = run_git(self._folder, "bisect", verdict, revision.name, check=False)
        if done.returncode not in {0, 2, 10}:
            raise CampaignError(f"git bisect {verdict}: {first_line(done.stderr or done.stdout)[:300]}")
        if verdict == "good":
            self._good_names.append(revision.name)
        elif verdict == "bad":
            self._bad_name = revision.name
        else:
            self._skipped.add(revision.name)
        self._left = self._names_left()

    def left(self) -> tuple[Revision, ...]:
        """Return the commits after the good ones, up to the bad one, the oldest first."""
        return tuple(describe(self._source, name) for name in self._left)

    def num_left(self) -> int:
        """Return how many these are."""
        return len(self._left)

    def parent_of(self, revision: Revision) -> Revision:
        """Return the first parent of a commit."""
        parents = run_git(self._folder, "rev-parse", "--verify", f"{revision.name}^1").stdout.strip()
        return describe(self._source, parents)

    def _names_left(self) -> list[str]:
        excluded = [f"^{name}" for name in self._good_names]
        listed = run_git(
            self._folder, "rev-list", "--topo-order", "--reverse", *self._first_parent, self._bad_name, *excluded
        )
        return listed.stdout.split()


def add_worktree(repository: Path, folder: Path, commit: str) -> None:
    """Check a commit out in a folder of its own.

    Raises:
        CampaignError: Git cannot.
    """
    remove_worktree(repository, folder)
    run_git(repository, "worktree", "add", "--quiet", "--detach", str(folder), commit)


def remove_worktree(repository: Path, folder: Path) -> None:
    """Delete what `add_worktree` made, as far as it is there."""
    shutil.rmtree(folder, ignore_errors=True)
    if repository.is_dir():
        run_git(repository, "worktree", "prune", check=False)

"""What is to be run against what, in which order, and whether it is still the same thing when it is resumed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.errors import CampaignError
from perfsuite.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_ARGUMENTS = ("benchmarks", "-m", "step")

MAX_PROCESSES = 100

QUESTION = (
    "import json, platform, importlib.metadata as m\n"
    "found = {'python': platform.python_version()}\n"
    "for name in ('torch', 'torchvision', 'pytest', 'pytest-benchmark'):\n"
    "    try: found[name] = m.version(name)\n"
    "    except m.PackageNotFoundError: pass\n"
    "print(json.dumps(found))\n"
)
"""Asked of an interpreter: which versions it would run. Imports nothing large."""

TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two.

    Attributes:
        name: `baseline` or `candidate`.
        python: Path of the interpreter.
        folder: The checkout in which pytest runs.
        variables: Environment variables that are set for it.
    """

    name: str
    python: str
    folder: Path
    variables: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPlan:
    """A whole A/B run.

    Attributes:
        sides: Baseline and candidate.
        num_processes: A side.
        arguments: For pytest.
    """

    sides: tuple[Side, Side]
    num_processes: int
    arguments: tuple[str, ...]

    def order(self) -> list[Side]:
        """Return the sides interleaved A B B A A B B A ..., so that a drift of the machine hits both alike."""
        first, second = self.sides
        turns = [(first, second) if number % 2 == 0 else (second, first) for number in range(self.num_processes)]
        return [side for turn in turns for side in turn]


def make_side(name: str, python: str, folder: Path, variables: list[str]) -> Side:
    """Check what the user gave for one side.

    Args:
        name: `baseline` or `candidate`.
        python: Path or name of an interpreter, or folder of a virtual environment.
        folder: Of the checkout.
        variables: `NAME=VALUE` each.

    Raises:
        CampaignError: There is no such thing; the message names the option.
    """
    path = expanded(f"--{name}", python)
    inside = [place for place in (path / "bin" / "python", path / "Scripts" / "python.exe") if _is_file(place)]
    if _is_folder(path) and not inside:
        raise CampaignError(f"--{name} {python}: a folder without an interpreter; name one, or a virtual environment")
    found = str(inside[0].absolute()) if inside else shutil.which(os.path.expanduser(python))  # noqa: PTH111 - a Path drops the ./
    if found is None:
        raise CampaignError(f"--{name} {python}: no such interpreter")
    if not _is_folder(folder):
        raise CampaignError(f"--dir-{name} {folder}: no such folder")
    pairs = {}
    for text in variables:
        key, equals, value = text.partition("=")
        if not key or not equals or "\0" in text:
            raise CampaignError(f"--env-{name} {text}: write NAME=VALUE")
        pairs[key] = value
    # Not resolved: the interpreter of a virtual environment is a link, and is known by where the link stands.
    return Side(name=name, python=str(Path(found).absolute()), folder=folder.absolute(), variables=pairs)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - a Path raises an error where the name is too long


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - the same


def check_arguments(arguments: tuple[str, ...]) -> None:
    """Refuse what would take the results away from where they are kept.

    Raises:
        CampaignError: One of pytest's arguments does.
    """
    for argument in arguments:
        if argument in {"--co", "--collect-only"} or argument.startswith(("--benchmark-json", "--benchmark-disable")):
            raise CampaignError(f"{argument}: cannot be given here; every process writes a file of its own")
        if argument.startswith("--perf-run-dir"):
            raise CampaignError(f"{argument}: cannot be given here; every process trains in a folder of its own")
        if argument == "--perf-restart":
            raise CampaignError(f"{argument}: cannot be given here; the option --restart, before --, starts over")


def has_trainings(arguments: tuple[str, ...]) -> bool:
    """Whether full trainings are run: only arguments that name them by marker or node id select any."""
    is_long = any(re.search(r"\blong\b", marker) for marker in _markers(arguments))
    return is_long or any("full_training" in argument for argument in arguments)


def has_only_trainings(arguments: tuple[str, ...]) -> bool:
    """Whether the marker selects full trainings and nothing else; False where that is not certain."""
    return [marker.strip() for marker in _markers(arguments) if marker.strip()] == ["full_training"]


def _markers(arguments: tuple[str, ...]) -> list[str]:
    separate = [value for option, value in pairwise(arguments) if option == "-m"]
    return separate + [argument[2:] for argument in arguments if argument.startswith("-m") and argument != "-m"]


def identify(plan: CampaignPlan) -> dict[str, object]:
    """Return what must be the same for a run to be resumed: paths, settings, versions and code of either side.

    Raises:
        CampaignError: An interpreter does not run, or lacks torch or pytest-benchmark.
    """
    identity: dict[str, object] = {"arguments": list(plan.arguments)}
    for side in plan.sides:
        identity[side.name] = {
            "python": side.python,
            "variables": dict(side.variables),
            "folder": str(side.folder),
            "versions": versions_of(side, needed=("torch", "pytest", "pytest-benchmark")),
            "code": code_of(side.folder),
        }
    return identity


def digest_of(identity: dict[str, object]) -> str:
    """Return a short name of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]


def versions_of(side: Side, *, needed: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of what measures, asked of the interpreter of a side.

    Args:
        side: Whose interpreter.
        needed: Packages without which it cannot measure.

    Raises:
        CampaignError: It does not run, or lacks one of them.
    """
    option = f"--{side.name} {side.python}"
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that the user names is to be run
            [side.python, "-c", QUESTION],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
            cwd=side.folder,
            env={**os.environ, **side.variables},
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise CampaignError(f"{option}: does not run: {str(error)[:200]}") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CampaignError(f"{option}: does not run: {(lines or ['no message'])[-1][:200]}")
    try:
        found = json.loads(done.stdout.decode().splitlines()[-1])
    except (IndexError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(version, str) for version in found.values()):
        raise CampaignError(f"{option}: is not a Python interpreter")
    for package in needed:
        if package not in found:
            raise CampaignError(f"{option}: has no {package}; install what measuring needs there (see the README)")
    return found


def code_of(folder: Path, *, without: Path | None = None) -> str | None:
    """Return commit and a digest of what differs from it, or None where there is no git.

    Args:
        folder: Of the checkout.
        without: A file whose changes do not count, by its whole path.
    """
    counted: tuple[str, ...] = (".",)
    if without is not None and without.is_relative_to(folder):
        counted = (".", f":(exclude,literal){without.relative_to(folder)}")

    def git(*arguments: str) -> bytes:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout  # noqa: S603 - fixed words and the user's own folder

    try:
        commit = git("rev-parse", "HEAD").decode().strip()
        changes = git("diff", "HEAD", "--", *counted)
        others = git("ls-files", "-z", "--others", "--exclude-standard", "--", "*.py", "*.toml", "*.ini", *counted[1:])
        for name in filter(None, others.split(b"\0")):
            changes += name + (folder / name.decode()).read_bytes()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if not changes:
        return commit
    return f"{commit}+{hashlib.sha256(changes).hexdigest()[:8]}"

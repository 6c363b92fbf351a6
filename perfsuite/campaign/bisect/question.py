"""What is asked: which revisions, which benchmark, and what must be the same for the search to be resumed."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.campaign.bisect.folder import BISECTION
from perfsuite.campaign.bisect.git_history import GitSuspects, check_range, find_source, resolve
from perfsuite.campaign.bisect.places import CommitPlaces, EnvironmentPlaces
from perfsuite.campaign.bisect.revisions import OrderedList, Revision
from perfsuite.campaign.plan import Side, check_arguments, code_of, make_side, versions_of
from perfsuite.errors import CampaignError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.campaign.bisect.places import Places
    from perfsuite.campaign.bisect.revisions import Suspects

NEEDED = ("pytest", "pytest-benchmark")

MIN_ENVIRONMENTS = 3
"""Two have nothing between them: that is `perfsuite ab`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """What every process measures.

    Attributes:
        benchmark: Name or pattern.
        metric: `time` or `memory`.
        arguments: Of pytest.
        variables: Environment variables, `NAME=VALUE` each.
    """

    benchmark: str
    metric: str
    arguments: tuple[str, ...]
    variables: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is bisected.

    Attributes:
        identity: What must be the same for a run to be resumed.
        is_of_commits: Whether it is about commits; else about environments.
        measuring: What is measured.
        words: Options of the command that are the same for other ends.
        words_between: Options that name two other ends; None where nothing lies between them.
        make_suspects: Makes the revisions, given the folder of the run.
        make_places: Makes where they are measured, given the same.
    """

    identity: dict[str, object]
    is_of_commits: bool
    measuring: Measuring
    words: tuple[str, ...]
    words_between: Callable[[Revision, Revision], tuple[str, ...] | None]
    make_suspects: Callable[[Path], Suspects]
    make_places: Callable[[Path], Places]


def pytest_arguments(given: Sequence[str], benchmark: str) -> tuple[str, ...]:
    """Return the arguments of pytest: those that are given, else the benchmark itself where it is named by its node id.

    Raises:
        CampaignError: None are given and the name is no node id, or one cannot be given.
    """
    arguments = tuple(given)
    if not arguments and "::" in benchmark and not set("*?") & set(benchmark):
        arguments = (benchmark,)
    if not arguments:
        raise CampaignError(
            "bisect: give the arguments of pytest that run the benchmark after --, -- benchmarks -m step for instance, "
            "or name the benchmark by its whole node id (FILE::TEST)"
        )
    check_arguments(arguments)
    return arguments


def ask_of_commits(
    repository: Path,
    ends: tuple[str, str],
    measuring: Measuring,
    *,
    python: str | None,
    setup: str | None,
    first_parent: bool,
) -> Question:
    """Return the question which commit it was.

    Args:
        repository: A folder in it.
        ends: The good and the bad revision.
        measuring: What is measured.
        python: Interpreter or environment that measures; None: this one.
        setup: Command of the shell, or None.
        first_parent: Whether to follow only the first parent of merges.

    Raises:
        CampaignError: Something of it cannot be used; the message names the option.
    """
    source = find_source(repository)
    good, bad = resolve(source, "--good", ends[0]), resolve(source, "--bad", ends[1])
    check_range(source, good, bad)
    side = _side(python or sys.executable, source.folder, measuring)
    identity: dict[str, object] = {
        "repository": str(source.common),
        "good": good.name,
        "bad": bad.name,
        "first_parent": first_parent,
        "setup": setup,
        "python": side.python,
        "versions": versions_of(side, needed=NEEDED),
        **_identity_of(measuring, side),
    }
    words: list[str] = []
    if repository != Path():
        words += ["--repository", str(repository)]
    if python is not None:
        words += ["--python", python]
    if setup is not None:
        words += ["--setup", setup]
    if first_parent:
        words.append("--first-parent")
    return Question(
        identity=identity,
        is_of_commits=True,
        measuring=measuring,
        words=tuple(words),
        words_between=lambda first, last: ("--good", first.key, "--bad", last.key),
        make_suspects=lambda folder: GitSuspects(source, folder / BISECTION, good, bad, first_parent=first_parent),
        make_places=lambda folder: CommitPlaces(
            source=source, run_folder=folder, python=side.python, variables=side.variables, setup=setup
        ),
    )


def ask_of_environments(folder: Path, environments: Sequence[str], measuring: Measuring) -> Question:
    """Return the question which environment it was.

    Args:
        folder: The checkout in which pytest runs.
        environments: Interpreters or folders of environments, the good one first.
        measuring: What is measured.

    Raises:
        CampaignError: Something of it cannot be used; the message names the option.
    """
    if len(environments) < MIN_ENVIRONMENTS:
        raise CampaignError(
            f"--environments: {len(environments)} given; {MIN_ENVIRONMENTS} at least, the good one first and the bad "
            "one last (two are compared by perfsuite ab)"
        )
    if len(set(environments)) < len(environments):
        raise CampaignError("--environments: one of them is given twice")
    sides = [_side(one, folder, measuring, option="environments") for one in environments]
    versions = [versions_of(side, needed=NEEDED) for side in sides]
    revisions = [
        Revision(name=name, key=f"env{number:02d}", subject=f"{name}: {_versions_in_words(found)}")
        for number, (name, found) in enumerate(zip(environments, versions, strict=True), start=1)
    ]
    pythons = {name: side.python for name, side in zip(environments, sides, strict=True)}

    def words_between(first: Revision, last: Revision) -> tuple[str, ...] | None:
        named = environments[revisions.index(first) : revisions.index(last) + 1]
        return ("--environments", *named) if len(named) >= MIN_ENVIRONMENTS else None

    identity: dict[str, object] = {
        "environments": [side.python for side in sides],
        "versions": versions,
        "folder": str(sides[0].folder),
        "code": code_of(sides[0].folder),
        **_identity_of(measuring, sides[0]),
    }
    return Question(
        identity=identity,
        is_of_commits=False,
        measuring=measuring,
        words=() if folder == Path() else ("--repository", str(folder)),
        words_between=words_between,
        make_suspects=lambda _folder: OrderedList(revisions),
        make_places=lambda _folder: EnvironmentPlaces(
            pythons=pythons, folder=sides[0].folder, variables=sides[0].variables
        ),
    )


def _identity_of(measuring: Measuring, side: Side) -> dict[str, object]:
    return {
        "benchmark": measuring.benchmark,
        "metric": measuring.metric,
        "arguments": list(measuring.arguments),
        "variables": side.variables,
    }


def _side(python: str, folder: Path, measuring: Measuring, option: str = "python") -> Side:
    """Check an interpreter and the environment variables; the option's own name stands in what is said of them."""
    try:
        return make_side(option, python, folder, measuring.variables)
    except CampaignError as error:
        # It names the options of `ab`, which has two of each.
        message = str(error).replace(f"--env-{option}", "--env").replace(f"--dir-{option}", "--repository")
        raise CampaignError(message) from None


def _versions_in_words(versions: dict[str, str]) -> str:
    shown = {key: version for key, version in versions.items() if key in {"torch", "python"}}
    named = [f"{key} {shown[key]}" for key in ("torch", "python") if key in shown]
    return ", ".join(named)[:100]


def words_of(identity: dict[str, object]) -> str:
    """Return an identity as text that is the same for the same question."""
    return json.dumps(identity, sort_keys=True)

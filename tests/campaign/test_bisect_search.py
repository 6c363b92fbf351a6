"""The search of a bisection on repositories of 60 commits, with values that are planted and no processes."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
from toy_repository import git, make_repository

from perfsuite.campaign.bisect.git_history import GitSuspects, check_range, find_source, resolve
from perfsuite.campaign.bisect.revisions import OrderedList, Revision
from perfsuite.campaign.bisect.search import Block, NotMeasurableError, Search, Terms
from perfsuite.errors import CampaignError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NUM_COMMITS = 60
TERMS = Terms(alpha=0.05, min_effect=math.log(1.02), max_processes=30)


@dataclass
class Measured:
    """Values by commit, the same for the same block however often it is asked for."""

    levels: Mapping[str, float]
    sd: float = 0.01
    broken: frozenset[str] = frozenset()
    seed: int = 1
    asked: list[str] = field(default_factory=list)
    fail_after: int | None = None

    def __call__(self, block: Block) -> dict[str, float]:
        found = {}
        for role, revision in block.turns:
            name = f"{block.stage}-{block.number}-{role}"
            if self.fail_after is not None and len(self.asked) >= self.fail_after:
                raise KeyboardInterrupt
            if revision.name in self.broken:
                raise NotMeasurableError("does not build")
            if name not in self.asked:
                self.asked.append(name)
            rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
            found[role] = self.levels[revision.name] + self.sd * float(rng.standard_t(4)) / math.sqrt(2)
        return found


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("toy") / "repository"
    subjects = [f"Commit {number}" for number in range(NUM_COMMITS + 1)]
    return folder, make_repository(folder, subjects, [{"n": subject} for subject in subjects])


@pytest.fixture
def suspects(repository: tuple[Path, list[str]], tmp_path: Path) -> GitSuspects:
    folder, commits = repository
    source = find_source(folder)
    ends = [resolve(source, "--good", commits[0]), resolve(source, "--bad", commits[-1])]
    return GitSuspects(source, tmp_path / "bisection", *ends)


def planted(commits: list[str], changes: Mapping[int, float]) -> dict[str, float]:
    """Return the logarithm of the time of every commit, each change made by the commit of that number."""
    return {
        commit: sum(math.log1p(change) for at, change in changes.items() if number >= at)
        for number, commit in enumerate(commits)
    }


def quiet(_text: str) -> None:
    """Tell nobody."""


@pytest.mark.parametrize(("at", "change"), [(37, 0.05), (1, 0.1), (60, 0.1), (23, -0.1)])
def test_a_planted_change_among_60_commits_is_found_with_its_size(
    repository: tuple[Path, list[str]], suspects: GitSuspects, at: int, change: float
) -> None:
    commits = repository[1]
    measured = Measured(planted(commits, {at: change}))
    outcome = Search(suspects, measured, TERMS, quiet).run()
    assert outcome.ending == "found"
    assert [one.name for one in outcome.left] == [commits[at]]
    assert outcome.left[0].subject == f"Commit {at}"
    assert outcome.parent is not None
    assert outcome.parent.name == commits[at - 1]
    assert outcome.change is not None
    assert outcome.change.low < math.log1p(change) < outcome.change.high
    assert outcome.rest is None
    assert 5 <= len(outcome.steps) <= 7
    assert len(measured.asked) < 140


def test_a_change_that_is_too_small_ends_with_its_interval_and_no_commit(
    repository: tuple[Path, list[str]], suspects: GitSuspects
) -> None:
    measured = Measured(planted(repository[1], {37: 0.004}), sd=0.004)
    outcome = Search(suspects, measured, TERMS, quiet).run()
    assert (outcome.ending, outcome.left, outcome.steps) == ("no_difference", (), ())
    assert -0.02 < outcome.total.low < 0.004 < outcome.total.high < 0.02


def test_a_change_hidden_in_the_scatter_is_not_established(
    repository: tuple[Path, list[str]], suspects: GitSuspects
) -> None:
    terms = Terms(alpha=0.05, min_effect=math.log(1.001), max_processes=10)
    outcome = Search(suspects, Measured(planted(repository[1], {37: 0.004}), sd=0.02), terms, quiet).run()
    assert (outcome.ending, outcome.total.num) == ("not_established", 10)


def test_a_search_that_is_interrupted_anywhere_takes_the_same_way_and_measures_nothing_twice(
    repository: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, commits = repository
    source = find_source(folder)
    good, bad = (resolve(source, "--good", commits[at]) for at in (20, 40))

    def search(measured: Measured) -> tuple[object, ...]:
        outcome = Search(GitSuspects(source, tmp_path / "b", good, bad), measured, TERMS, quiet).run()
        return outcome.ending, outcome.left, outcome.change, outcome.steps

    levels = planted(commits, {29: 0.05})
    whole = Measured(levels)
    expected = search(whole)
    parts = Measured(levels)
    for stop in range(5, len(whole.asked), 13):
        parts.fail_after = stop
        with pytest.raises(KeyboardInterrupt):
            search(parts)
    parts.fail_after = None
    assert search(parts) == expected
    assert parts.asked == whole.asked


def test_commits_that_cannot_be_measured_are_skipped_as_git_skips_them(
    repository: tuple[Path, list[str]], suspects: GitSuspects
) -> None:
    commits = repository[1]
    broken = frozenset(commits[number] for number in (29, 30, 31, 36))
    outcome = Search(suspects, Measured(planted(commits, {37: 0.1}), broken=broken), TERMS, quiet).run()
    assert outcome.ending == "only_skipped"
    assert [one.name for one in outcome.left] == commits[36:38]
    assert {step.reason for step in outcome.steps if step.verdict == "skip"} == {"does not build"}


def test_a_second_change_is_named_with_the_side_on_which_it_lies(
    repository: tuple[Path, list[str]], suspects: GitSuspects
) -> None:
    commits = repository[1]
    outcome = Search(suspects, Measured(planted(commits, {11: 0.024, 50: 0.08}), sd=0.003), TERMS, quiet).run()
    assert (outcome.ending, outcome.left[0].name, outcome.rest) == ("found", commits[50], "before")


def test_of_two_like_changes_the_first_is_found_and_the_rest_lies_after_it(
    repository: tuple[Path, list[str]], suspects: GitSuspects
) -> None:
    """Commits in the middle of good and bad are of one kind, whatever chance says of each."""
    commits = repository[1]
    outcome = Search(suspects, Measured(planted(commits, {11: 0.05, 50: 0.05}), sd=0.004), TERMS, quiet).run()
    assert (outcome.ending, outcome.left[0].name, outcome.rest) == ("found", commits[11], "after")
    assert any("between good and bad" in str(step.reason) for step in outcome.steps)


def test_a_small_shift_before_the_change_does_not_lead_away_from_it(
    repository: tuple[Path, list[str]], suspects: GitSuspects
) -> None:
    commits = repository[1]
    outcome = Search(suspects, Measured(planted(commits, {11: 0.01, 50: 0.3}), sd=0.0005), TERMS, quiet).run()
    assert (outcome.ending, outcome.left[0].name, outcome.rest) == ("found", commits[50], None)


def test_a_level_far_beyond_bad_is_bad_and_one_far_below_good_is_good(
    repository: tuple[Path, list[str]], suspects: GitSuspects
) -> None:
    """A slowdown to three times, nearly all of it taken back: the first commit beyond the middle is found."""
    commits = repository[1]
    outcome = Search(suspects, Measured(planted(commits, {20: 2.0, 40: -0.63})), TERMS, quiet).run()
    assert outcome.ending == "found"
    assert outcome.left[0].name == commits[20]


def test_revisions_that_cannot_be_decided_end_the_search(
    repository: tuple[Path, list[str]], suspects: GitSuspects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfsuite.campaign.bisect.search.decide_level", lambda *_: None)
    outcome = Search(suspects, Measured(planted(repository[1], {37: 0.1})), TERMS, quiet).run()
    assert outcome.ending == "undecided"
    assert len(outcome.left) == 60
    assert [step.is_undecided for step in outcome.steps] == [True] * 3
    assert "cannot tell after 30 processes" in str(outcome.steps[0].reason)


def test_a_merge_is_bisected_as_git_does(tmp_path: Path) -> None:
    folder = tmp_path / "merged"
    commits = make_repository(folder, ["base", "main 1"], [{"a": "0"}, {"a": "1"}])
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    git(folder, "checkout", "--quiet", "-b", "side", commits[0])
    for number in range(4):
        git(folder, *identity, "commit", "--quiet", "--allow-empty", "-m", f"side {number}")
    culprit = git(folder, "rev-parse", "side~1")
    git(folder, "checkout", "--quiet", "main")
    git(folder, *identity, "merge", "--quiet", "--no-ff", "-m", "merge", "side")
    slow = set(git(folder, "rev-list", "--ancestry-path", f"{culprit}..main").split()) | {culprit}
    levels = {name: 0.1 * (name in slow) for name in git(folder, "rev-list", "main").split()}
    source = find_source(folder)
    ends = [resolve(source, "--good", commits[0]), resolve(source, "--bad", "main")]
    outcome = Search(GitSuspects(source, tmp_path / "b", *ends), Measured(levels), TERMS, quiet).run()
    assert (outcome.ending, outcome.left[0].name) == ("found", culprit)
    first = GitSuspects(source, tmp_path / "c", *ends, first_parent=True)
    outcome = Search(first, Measured(levels), TERMS, quiet).run()
    assert (outcome.ending, outcome.left[0].subject) == ("found", "merge")


def test_environments_are_bisected_in_their_order() -> None:
    revisions = [Revision(name=f"nightly{number}", key=f"env{number:02d}", subject="") for number in range(9)]
    levels = {one.name: 0.1 * (number >= 6) for number, one in enumerate(revisions)}
    for broken, expected in (
        (set[str](), ["nightly6"]),
        ({"nightly5", "nightly4"}, ["nightly4", "nightly5", "nightly6"]),
    ):
        measured = Measured(levels, broken=frozenset(broken))
        outcome = Search(OrderedList(revisions), measured, TERMS, quiet).run()
        assert [one.name for one in outcome.left] == expected


@pytest.mark.parametrize(
    ("ends", "complaint"),
    [
        ((0, 0), "are the same commit"),
        ((5, 3), "--good comes after --bad: exchange them"),
        (("nothing", 3), "--good 'nothing': git knows no such commit"),
        (("--all", 3), "--good '--all': git knows no such commit"),
    ],
)
def test_ends_that_cannot_be_bisected_are_one_line(
    repository: tuple[Path, list[str]], ends: tuple[object, object], complaint: str
) -> None:
    folder, commits = repository
    source = find_source(folder)
    named = [commits[end] if isinstance(end, int) else str(end) for end in ends]
    with pytest.raises(CampaignError, match=complaint):
        check_range(source, resolve(source, "--good", named[0]), resolve(source, "--bad", named[1]))


def test_branches_that_parted_are_told_where(tmp_path: Path) -> None:
    commits = make_repository(tmp_path / "r", ["base", "main"], [{"a": "0"}, {"a": "1"}])
    git(tmp_path / "r", "checkout", "--quiet", "-b", "side", commits[0])
    author = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    git(tmp_path / "r", *author, "commit", "--quiet", "--allow-empty", "-m", "side")
    source = find_source(tmp_path / "r")
    with pytest.raises(CampaignError, match=f"try --good {commits[0][:10]}, their last common commit"):
        check_range(source, resolve(source, "--good", "side"), resolve(source, "--bad", "main"))


def test_a_shallow_clone_says_how_to_fetch_the_rest(repository: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, commits = repository
    git(folder, "clone", "--quiet", "--depth", "3", f"file://{folder}", str(tmp_path / "shallow"))
    source = find_source(tmp_path / "shallow")
    with pytest.raises(CampaignError, match="git fetch --unshallow"):
        resolve(source, "--good", commits[0])
    ends = [resolve(source, "--good", commits[-3]), resolve(source, "--bad", commits[-1])]
    suspects: Callable[[], int] = GitSuspects(source, tmp_path / "b", *ends).num_left
    assert suspects() == 2

"""Which versions the nodes have: each is asked before it measures, and one that differs from the others is not used."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfsuite.campaign.process_log import complaint_in
from perfsuite.run_folder import difference

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from perfsuite.fleet.engine import Ended, Lost
    from perfsuite.fleet.plan import FleetEnvironment

MAX_LOST_QUESTIONS = 5
"""How often a node may be lost while it is asked for its versions, until it is not used. A choice."""

PACKAGES = ("torch", "pytest", "pytest-benchmark")


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionQuestion:
    """Asks a node for the versions of some environments.

    Attributes:
        attempt: Its number, negative: those of the schedule are positive.
        node: Which is asked.
        environments: By name; they are asked for together.
    """

    attempt: int
    node: str
    environments: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class NodeVersions:
    """What the nodes said, and what is still to be asked.

    Attributes:
        environments: All of the fleet.
        is_shipped: Whether every node has the code that is shipped; else each says which it has.
        shipped_code: See `code_of`.
        known: What the nodes said: `code`, and the versions as `environments.NAME`.
        asked: Questions without an answer yet: their nodes by attempt.
        unasked: By node, the groups of environments whose versions are not known yet.
        num_losses: By node, how often it was lost while it was asked.
        num_questions: That were asked.
    """

    environments: Sequence[FleetEnvironment]
    is_shipped: bool
    shipped_code: str | None
    known: dict[str, Any]
    asked: dict[int, str] = field(default_factory=dict)
    unasked: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    num_losses: dict[str, int] = field(default_factory=dict)
    num_questions: int = 0

    def see_nodes(self, alive: Collection[str]) -> None:
        """Take note of which nodes are there; one that was gone is asked again, it may have other versions."""
        self.asked = {attempt: node for attempt, node in self.asked.items() if node in alive}
        self.unasked = {node: groups for node, groups in self.unasked.items() if node in alive}
        for node in alive:
            self.unasked.setdefault(node, asked_together(self.environments))

    def is_ready(self, node: str) -> bool:
        """Whether the versions of a node are known and can be used."""
        return node in self.unasked and not self.unasked[node] and node not in self.asked.values()

    def new_questions(self, refused: Collection[str]) -> list[VersionQuestion]:
        """Return what is to be asked now, one question at a time for each node.

        Args:
            refused: Nodes that are not used.
        """
        found = []
        for node, groups in self.unasked.items():
            if groups and node not in self.asked.values() and node not in refused:
                self.num_questions += 1
                question = VersionQuestion(attempt=-self.num_questions, node=node, environments=groups[0])
                self.asked[question.attempt] = node
                found.append(question)
        return found

    def take_answer(self, event: Ended) -> str | None:
        """Take down what a node said; why it cannot be used, or None."""
        node = self.asked.pop(event.attempt)
        answer = read_versions(event.result)
        if answer is None:
            return complaint_in(event.log) if event.log else "gave no answer when asked for its versions"
        if self.is_shipped:
            answer["code"] = self.shipped_code
        problem = version_problem(self.known, answer)
        if problem is None:
            self.known = {**self.known, **answer}
            self.unasked[node].pop(0)
        return problem

    def lose(self, event: Lost) -> str | None:
        """Take down that a node gave no answer; why it is not asked again, or None."""
        node = self.asked.pop(event.attempt)
        self.num_losses[node] = self.num_losses.get(node, 0) + 1
        if self.num_losses[node] < MAX_LOST_QUESTIONS:
            return None
        return f"lost {MAX_LOST_QUESTIONS} times when asked for its versions: {event.reason}"


def asked_together(environments: Sequence[FleetEnvironment]) -> list[tuple[str, ...]]:
    """Return which environments are asked for together: those whose interpreters are there, and each other alone."""
    there = tuple(one.name for one in environments if one.python is not None)
    alone = [(one.name,) for one in environments if one.python is None]
    return ([there] if there else []) + alone


def read_versions(result: bytes | None) -> dict[str, Any] | None:
    """Return what a node said of versions and code, or None where that cannot be read; it came from another machine."""
    try:
        found = json.loads(result or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("versions"), dict):
        return None
    code = found.get("code")
    answer: dict[str, Any] = {"code": str(code)[:100] if code else None}
    for name, versions in found["versions"].items():
        if not isinstance(versions, dict) or not all(isinstance(text, str) for text in versions.values()):
            return None
        answer[f"environments.{name}"] = {str(key)[:40]: text[:300] for key, text in versions.items()}
    return answer


def version_problem(before: Mapping[str, Any], answer: Mapping[str, Any]) -> str | None:
    """Return in words why a node cannot take part: an interpreter or a package is missing, or has another version.

    Args:
        before: What the nodes before it said.
        answer: What it says.
    """
    for name, versions in answer.items():
        if isinstance(versions, dict):
            missing = _missing(versions)
            if missing is not None:
                return f"environment {name.removeprefix('environments.')}: {missing}"
    both = [name for name in answer if name in before]
    differing = difference({name: before[name] for name in both}, {name: answer[name] for name in both})
    return None if differing is None else f"differs from the nodes before it: {differing}"


def _missing(versions: Mapping[str, str]) -> str | None:
    if "error" in versions:
        return versions["error"]
    for package in PACKAGES:
        if package not in versions:
            return f"has no {package}; install what measuring needs there"
    return None

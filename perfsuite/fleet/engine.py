"""What an engine offers: nodes, and one process at a time on each. It decides nothing; see `schedule.py`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine that is there.

    Attributes:
        name: Different from all others.
        kind: The first kind of the plan that it matches.
    """

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A process to be run on a node; travels as plain JSON.

    Attributes:
        attempt: Its number.
        environment: Whose packages it needs, by name.
        pythons: Interpreters that are asked for their versions, by environment; an empty one is the agent's own.
        python: Interpreter that runs pytest, empty for the agent's own; None: versions are asked for instead.
        folder: In which it runs; empty for that which was shipped.
        arguments: For pytest, without where results are written.
        plan: Path of fleet.toml, which is no code that is measured.
        variables: Environment variables by environment.
        max_s: After which it is stopped, in seconds.
    """

    attempt: int
    environment: str
    pythons: dict[str, str]
    python: str | None
    folder: str
    arguments: tuple[str, ...]
    plan: str
    variables: dict[str, dict[str, str]]
    max_s: float

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "arguments": list(self.arguments)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The process of an attempt runs, and nothing else of the fleet does on its node.

    Attributes:
        attempt: Its number.
    """

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How far a process is.

    Attributes:
        attempt: Its number.
        line: In words; from another machine, and so untrusted.
    """

    attempt: int
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A process ended.

    Attributes:
        attempt: Its number.
        status: Its exit status.
        result: What pytest-benchmark wrote, or the versions as JSON; None where there is nothing.
        log: The end of what it printed.
        duration_s: How long it ran, in seconds.
    """

    attempt: int
    status: int
    result: bytes | None
    log: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A node died, or a process was taken away with the worker that ran it.

    Attributes:
        attempt: Its number.
        reason: In words.
    """

    attempt: int
    reason: str


Event = Started | Told | Ended | Lost


class Engine(Protocol):
    """Runs processes on nodes."""

    @property
    def where(self) -> str:
        """Where the nodes are, in words."""
        ...

    def nodes(self, wanted: Mapping[str, int]) -> Sequence[Node]:
        """Return the nodes that are alive.

        Args:
            wanted: How many of each kind have something to do; an engine that has to ask for nodes asks for as many.
        """
        ...

    def start(self, node: str, order: Order) -> None:
        """Begin to run a process on a node that runs none."""
        ...

    def stop(self, attempt: int) -> None:
        """Let a process end as after Ctrl-C; it is `Ended` or `Lost` later."""
        ...

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Return what has happened since the last call; wait at most so long where nothing has."""
        ...

    def close(self, patience_s: float) -> None:
        """End all processes, and leave the nodes: stop them, wait at most so long, then kill them."""
        ...

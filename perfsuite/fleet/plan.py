"""`fleet.toml`: which kinds of machines, which environments, how often; read strictly, one line for what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.campaign.plan import DEFAULT_ARGUMENTS, check_arguments
from perfsuite.errors import CampaignError, FleetError, ResultFileError
from perfsuite.records.strict_json import kind_of
from perfsuite.small_files import read_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_REPETITIONS = 100
MAX_NODES = 1000
MAX_SEEDS = 100
MAX_REPETITION_S = 7 * 24 * 3600
"""A week, in seconds."""

DEFAULT_REPETITION_S = 6 * 3600
"""After six hours a repetition is stopped: a process that hangs must not keep a machine for ever. A choice. A training
has a week."""

MAX_WAIT_MINUTES = 7 * 24 * 60
"""A week."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of machines.

    Attributes:
        name: In the names of files.
        accelerator_type: As Ray calls it (`T4`), or None.
        resources: What a node of Ray must have at least, by name.
        labels: Which labels a node of Ray must have.
        slurm: Options of sbatch, by their long names without dashes.
        num_nodes: How many nodes measure; None: all that Ray has when the fleet begins.
    """

    name: str
    accelerator_type: str | None
    resources: dict[str, float]
    labels: dict[str, str]
    slurm: dict[str, str | int | bool]
    num_nodes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetEnvironment:
    """What runs on each node: exactly one of an interpreter that is there and packages that Ray installs.

    Attributes:
        name: In the names of files.
        python: Path of an interpreter on the nodes, or None.
        pip: Requirements that Ray installs with pip.
        uv: The same with uv.
        variables: Environment variables.
    """

    name: str
    python: str | None
    pip: tuple[str, ...]
    uv: tuple[str, ...]
    variables: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainings:
    """The cells and seeds of `perfsuite fleet train`.

    Attributes:
        shared: A folder that every node has under this path; checkpoints are kept there.
        models: As one of --perf-models each.
        precisions: Their names.
        num_seeds: Seeds 0, 1, ... of each cell.
        arguments: Further arguments of pytest, the recipe for instance.
    """

    shared: str
    models: tuple[str, ...]
    precisions: tuple[str, ...]
    num_seeds: int
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """A whole fleet.

    Attributes:
        path: Of the file.
        kinds: In their order; a node is of the first that it matches.
        environments: In the order A B B A ...
        num_repetitions: Of each environment, a node.
        arguments: For pytest.
        checkout: The folder in which pytest runs on the nodes, or on this machine if it is shipped.
        ship: Whether Ray copies the checkout to the nodes.
        max_repetition_s: After which a repetition is stopped, in seconds, or None for the default.
        trainings: Of `fleet train`, or None.
    """

    path: str
    kinds: tuple[Kind, ...]
    environments: tuple[FleetEnvironment, ...]
    num_repetitions: int
    arguments: tuple[str, ...]
    checkout: str
    ship: bool
    max_repetition_s: int | None
    trainings: Trainings | None

    def environment(self, name: str) -> FleetEnvironment:
        """Return the environment of that name."""
        return next(one for one in self.environments if one.name == name)


def read_plan(path: Path) -> FleetPlan:
    """Read a `fleet.toml`.

    Raises:
        FleetError: It cannot be used; the message names file, table and key.
    """
    try:
        content = read_toml(path)
    except ResultFileError as error:
        raise FleetError(str(error)) from None
    try:
        return _plan(content, str(path.absolute()))
    except (FleetError, CampaignError) as error:
        raise FleetError(f"{path}: {error}") from None


def _plan(content: dict[str, Any], path: str) -> FleetPlan:
    tables = _Table(content, "the file")
    fleet = _Table(tables.take("fleet", _table, {}), "[fleet]")
    kinds = tables.take("kinds", _table, {})
    environments = tables.take("environments", _table, {})
    train = tables.take("train", _table, None)
    tables.check_empty()
    for name, found in (("kinds", kinds), ("environments", environments)):
        if not found:
            raise FleetError(f"no [{name}.NAME] is given; write one at least (see perfsuite/fleet/README.md)")
    arguments = fleet.take("arguments", _texts, DEFAULT_ARGUMENTS)
    check_arguments(arguments)
    plan = FleetPlan(
        path=path,
        kinds=tuple(_kind(name, table) for name, table in kinds.items()),
        environments=tuple(_environment(name, table) for name, table in environments.items()),
        num_repetitions=fleet.take("repetitions", _whole(1, MAX_REPETITIONS), 5),
        arguments=arguments,
        checkout=fleet.take("checkout", _path, str(Path.cwd())),
        ship=fleet.take("ship", _bool, default=False),
        max_repetition_s=fleet.take("max_repetition_s", _whole(1, MAX_REPETITION_S), None),
        trainings=None if train is None else _trainings(train),
    )
    fleet.check_empty()
    return plan


def _kind(name: str, content: object) -> Kind:
    where = f"[kinds.{name}]"
    table = _Table(_table(content, where), where)
    _check_name(name, where)
    kind = Kind(
        name=name,
        accelerator_type=table.take("accelerator_type", _text, None),
        resources=table.take("resources", _numbers, {}),
        labels=table.take("labels", _text_table, {}),
        slurm=table.take("slurm", _options, {}),
        num_nodes=table.take("nodes", _whole(1, MAX_NODES), None),
    )
    table.check_empty()
    if not (kind.accelerator_type or kind.resources or kind.labels or kind.slurm):
        raise FleetError(
            f'{where}: does not say which nodes: write accelerator_type = "T4", resources = {{...}}, labels = {{...}} '
            "or slurm = {...}"
        )
    return kind


def _environment(name: str, content: object) -> FleetEnvironment:
    where = f"[environments.{name}]"
    table = _Table(_table(content, where), where)
    _check_name(name, where)
    environment = FleetEnvironment(
        name=name,
        python=table.take("python", _path, None),
        pip=table.take("pip", _texts, ()),
        uv=table.take("uv", _texts, ()),
        variables=table.take("variables", _text_table, {}),
    )
    table.check_empty()
    given = [key for key in ("python", "pip", "uv") if getattr(environment, key)]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise FleetError(
            f'{where}: has {found}; write one of python = "/path/of/python", pip = ["torch==2.6.*", ...], uv = [...]'
        )
    return environment


def _trainings(content: dict[str, Any]) -> Trainings:
    table = _Table(content, "[train]")
    trainings = Trainings(
        shared=table.take("shared", _path, ""),
        models=table.take("models", _texts, ("resnet18",)),
        precisions=table.take("precisions", _texts, ("fp32", "amp")),
        num_seeds=table.take("seeds", _whole(1, MAX_SEEDS), 3),
        arguments=table.take("arguments", _texts, ()),
    )
    table.check_empty()
    if not trainings.shared:
        raise FleetError('[train]: has no shared; write shared = "/a/path/that/every/node/has"')
    check_arguments(trainings.arguments)
    for argument in trainings.arguments:
        for taken in ("-m", "-k", "--perf-models", "--perf-precisions", "--perf-seeds"):
            if argument == taken or argument.startswith(f"{taken}="):
                raise FleetError(f"[train]: arguments: {taken} is set by models, precisions and seeds; leave it out")
    return trainings


def _check_name(name: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise FleetError(f"{where}: a name has at most 40 letters, digits or _ . + -, and begins with one of the first")


class _Table:
    """Keys are taken out of it; what is left was not known."""

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self._left = dict(content)
        self._known: list[str] = []
        self._where = where

    def take(self, key: str, read: Callable[[object, str], Any], default: Any) -> Any:
        """Return the value of a key, or the default where it is not given."""
        self._known.append(key)
        if key not in self._left:
            return default
        return read(self._left.pop(key), f"{self._where}: {key}")

    def check_empty(self) -> None:
        """Refuse what was not taken.

        Raises:
            FleetError: A key that is not known.
        """
        if self._left:
            unknown = min(self._left)
            raise FleetError(f"{self._where}: unknown key {unknown[:40]!r}; choose from {', '.join(self._known)}")


def _wrong(where: str, value: object, wanted: str) -> FleetError:
    return FleetError(f"{where} is {kind_of(value)}, {wanted} is needed")


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, value, "a table")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise _wrong(where, value, "a text that is not empty")
    return value


def _path(value: object, where: str) -> str:
    text = _text(value, where)
    if not text.startswith("/"):
        raise FleetError(f"{where} is {text[:60]!r}; write a whole path, which nodes have in common")
    return text


def _bool(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, value, "true or false")
    return value


def _whole(least: int, most: int) -> Callable[[object, str], int]:
    def read(value: object, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _wrong(where, value, f"a whole number from {least} to {most}")
        return value

    return read


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _wrong(where, value, "a list of texts that is not empty")
    return tuple(_text(part, f"{where}[{number}]") for number, part in enumerate(value))


def _text_table(value: object, where: str) -> dict[str, str]:
    return {key: _text(part, f"{where}.{key}") for key, part in _table(value, where).items()}


def _numbers(value: object, where: str) -> dict[str, float]:
    found = {}
    for key, part in _table(value, where).items():
        if isinstance(part, bool) or not isinstance(part, int | float) or not 0 < part < 2**31:
            raise _wrong(f"{where}.{key}", part, "a positive number")
        found[key] = float(part)
    return found


def _options(value: object, where: str) -> dict[str, str | int | bool]:
    found = {}
    for key, part in _table(value, where).items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", key):
            raise FleetError(f"{where}: {key[:40]!r} is not an option of sbatch; write it without its dashes")
        if not isinstance(part, str | int) or part == "":
            raise _wrong(f"{where}.{key}", part, "a text, a whole number or true")
        found[key.replace("-", "_")] = part
    return found

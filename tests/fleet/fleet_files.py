"""What tests of fleets share: a checkout with a benchmark that takes milliseconds, two environments, a cluster."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import sysconfig
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.fleet.plan import FleetEnvironment, FleetPlan, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]

BENCHMARK = """
import os, time
from pathlib import Path


def test_short(benchmark):
    benchmark.pedantic(time.sleep, args=(0.001,), rounds=3)
    wait = Path(os.environ.get("FLEET_WAIT", "no such file"))
    Path(os.environ["FLEET_STARTED"]).joinpath(str(os.getpid())).touch()
    deadline = time.monotonic() + 120
    while wait.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
"""


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """What nodes share in a test."""

    folder: Path
    pythons: tuple[str, str]

    @property
    def wait(self) -> Path:
        """While this file is there, processes do not come to their end."""
        return self.folder / "wait"

    @property
    def started(self) -> Path:
        """A file for each process that ran."""
        return self.folder / "started"


def make_checkout(folder: Path) -> Checkout:
    """Write a checkout, and two virtual environments that differ in one package."""
    folder.mkdir()
    (folder / "started").mkdir()
    (folder / "test_it.py").write_text(BENCHMARK)
    (folder / "pytest.ini").write_text("[pytest]\n")
    pythons = tuple(
        make_environment(folder / f"venv-{name}", version) for name, version in (("a", "1.0"), ("b", "2.0"))
    )
    return Checkout(folder=folder, pythons=(pythons[0], pythons[1]))


def make_environment(folder: Path, version: str) -> str:
    """Make a virtual environment that has what this one has, and a package of a version of its own."""
    venv.EnvBuilder(symlinks=True).create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "above.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (packages / "differing.py").write_text(f"version = {version!r}\n")
    info = packages / f"differing-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: differing\nVersion: {version}\n")
    return str(folder / "bin" / "python")


def plan_text(checkout: Checkout, *, repetitions: int, kinds: str, more: str = "") -> str:
    """Return a fleet.toml of two environments."""
    variables = {
        "FLEET_WAIT": str(checkout.wait),
        "FLEET_STARTED": str(checkout.started),
        "PYTHONPATH": str(REPOSITORY),
    }
    pairs = ", ".join(f"{name} = {json.dumps(value)}" for name, value in variables.items())
    environments = "\n".join(
        f'[environments.{name}]\npython = "{python}"\nvariables = {{{pairs}}}'
        for name, python in zip(("a", "b"), checkout.pythons, strict=True)
    )
    return (
        f'[fleet]\nrepetitions = {repetitions}\ncheckout = "{checkout.folder}"\n'
        f'arguments = ["test_it.py", "-p", "no:cacheprovider"]\n{kinds}\n{environments}\n{more}'
    )


RAY_KINDS = '[kinds.T4]\naccelerator_type = "T4"\n[kinds.L4]\nlabels = {gpu = "l4"}\n'


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Ray cluster in a process of its own."""

    address: str
    process: subprocess.Popen[str]

    def tell(self, *words: str) -> None:
        """Let it kill or add a node, and wait until it has."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        assert _answer(self.process, "done") == words[1]


def _answer(process: subprocess.Popen[str], kind: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        words = line.split()
        if len(words) == 2 and words[0] == kind:
            return words[1]
    raise AssertionError("the cluster has ended")


@contextlib.contextmanager
def cluster_started(*kinds: str) -> Iterator[Cluster]:
    """Start a Ray cluster on this machine: a head without CPUs, and a node for each kind: `node1`, `node2`, ..."""
    script = Path(__file__).with_name("ray_cluster.py")
    with subprocess.Popen(
        [sys.executable, str(script), *kinds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Cluster(address=_answer(process, "address"), process=process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


def wait_for(is_so: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def command(*words: str) -> list[str]:
    """Return a command line of perfsuite fleet."""
    return [sys.executable, "-m", "perfsuite", "fleet", *words]


def make_plan(**changes: Any) -> FleetPlan:
    """Return a plan of two kinds and two environments."""
    kinds = tuple(
        Kind(name=name, accelerator_type=name, resources={}, labels={}, slurm={}, num_nodes=None)
        for name in ("T4", "L4")
    )
    environments = tuple(
        FleetEnvironment(name=name, python=f"/{name}/bin/python", pip=(), uv=(), variables={}) for name in ("a", "b")
    )
    settings: dict[str, Any] = {
        "path": "/checkout/fleet.toml",
        "kinds": kinds,
        "environments": environments,
        "num_repetitions": 2,
        "arguments": ("benchmarks",),
        "checkout": "/checkout",
        "ship": False,
        "max_repetition_s": 60,
        "trainings": None,
    }
    return FleetPlan(**{**settings, **changes})

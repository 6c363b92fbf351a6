"""What tests share."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from plain_pytest import PLAIN_PYTEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cuda_stand_in import CudaStandIn


# In workers of pytest-xdist pytest-benchmark times nothing. The tests start runs of the suite that are no workers.
os.environ.pop("PYTEST_XDIST_WORKER", None)

# Compiled modules are kept, as Python does unless it is told otherwise: the tests start hundreds of processes and runs,
# and each would compile the same modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Load pytester, with its options: only these tests need it, and its help is nothing for users."""
    pluginmanager.import_plugin("pytester")


SLOW_FILES = (
    "fleet/test_fleet_ray.py",
    "analysis/report/test_report_browser.py",
    "measure/test_dry_run.py",
    "test_documentation.py",
    "measure/test_scaling_launch.py",
    "tune/test_studies.py",
    "test_cli.py",
    "test_notebook.py",
    "analysis/statistics/test_decision.py",
    "analysis/figures/test_report_charts.py",
    "analysis/report/test_report_page.py",
    "measure/test_numerics_trainings.py",
    "campaign/test_ab.py",
    "test_examples.py",
    "fleet/test_fleet_slurm.py",
    "measure/test_faults.py",
    "test_kills.py",
    "measure/test_killed_trainings.py",
    "campaign/test_ab_trainings.py",
    "campaign/test_bisect.py",
)
"""Files that take the longest, by measurement on two slow cores: 290 to 33 s. pytest-xdist begins those with the fewest
tests last: one worker would wait for the others for minutes."""


def pytest_configure(config: pytest.Config) -> None:
    """Let files begin in the order in which they are collected, and name pytest-cov's mark where that is missing.

    The mark stands at tests that do the same hundreds of times, which take twice as long while coverage is measured.
    What they run, other tests run too: without them the same lines and branches are covered.
    """
    config.addinivalue_line("markers", "no_cover: coverage is not measured during this test")
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """End what pytest-cov began in a worker of pytest-xdist before it knew that it is one.

    Its tracing would lie beneath that of the worker, and continue where that pauses: in tests marked `no_cover`.
    """
    plugin: Any = session.config.pluginmanager.getplugin("_cov")
    is_worker = hasattr(session.config, "workerinput")
    if is_worker and plugin is not None and plugin.cov_controller is not None:
        plugin.cov_controller.cov.stop()


MAX_TRACED = 1
"""Of how many parameter sets of a test coverage is measured: the others run the same code with other values, and
tracing adds two thirds to the processor time of a test."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take the longest; all others stay in their order."""
    root = Path(__file__).parent
    order = {root / name: number for number, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: order.get(item.path, len(order)))
    num_seen: Counter[str] = Counter()
    for item in items:
        name = item.nodeid.partition("[")[0]
        num_seen[name] += 1
        if num_seen[name] > MAX_TRACED:
            item.add_marker("no_cover")


def pytest_collection_finish() -> None:
    """Keep what is imported out of garbage collections: cells collect before they are timed, dozens of times a test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def what_was_frozen_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no cell undo that: each of its collections would walk what is imported, for a quarter of a second."""
    monkeypatch.setattr(gc, "unfreeze", lambda: None)


@pytest.fixture(scope="session", autouse=True)
def processes_run_a_plain_pytest() -> Iterator[None]:
    """Let a pytest that a test starts as a process load what the suite needs, and not what its tests need besides."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_PYTEST)
        yield


@pytest.fixture
def write_result(tmp_path: Path) -> Callable[..., Path]:
    """Write content as a result file and return its path."""

    def write(content: object, name: str = "result.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


@pytest.fixture(autouse=True)
def no_noise_floors_of_the_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests apart from what the user of this machine has measured."""
    monkeypatch.setenv("PERFSUITE_NOISE", str(tmp_path_factory.getbasetemp() / "no noise floors.json"))


@pytest.fixture(autouse=True)
def loaded_networks_are_forgotten() -> Iterator[None]:
    """Leave no network of a test among the names that another test chooses from; imports nothing."""
    yield
    models: Any = sys.modules.get("perfsuite.workloads.models")
    loaded = [] if models is None else [name for name, spec in models.MODELS.items() if spec.source is not None]
    for name in loaded:
        del models.MODELS[name]
    if loaded:  # the next test may load another network of the same name
        from cuda_stand_in import RUNS_OF_REAL_NETWORKS

        for cached in RUNS_OF_REAL_NETWORKS.values():
            cached.cache_clear()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[CudaStandIn]:
    """A stand-in for `torch.cuda`: records the calls, and fails where it is told to."""
    from cuda_stand_in import small_gpu  # imports torch, which most tests do without

    with small_gpu(monkeypatch) as stand_in:
        yield stand_in


@pytest.fixture
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Build a tiny network in place of every ResNet, for tests of what is done with any network."""
    from cuda_stand_in import forget_dry_runs, use_tiny_networks

    use_tiny_networks(monkeypatch)
    forget_dry_runs()
    yield
    forget_dry_runs()


@pytest.fixture
def real_networks(tiny_networks: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - after it
    """Build ResNets where the tests of a module have tiny networks."""
    from cuda_stand_in import RUNS_OF_REAL_NETWORKS, forget_dry_runs

    from perfsuite.measure import dry_run
    from perfsuite.workloads import models
    from perfsuite.workloads.torchvision_import import import_torchvision

    monkeypatch.setattr(models, "import_torchvision", import_torchvision)
    forget_dry_runs()
    for name, cached in RUNS_OF_REAL_NETWORKS.items():
        monkeypatch.setattr(dry_run, name, cached)

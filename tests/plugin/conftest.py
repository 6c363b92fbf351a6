"""Runs the suite through pytester, in this process and with little time."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from typing import TYPE_CHECKING

import pandas as pd  # noqa: F401 - imported before any run inside pytester
import pytest
import rich.table  # noqa: F401 - the same
import scipy.special  # noqa: F401 - the same
import torch
from builders import make_workload
from cuda_stand_in import use_tiny_networks
from forked import Forked, run_pytest
from small_suite import make_small
from suite_run import IN_A_PROCESS, QUICK, REPOSITORY, Run

from perfsuite.analysis.tables import registry as views  # noqa: F401 - the same
from perfsuite.measure import doctor, environment, harness  # noqa: F401 - the same
from perfsuite.measure.memory import measure_peak_memory
from perfsuite.measure.nvml import read_nvml
from perfsuite.workloads.step import TrainingStep
from perfsuite.workloads.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session", autouse=True)
def everything_imported() -> None:
    """Import what a cell imports.

    Pytester forgets modules that a run inside it was the first to import, and torch cannot be imported twice.
    """
    import_torchvision()
    with contextlib.suppress(ImportError):
        importlib.import_module("hypothesis")  # its plugin imports it at the end of every run
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_tiny_networks(monkeypatch)
        for phase in ("backward", "train_step"):
            for precision in ("fp32", "amp-bf16"):
                workload = make_workload(phase=phase, precision=precision, batch_size=1, device_type="cpu")
                step = TrainingStep(workload, device=torch.device("cpu"))
                step.train_step()
                measure_peak_memory(
                    prepare=lambda: None, run=step.train_step, device=step.device, resident=step.resident_tensors
                )
                step.close()
    read_nvml()


@pytest.fixture
def suite_folder(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    tiny_networks: None,  # noqa: ARG001 - used by what runs in this process
) -> pytest.Pytester:
    """A checkout in small: the root conftest, the benchmarks, tiny networks, and no time to lose."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    make_small(monkeypatch)
    pytester.makeconftest((REPOSITORY / "conftest.py").read_text())
    pytester.makeini("[pytest]\naddopts = --strict-markers --strict-config\ntestpaths = benchmarks\n")
    folder = pytester.mkdir("benchmarks")
    (folder / "test_step.py").write_text((REPOSITORY / "benchmarks" / "test_step.py").read_text())
    return pytester


@pytest.fixture
def run_suite(suite_folder: pytest.Pytester) -> Callable[..., Run]:
    """Run the suite with these arguments as well as those that make it quick."""

    def run(*arguments: str, quick: bool = True) -> Run:
        result = suite_folder.runpytest_inprocess(*(QUICK if quick else ()), *arguments, no_reraise_ctrlc=True)
        return Run(result, suite_folder.path)

    return run


@pytest.fixture
def run_suite_in_a_process(suite_folder: pytest.Pytester) -> Callable[..., Run]:
    """Run it in a process of its own, which may die."""

    def run(*arguments: str) -> Run:
        output = suite_folder.path / "output"
        words = ("-p", "small_suite", *QUICK, *arguments)
        started_s = time.monotonic()
        process = Forked(run_pytest, words, output=output, cwd=suite_folder.path, env={**os.environ, **IN_A_PROCESS})
        status = process.wait()
        lines = output.read_text().splitlines()
        return Run(pytest.RunResult(status, lines, [], time.monotonic() - started_s), suite_folder.path)

    return run


@pytest.fixture
def add_conftest(suite_folder: pytest.Pytester) -> Callable[[str], None]:
    """Put code into the conftest of the benchmarks, run before anything is measured."""

    def add(code: str) -> None:
        (suite_folder.path / "benchmarks" / "conftest.py").write_text(code)

    return add

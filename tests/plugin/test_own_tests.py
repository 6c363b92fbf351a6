"""A repository outside of this one whose own tests measure callables with the fixture `perf`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from forked import Forked, run_pytest
from suite_run import IN_A_PROCESS

from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path

OURS = """
import pytest
import torch
from torch import nn


def test_attention(perf):
    attention = nn.MultiheadAttention(64, 4, batch_first=True).to(perf.device)
    record = perf(attention, {name: torch.randn(8, 16, 64) for name in ("query", "key", "value")}, precision="amp")
    assert record is not None


@pytest.mark.parametrize("size", [32, 64])
def test_product(perf, size):
    left = torch.ones(size, size, device=perf.device)
    out = torch.empty_like(left)
    perf(lambda: torch.mm(left, left, out=out))


def test_named(perf):
    perf(lambda batch: batch.sum(), torch.ones(3, 2), name="sum of a batch")


def test_ordinary():
    assert True
"""

WRONG = """
import torch


def test_raises(perf):
    perf(lambda: [][1])


def test_twice(perf):
    perf(lambda: 1)
    perf(lambda: 2)


def test_not_callable(perf):
    perf(3)


def test_no_tensor(perf):
    perf(print, "hello")


def test_unknown_precision(perf):
    perf(print, precision="fp8")
"""
QUICK = (
    "-p",
    "small_suite",
    "--perf-device=cpu",
    "--perf-quick",
    "--benchmark-min-rounds=2",
    "--benchmark-max-time=0.01",
)


WORDS = ("benchmarks", "-p", "no:cacheprovider", *QUICK)
ENVIRONMENT = {**os.environ, **IN_A_PROCESS}


def result(folder: Path) -> tuple[Path, dict[str, Any]]:
    (path,) = (folder / "results").glob("*.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return path, content


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "test_ours.py").write_text(OURS)
    return tmp_path


def test_a_repository_outside_of_this_one_measures_its_own_callables(
    theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loads the plugin in its conftest.py; what it measured is collected, compared and reported."""
    (theirs / "conftest.py").write_text('pytest_plugins = ["perfsuite.plugin"]\n')
    # A process as users start it: in one that has imported the plugin before, pytest has something to complain of.
    words = [sys.executable, "-m", "pytest", *WORDS, "-W", "error::pytest.PytestAssertRewriteWarning"]
    done = subprocess.run(words, cwd=theirs, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    path, content = result(theirs)
    records = [one["extra_info"]["perfsuite"] for one in content["benchmarks"]]
    workloads = [record["workload"] for record in records]
    assert [workload["model"] for workload in workloads] == [
        "attention",
        "product[32]",
        "product[64]",
        "sum of a batch",
    ]
    assert {workload["phase"] for workload in workloads} == {"call"}
    assert [workload["batch_size"] for workload in workloads] == [8, 1, 1, 3]
    assert [workload["precision"] for workload in workloads] == ["amp-bf16", "fp32", "fp32", "fp32"]
    assert all(record["proof"] and record["telemetry"] for record in records)
    # The three matrices that are there already: left, out; a product into `out` allocates nothing.
    assert records[2]["metrics"]["peak_allocated_bytes"] >= 2 * 64 * 64 * 4
    assert main(["collect", str(path)]) == 0
    assert "sum of a batch" in capsys.readouterr().out
    page = theirs / "report.html"
    assert main(["report", str(path), "-o", str(page)]) == 0
    assert "sum of a batch" in page.read_text()


def test_the_plugin_may_be_named_on_the_command_line_and_what_goes_wrong_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "test_wrong.py").write_text(WRONG)
    output = tmp_path / "output"
    process = Forked(run_pytest, (*WORDS, "-p", "perfsuite.plugin"), output=output, cwd=tmp_path, env=ENVIRONMENT)
    assert process.wait(300) == 1, output.read_text()
    _, content = result(tmp_path)
    reasons = [outcome["reason"] for outcome in content["perfsuite"]["outcomes"]]
    assert reasons == [
        "raises: the callable raised IndexError: list index out of range",
        "test_twice: perf was called before in this test; one test measures once",
        "perf: int is not callable; give it what is to be timed",
        "perf: a batch of type str contains no tensor; leave it out",
        "unknown precision 'fp8'; choose from amp, amp-bf16, amp-fp16, bf16, bf16-sr, fp32, tf32",
    ]
    assert "Traceback" not in output.read_text()

"""Fleets through submitit's local executor: the same matrix, the same folder, jobs that hold a node each."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fleet_files import command, is_running, make_checkout, make_plan, plan_text, wait_for

from perfsuite.errors import FleetError

if TYPE_CHECKING:
    from fleet_files import Checkout

    from perfsuite.fleet.plan import FleetPlan

needs_submitit = pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None, reason="needs submitit: pip install 'perfsuite[fleet]'"
)
pytestmark = [needs_submitit, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]

KINDS = '[kinds.T4]\nslurm = {constraint = "t4", partition = "gpu"}\nnodes = 2\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path / "checkout")


def pids(checkout: Checkout) -> set[int]:
    return {int(path.name) for path in checkout.started.iterdir()}


def running(checkout: Checkout) -> set[int]:
    return {pid for pid in pids(checkout) if is_running(pid)}


def agents(folder: Path) -> list[int]:
    """Return the processes that wait for orders in this fleet's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder).encode() in b" ".join(words) and b"submitit.core._submit" in words:
            found.append(int(path.parent.name))
    return found


def test_a_fleet_through_submitit_is_interrupted_loses_a_job_and_is_resumed(tmp_path: Path, checkout: Checkout) -> None:
    (tmp_path / "fleet.toml").write_text(plan_text(checkout, repetitions=2, kinds=KINDS))
    folder = tmp_path / "run"
    words = command("run", str(tmp_path / "fleet.toml"), "--engine", "local", "--run-dir", str(folder))
    log = tmp_path / "head.log"

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as stream:
            return subprocess.Popen(words, stdout=stream, stderr=stream, cwd=tmp_path)

    def results() -> list[str]:
        return sorted(path.name for path in folder.glob("*-*.json"))

    head = start()
    wait_for(lambda: len(results()) >= 2, "the first results")
    checkout.wait.touch()
    wait_for(lambda: len(running(checkout)) == 2, "a process in each job")
    before = {name: (folder / name).read_bytes() for name in results()}
    head.send_signal(signal.SIGINT)
    assert head.wait(120) == 130, log.read_text()
    wait_for(lambda: not running(checkout), "the processes end")
    wait_for(lambda: not agents(folder), "the jobs end")
    assert before == {name: (folder / name).read_bytes() for name in results()}

    num_started = len(pids(checkout))
    head = start()
    wait_for(lambda: len(pids(checkout)) == num_started + 2, "a process in each job again")
    for pid in agents(folder)[:1]:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: "its job ended" in log.read_text(), "the lost job is noticed")
    checkout.wait.unlink()
    assert head.wait(240) == 0, log.read_text()
    found = Counter((name.split("-")[0], *name.split("-")[-2:]) for name in results())
    assert len(found) == 8
    assert set(found.values()) == {1}
    assert before == {name: (folder / name).read_bytes() for name in before}
    wait_for(lambda: not agents(folder), "no job is left behind")


def test_jobs_end_when_their_head_was_killed(
    tmp_path: Path, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.fleet.slurm_agent import HEAD, run_agent

    monkeypatch.setattr("perfsuite.fleet.slurm_agent.LOOK_S", 0.01)
    box = tmp_path / "slurm" / "1"
    box.mkdir(parents=True)
    (box.parent / HEAD).write_text('{"number": 1}')
    run_agent(str(box), 0.2)  # returns: the sign stays the same
    assert (box / "said.json").exists()
    assert checkout.folder.is_dir()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({}, "kinds.T4: --engine slurm needs nodes = N"),
        ({"ship": True}, "needs a checkout that nodes share"),
        ({"environments": ("pip",)}, "environments.a: --engine slurm needs python; pip and uv are Ray's"),
    ],
)
def test_what_slurm_cannot_do_is_refused_before_anything_is_submitted(
    changes: dict[str, object], complaint: str
) -> None:
    from perfsuite.fleet.slurm_engine import check_plan

    with pytest.raises(FleetError, match=complaint):
        check_plan(_plan(changes))


def _plan(changes: dict[str, object]) -> FleetPlan:
    plan = make_plan()
    if not changes:
        return plan
    kinds = tuple(dataclasses.replace(kind, num_nodes=2) for kind in plan.kinds)
    plan = dataclasses.replace(plan, kinds=kinds, ship=bool(changes.get("ship")))
    if "environments" in changes:
        alone = dataclasses.replace(plan.environments[0], python=None, pip=("torch",))
        plan = dataclasses.replace(plan, environments=(alone,))
    return plan


def test_slurm_is_asked_for_a_whole_node_with_the_options_of_the_kind() -> None:
    from submitit.slurm.slurm import _make_sbatch_string

    from perfsuite.fleet.slurm_engine import job_parameters

    plan = make_plan()
    kind = dataclasses.replace(plan.kinds[0], slurm={"constraint": "t4", "time": "04:00:00"}, num_nodes=1)
    parameters = job_parameters(kind)
    text = _make_sbatch_string(
        command="agent",
        folder="/shared",
        job_name=parameters["name"],
        nodes=parameters["nodes"],
        ntasks_per_node=parameters["tasks_per_node"],
        time=parameters["timeout_min"],
        additional_parameters=parameters["slurm_additional_parameters"],
    )
    for line in ("--exclusive", "--constraint=t4", "--time=04:00:00", "--nodes=1", "--ntasks-per-node=1"):
        assert f"#SBATCH {line}\n" in text

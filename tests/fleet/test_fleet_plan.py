"""`fleet.toml` is read strictly: what is wrong is one line that names table and key."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from fleet_files import REPOSITORY

from perfsuite.cli import main
from perfsuite.errors import FleetError
from perfsuite.fleet.lanes import training_tasks
from perfsuite.fleet.node_versions import asked_together, read_versions, version_problem
from perfsuite.fleet.plan import read_plan
from perfsuite.fleet.ray_nodes import kind_of_node, named, runtime_env_of

if TYPE_CHECKING:
    from pathlib import Path

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: the extra `fleet`")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

GOOD = """
[fleet]
repetitions = 3
arguments = ["benchmarks", "-m", "step"]
checkout = "/shared/checkout"
[kinds.T4]
accelerator_type = "T4"
nodes = 2
[kinds.big]
resources = {GPU = 8}
labels = {zone = "a"}
[environments."torch2.6"]
python = "/venvs/torch26/bin/python"
variables = {OMP_NUM_THREADS = "4"}
[environments.new]
pip = ["torch==2.13.*", "torchvision"]
[environments.newer]
uv = ["torch==2.15.*"]
[train]
shared = "/shared/trainings"
models = ["resnet18", "mine.py:make"]
precisions = ["fp32"]
seeds = 2
"""


def read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    read_plan(path)


def test_a_plan_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(GOOD)
    plan = read_plan(path)
    assert [kind.num_nodes for kind in plan.kinds] == [2, None]
    assert plan.kinds[1].resources == {"GPU": 8.0}
    assert plan.environment("new").pip == ("torch==2.13.*", "torchvision")
    assert plan.environment("torch2.6").variables == {"OMP_NUM_THREADS": "4"}
    assert (plan.num_repetitions, plan.checkout, plan.ship) == (3, "/shared/checkout", False)
    assert plan.trainings is not None
    assert list(training_tasks(plan.trainings)) == [
        "resnet18-fp32-seed0",
        "mine.py_make-fp32-seed0",
        "resnet18-fp32-seed1",
        "mine.py_make-fp32-seed1",
    ]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "repetitions = 3",
            "repetition = 3",
            r"\[fleet\]: unknown key 'repetition'; choose from arguments, repetitions",
        ),
        ("repetitions = 3", "repetitions = 0", r"\[fleet\]: repetitions is int 0, a whole number from 1 to 100"),
        ("repetitions = 3", "repetitions = true", "repetitions is a boolean, a whole number from 1 to 100"),
        ("repetitions = 3", "ship = 1", "ship is int 1, true or false is needed"),
        ('"-m", "step"', '"--benchmark-json=x"', "--benchmark-json=x: cannot be given here"),
        ('["benchmarks", "-m", "step"]', '"benchmarks"', "arguments is a text, a list of texts"),
        ('"/shared/checkout"', '"checkout"', "checkout is 'checkout'; write a whole path"),
        ('accelerator_type = "T4"\n', "", r"\[kinds.T4\]: does not say which nodes"),
        ("nodes = 2", "nodes = 2\ncolour = 1", r"\[kinds.T4\]: unknown key 'colour'"),
        ("{GPU = 8}", "{GPU = -1}", "resources.GPU is int -1, a positive number"),
        ('zone = "a"', "zone = 1", "labels.zone is int 1, a text"),
        ("[kinds.big]", '[kinds."../x"]', r"\[kinds...\/x\]: a name has at most 40"),
        ('uv = ["torch==2.15.*"]', "", r"\[environments.newer\]: has none of them; write one of python"),
        ('uv = ["torch==2.15.*"]', 'uv = ["a"]\npip = ["b"]', "has pip and uv; write one of"),
        ('OMP_NUM_THREADS = "4"', "OMP_NUM_THREADS = 4", "variables.OMP_NUM_THREADS is int 4, a text"),
        ('shared = "/shared/trainings"', "", r"\[train\]: has no shared"),
        ("seeds = 2", 'arguments = ["-k", "x"]', r"\[train\]: arguments: -k is set by models"),
        ('"mine.py:make"', '"resnet18"', None),
        ("[fleet]", "[flet]", "the file: unknown key 'flet'; choose from fleet, kinds, environments, train"),
        ("[fleet]", "[fleet", "not TOML"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(tmp_path: Path, old: str, new: str, complaint: str | None) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if complaint is None:
        path = tmp_path / "fleet.toml"
        path.write_text(text)
        trainings = read_plan(path).trainings
        assert trainings is not None
        with pytest.raises(FleetError, match="two of them have the same name"):
            training_tasks(trainings)
        return
    with pytest.raises(FleetError, match=complaint) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "fleet.toml"))


@pytest.mark.parametrize("table", ["kinds", "environments"])
def test_a_plan_without_kinds_or_environments_is_refused(tmp_path: Path, table: str) -> None:
    lines = [line for line in GOOD.replace(f"[{table}.", f"[{'x' * 3}{table}.").splitlines() if line]
    with pytest.raises(FleetError, match=rf"unknown key 'xxx{table}'|no \[{table}.NAME\]"):
        read(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "missing.toml"], "missing.toml: cannot be read: no such file"),
        (["run", "missing.toml", "--wait", "x"], "--wait: 'x' is not a time"),
        (["run", "missing.toml", "--engine", "k8s"], "unknown engine 'k8s'; choose from local, ray, slurm"),
        (["status", "missing.toml"], "results/fleet-missing: contains no fleet"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_status_2(
    words: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fleet", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"perfsuite: error: {complaint}")
    assert error.count("\n") == 1


# -- What Ray is told and tells; needs no Ray ------------------------------------------------------------------------

NODE = {
    "NodeID": "abcdef0123",
    "NodeName": "10.0.0.7",
    "NodeManagerAddress": "10.0.0.7",
    "NodeManagerHostname": "gpu-7",
    "Resources": {"CPU": 16.0, "GPU": 8.0, "accelerator_type:T4": 1.0},
    "Labels": {"zone": "a"},
}


def test_packages_of_an_environment_are_handed_to_ray_and_interpreters_are_not(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(GOOD)
    plan = read_plan(path)
    config = {"config": {"setup_timeout_seconds": 1800}}
    assert [runtime_env_of(one) for one in plan.environments] == [
        {},
        {"pip": {"packages": ["torch==2.13.*", "torchvision"], "pip_check": False}, **config},
        {"uv": {"packages": ["torch==2.15.*"]}, **config},
    ]
    assert asked_together(plan.environments) == [("torch2.6",), ("new",), ("newer",)]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "T4"),
        ({"Resources": {"CPU": 16.0, "GPU": 8.0}}, "big"),
        ({"Resources": {"CPU": 16.0, "GPU": 4.0}}, None),
        ({"Resources": {"CPU": 16.0, "GPU": 8.0}, "Labels": {"zone": "b"}}, None),
        ({"Resources": {"CPU": 2.0}, "Labels": {"ray.io/accelerator-type": "T4"}}, "T4"),
        ({"Resources": {"GPU": 8.0, "accelerator_type:T4": 1.0}}, None),
    ],
)
def test_a_node_is_of_the_first_kind_that_it_matches(
    tmp_path: Path, changes: dict[str, object], kind: str | None
) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(GOOD)
    assert kind_of_node({**NODE, **changes}, read_plan(path).kinds) == kind


def test_nodes_are_named_by_their_hosts_which_stay_when_ray_is_started_again() -> None:
    own = {**NODE, "NodeID": "1" * 10, "NodeName": "../my node"}
    twin = {**NODE, "NodeID": "2" * 10}
    assert list(named([NODE])) == ["gpu-7"]
    assert list(named([NODE, own, twin])) == ["gpu-7.abcdef", "my_node", "gpu-7.222222"]


VERSIONS = {"python": "3.11.7", "torch": "2.6.0", "pytest": "8.2", "pytest-benchmark": "5.1"}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"environments.a": VERSIONS}, None),
        ({"environments.a": {**VERSIONS, "torch": "2.7.0"}}, 'environments.a.torch was "2.6.0" and is "2.7.0"'),
        ({"environments.a": {"error": "no such interpreter: /x"}}, "environment a: no such interpreter: /x"),
        ({"environments.a": {"python": "3.11.7"}}, "environment a: has no torch"),
        ({"environments.b": {**VERSIONS, "torch": "2.7.0"}}, None),
    ],
)
def test_a_node_whose_versions_differ_is_found_before_hours_are_spent_on_it(
    answer: dict[str, object], problem: str | None
) -> None:
    found = version_problem({"code": "abc", "environments.a": VERSIONS}, answer)
    assert (found is None) if problem is None else (found is not None and problem in found)


@pytest.mark.parametrize(
    "result", [None, b"", b"[]", b"{}", b'{"versions": {"a": 5}}', b'{"versions": {"a": {"b": 5}}}', b"[" * 9999]
)
def test_what_a_node_says_of_its_versions_is_not_trusted(result: bytes | None) -> None:
    assert read_versions(result) is None


@pytest.mark.parametrize(
    ("engine", "module", "complaint"),
    [
        ("ray", "ray", "perfsuite fleet needs Ray, which is not installed: pip install 'perfsuite[fleet]'"),
        ("slurm", "submitit", "--engine slurm needs submitit, which is not installed: pip install 'perfsuite[fleet]'"),
    ],
)
def test_without_the_extra_one_line_says_how_to_install_it(
    tmp_path: Path, engine: str, module: str, complaint: str
) -> None:
    (tmp_path / "fleet.toml").write_text(GOOD)
    code = f"import sys; sys.modules[{module!r}] = None; from perfsuite.cli import main; sys.exit(main())"
    words = ["fleet", "run", "fleet.toml", "--engine", engine]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("words", [["--help"], ["fleet", "--help"], ["fleet", "status", "nowhere"]])
def test_help_and_status_import_neither_ray_nor_submitit(tmp_path: Path, words: list[str]) -> None:
    code = (
        "import sys\nfrom perfsuite.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert not {'ray', 'submitit', 'torch'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=True)


@needs_ray
@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("nowhere", "write auto, HOST:PORT or ray://HOST:PORT"),
        ("host:99999", "write auto, HOST:PORT"),
        ("127.0.0.1:1", "nothing answers there"),
        ("ray://127.0.0.1:1", "nothing answers there"),
    ],
)
def test_an_address_where_no_cluster_is_ends_in_one_line_at_once(address: str, complaint: str) -> None:
    from perfsuite.fleet.ray_engine import check_address

    with pytest.raises(FleetError, match=complaint):
        check_address(address)


@needs_ray
@pytest.mark.parametrize(
    "said",
    [None, {}, {"attempt": 2, "line": "x"}, {"attempt": 1, "line": 5}, {"attempt": 1, "status": 0, "result": "text"}],
)
def test_an_answer_of_another_form_is_a_failure_and_no_result(said: object) -> None:
    from perfsuite.fleet.engine import Ended
    from perfsuite.fleet.ray_engine import read_answer

    event = read_answer(said, 1)
    assert isinstance(event, Ended)
    assert (event.status, event.result) == (-1, None)

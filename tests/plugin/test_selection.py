from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from suite_run import REPOSITORY

from perfsuite.plugin.distribution import MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable

TRAINING = """
import pytest

@pytest.mark.full_training
@pytest.mark.long
@pytest.mark.parametrize("model", ["resnet18", "resnet34"])
def test_training(model):
    pass

def test_quick():
    pass
"""


@pytest.fixture
def selected(suite_folder: pytest.Pytester) -> Callable[..., list[str]]:
    """Collect with these arguments, and return what is left."""
    (suite_folder.path / "benchmarks" / "test_step.py").unlink()
    (suite_folder.path / "benchmarks" / "test_full_training.py").write_text(TRAINING)

    def collect(*arguments: str) -> list[str]:
        result = suite_folder.runpytest_inprocess("--collect-only", "-q", *arguments)
        return [line.partition("::")[2] for line in result.stdout.lines if "::" in line]

    return collect


BOTH = ["test_training[resnet18]", "test_training[resnet34]"]


@pytest.mark.parametrize("arguments", [(), ("benchmarks",), ("-m", "not step"), ("-k", "test_training or quick")])
def test_full_trainings_are_deselected_unless_asked_for(
    selected: Callable[..., list[str]], arguments: tuple[str, ...]
) -> None:
    assert selected(*arguments) == ["test_quick"]


@pytest.mark.parametrize("expression", ["full_training", "long", "full_training and not step"])
def test_full_trainings_run_when_their_marker_is_named(selected: Callable[..., list[str]], expression: str) -> None:
    assert selected("-m", expression) == BOTH


def test_naming_the_marker_to_exclude_it_excludes_it(selected: Callable[..., list[str]]) -> None:
    assert selected("-m", "not full_training") == ["test_quick"]


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("benchmarks/test_full_training.py::test_training[resnet34]", BOTH[1:]),
        ("benchmarks/test_full_training.py::test_training", BOTH),
        ("benchmarks/test_full_training.py", ["test_quick"]),
        ("benchmarks/test_full_training.py::test_quick", ["test_quick"]),
    ],
)
def test_full_trainings_run_when_a_node_id_names_them(
    selected: Callable[..., list[str]], node: str, expected: list[str]
) -> None:
    assert selected(node) == expected


PAIRS = """
import pytest

@pytest.mark.step(phase="forward")
def test_forward():
    pass

@pytest.mark.interleaved
def test_interleaved():
    pass

@pytest.mark.overhead
def test_overhead():
    pass
"""
ALL = ["test_forward", "test_interleaved", "test_overhead"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ALL[:1]),
        (("benchmarks",), ALL[:1]),
        (("-k", "test_forward or overhead"), [ALL[0], ALL[2]]),
        (("-k", "not forward"), []),
        (("-m", "interleaved"), ALL[1:2]),
        (("-m", "not step"), ALL[1:]),
        (("benchmarks/test_pairs.py",), ALL),
        (("benchmarks/test_pairs.py::test_interleaved",), ALL[1:2]),
    ],
)
def test_a_plain_run_is_the_step_benchmarks_and_the_rest_runs_where_it_is_named(
    suite_folder: pytest.Pytester, arguments: tuple[str, ...], expected: list[str]
) -> None:
    (suite_folder.path / "benchmarks" / "test_step.py").unlink()
    (suite_folder.path / "benchmarks" / "test_pairs.py").write_text(PAIRS)
    result = suite_folder.runpytest_inprocess("--collect-only", "-q", *arguments)
    assert [line.partition("::")[2] for line in result.stdout.lines if "::" in line] == expected


@pytest.mark.parametrize("argument", ["benchmarks/test_full_training.py", "benchmarks"])
def test_where_there_are_full_trainings_alone_the_command_that_trains_is_told(
    suite_folder: pytest.Pytester, argument: str
) -> None:
    (suite_folder.path / "benchmarks" / "test_step.py").unlink()
    (suite_folder.path / "benchmarks" / "test_full_training.py").write_text(TRAINING.partition("def test_quick")[0])
    result = suite_folder.runpytest_inprocess("-q", argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    expected = f"ERROR: {argument}: contains full trainings, which take hours and run only on request: "
    assert f"{expected}pytest {argument} -m full_training" in result.stderr.str() + result.stdout.str()


def test_workers_of_xdist_measure_nothing_and_the_run_ends_with_one_line(suite_folder: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    (suite_folder.path / "benchmarks" / "test_step.py").write_text(
        "import pytest\n"
        "@pytest.mark.step(phase='forward')\n"
        "def test_forward(workload):\n"
        "    open('measured', 'w').close()\n"
    )
    result = suite_folder.runpytest_subprocess("-n", "1", "--perf-device=cpu", "--perf-models=resnet18", "-q")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.outlines if line.startswith("ERROR")] == [f"ERROR: {MESSAGE}"]
    assert not (suite_folder.path / "measured").exists()
    assert not (suite_folder.path / "results").exists()


def test_pytester_is_loaded_by_the_tests_and_not_for_users() -> None:
    options = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert "pytester" not in options["addopts"]

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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

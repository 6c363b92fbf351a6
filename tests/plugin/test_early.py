"""What the installed plugin does before pytest reads any configuration."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING

import pytest
from _pytest.config import Config, PytestPluginManager

from perfsuite.plugin import early

if TYPE_CHECKING:
    from pathlib import Path


class OldBenchmark:
    """Declares the option as pytest-benchmark 5.1 to 5.2 do."""

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        parser.getgroup("benchmark").addoption("--benchmark-json", metavar="PATH", type=argparse.FileType("wb"))


@pytest.mark.parametrize("order", [("early", "benchmark"), ("benchmark", "early")])
def test_an_older_pytest_benchmark_does_not_empty_the_results_at_option_parsing(
    order: tuple[str, str], tmp_path: Path
) -> None:
    plugins = {"early": early, "benchmark": OldBenchmark()}
    manager = PytestPluginManager()
    config = Config(manager)
    for name in order:
        manager.register(plugins[name], name)
    kept = tmp_path / "keep.json"
    kept.write_text("of hours")
    options = config._parser.parse_known_args([f"--benchmark-json={kept}"])
    assert kept.read_text() == "of hours"
    options.benchmark_json.close()  # as perfsuite does, which writes the file itself
    assert kept.read_text() == "of hours"
    assert options.benchmark_json.name == str(kept)
    with contextlib.suppress(ZeroDivisionError), options.benchmark_json as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert kept.read_text() == "of hours"


def test_what_an_older_pytest_benchmark_writes_is_there_at_the_end(tmp_path: Path) -> None:
    with early.UnopenedFile(str(tmp_path / "new.json")) as file:
        file.write(b"new")
    assert (tmp_path / "new.json").read_text() == "new"

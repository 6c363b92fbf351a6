"""Which formats there are, by name: a module each, imported when its format is asked for."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.errors import InstallationError
from perfsuite.parsing import choose

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.analysis.exporters.exported_run import ExportedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """One format of another tool.

    Attributes:
        module: Of `perfsuite.analysis.exporters`. It has a function: of a file, `<name>_text(runs)`, which returns the
            text; of a folder, `write_<name>(runs, folder)`, which returns lines on what was written.
        about: What reads it, in words.
        several: What becomes of several files, in words.
        default: Name of the file or folder.
        is_folder: Whether it is a folder, which is added to; a file is written to standard output without `-o`.
        package: The module that writes it and its package, where it comes with the extra `export`.
    """

    module: str
    about: str
    several: str
    default: str
    is_folder: bool = False
    package: tuple[str, str] | None = None


ONE_RESULT = "one result, the median of the runs of each machine"

EXPORTERS: dict[str, Exporter] = {
    "github-smaller": Exporter(
        module="github",
        about="github-action-benchmark, tool customSmallerIsBetter: times, peak memory, energy",
        several=ONE_RESULT,
        default="smaller.json",
    ),
    "github-bigger": Exporter(
        module="github",
        about="github-action-benchmark, tool customBiggerIsBetter: throughput, accuracy",
        several=ONE_RESULT,
        default="bigger.json",
    ),
    "bencher": Exporter(
        module="bencher",
        about="Bencher Metric Format, for bencher run --adapter json --file",
        several=ONE_RESULT,
        default="bencher.json",
    ),
    "pytorch": Exporter(
        module="pytorch_database",
        about="PyTorch's benchmark database, schema v3",
        several="runs of one machine, commit and versions are the values of one record",
        default="benchmark-results.json",
    ),
    "openmetrics": Exporter(
        module="openmetrics",
        about="OpenMetrics, for Prometheus and the textfile collector of node_exporter",
        several="the newest value of each machine and benchmark",
        default="perfsuite.prom",
        package=("prometheus_client", "prometheus_client"),
    ),
    "mlflow": Exporter(
        module="mlflow_store",
        about="MLflow, in its file store",
        several="one run per file; a file that is already stored is not added again",
        default="mlruns",
        is_folder=True,
        package=("mlflow", "mlflow-skinny"),
    ),
    "otava": Exporter(
        module="otava",
        about="Apache Otava, CSV and the otava.yaml that reads it",
        several="one row per file, in order of time",
        default="otava",
        is_folder=True,
    ),
}


def choose_exporter(name: str) -> Exporter:
    """Return a format.

    Raises:
        InvalidChoiceError: There is none of that name.
        InstallationError: What writes it is not installed.
    """
    exporter = choose(EXPORTERS, name, kind="format")
    if exporter.package is not None and importlib.util.find_spec(exporter.package[0]) is None:
        raise InstallationError(f"{name} is written with {exporter.package[1]}: pip install 'perfsuite[export]'")
    return exporter


def export_text(name: str, runs: Sequence[ExportedRun]) -> str:
    """Return results as the text of a file.

    Raises:
        ResultFileError: They hold nothing of what the format takes.
    """
    text = getattr(_module(name), f"{name.replace('-', '_')}_text")(runs)
    return str(text)


def export_folder(name: str, runs: Sequence[ExportedRun], folder: Path) -> tuple[str, ...]:
    """Write results to a folder.

    Returns:
        What was written and what to do with it, a line each.

    Raises:
        ResultFileError: They hold nothing of what the format takes, or the folder cannot be written.
    """
    lines = getattr(_module(name), f"write_{name}")(runs, folder)
    return tuple(lines)


def _module(name: str) -> object:
    return importlib.import_module(f"perfsuite.analysis.exporters.{EXPORTERS[name].module}")

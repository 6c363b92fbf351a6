"""Runs of MLflow, in its file store.

MLflow keeps the file store as it is and asks for a database since 3.13: `MLFLOW_ALLOW_FILE_STORE=true` opens one, and
`mlflow migrate-filestore` makes a database of it. A database needs SQLAlchemy, which `mlflow-skinny` does not bring.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.exporters.exported_run import distinct, limited, require
from perfsuite.errors import ResultFileError
from perfsuite.folder_lock import folder_held
from perfsuite.formatting import first_line, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from perfsuite.analysis.exporters.exported_run import ExportedRun

EXPERIMENT = "perfsuite"

DIGEST_TAG = "perfsuite.sha256"
"""Tag of a run: the content of its file, by which it is found again."""

MAX_KEY = 250
"""Characters of a metric's name. Source: MAX_ENTITY_KEY_LENGTH in mlflow/utils/validation.py."""

MAX_FILE_NAME = 200
"""Bytes of a part of a metric's name, which is a file's in a file store; file systems take 255."""

MAX_BATCH = 1000
"""Metrics in a request. Source: MAX_METRICS_PER_BATCH in the same file."""

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_\-. ]")

MAX_SEARCHED = 50_000
"""Runs in a page of a search. Source: SEARCH_MAX_RESULTS_THRESHOLD in mlflow/store/tracking/__init__.py."""

SETTINGS = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Of MLflow, while this module writes: an export sends nothing to anybody."""


def write_mlflow(runs: Sequence[ExportedRun], folder: Path) -> tuple[str, ...]:
    """Add a run for each file that is not there yet."""
    with_values = [one for one in runs if one.values]
    require(with_values, "values that have a history")
    with folder_held(folder, ResultFileError), _settings():
        try:
            num_added = _add(with_values, folder)
        except Exception as error:  # MLflow raises its own kind for anything, a full disk too
            if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] != "mlflow":
                raise
            raise ResultFileError(f"{folder}: cannot be written: {first_line(error)}") from None
    num_known = len(with_values) - num_added
    known = f"; {plural(num_known, 'run')} were there already" if num_known else ""
    return (
        f"{folder}: {plural(num_added, 'new run')} in the experiment {EXPERIMENT}{known}",
        f"to look at it: MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {folder}",
    )


def _add(runs: Sequence[ExportedRun], folder: Path) -> int:
    from mlflow.tracking import MlflowClient

    uri = folder.resolve().as_uri()
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    identity = client.create_experiment(EXPERIMENT) if experiment is None else experiment.experiment_id
    finished, unfinished = _known_runs(client, identity)
    num_added = 0
    for one in runs:
        for run_id in unfinished.get(one.digest, []):  # of an export that was interrupted
            client.delete_run(run_id)
        if one.digest not in finished:
            _add_run(client, identity, one)
            num_added += 1
    return num_added


def _known_runs(client: Any, experiment: str) -> tuple[set[str], dict[str, list[str]]]:
    """Return the digests of the files that are there, and by digest the runs that may have a part of one."""
    finished: set[str] = set()
    unfinished: dict[str, list[str]] = defaultdict(list)
    page = None
    while True:
        found = client.search_runs([experiment], max_results=MAX_SEARCHED, page_token=page)
        for run in found:
            digest = run.data.tags.get(DIGEST_TAG, "")
            if run.info.status == "FINISHED":
                finished.add(digest)
            else:
                unfinished[digest].append(run.info.run_id)
        page = found.token
        if not page:
            return finished, unfinished


def _add_run(client: Any, experiment: str, one: ExportedRun) -> None:
    from mlflow.entities import Metric, Param

    moment_ms = int(one.run.started_s * 1e3) if one.is_dated else 0
    tags = {DIGEST_TAG: one.digest, "perfsuite.complete": str(one.run.is_complete).lower()}
    run = client.create_run(experiment, start_time=moment_ms, tags=tags, run_name=limited(one.name, MAX_KEY))
    numbers = {_key(value.benchmark, value.metric): value.value for value in one.values}
    for value in one.values:
        if value.low is not None and value.high is not None:
            numbers[_key(value.benchmark, f"{value.metric}.low")] = value.low
            numbers[_key(value.benchmark, f"{value.metric}.high")] = value.high
    metrics = [Metric(key, number, moment_ms, 0) for key, number in numbers.items()]
    place = {"machine": one.run.machine, "file": one.name, **one.run.place}
    params = [Param(_allowed(name), text) for name, text in place.items()]
    client.log_batch(run.info.run_id, params=params)
    for start in range(0, len(metrics), MAX_BATCH):
        client.log_batch(run.info.run_id, metrics=metrics[start : start + MAX_BATCH])
    client.set_terminated(run.info.run_id, end_time=moment_ms)


def _key(benchmark: str, metric: str) -> str:
    return f"{_allowed(benchmark)}/{metric}"


def _allowed(name: str) -> str:
    """Return a name of letters, digits and ` _-.`, which MLflow and every file system take.

    A name that is not kept as it is ends with a part of a hash, so that two names stay two.
    """
    allowed = _NOT_ALLOWED.sub("_", name).strip(" .")
    return limited(distinct(allowed, name), MAX_FILE_NAME)


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """Set MLflow's settings in the environment, where alone it reads them, and restore what was there."""
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

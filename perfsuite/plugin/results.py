"""The result file: checked before the first cell, written after every cell, whole at any moment."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.atomic_write import write_atomically
from perfsuite.plugin.outcomes import has_begun, is_cell, is_complete, note_started, outcomes
from perfsuite.plugin.session import finished_benchmarks, has_cells, is_recording, suite, take_over_json
from perfsuite.records.schema import KEY, SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Generator

    from perfsuite.plugin.session import NamedFile
    from perfsuite.records.environment import Environment

_PATH = pytest.StashKey[Path]()
_ENVIRONMENT = pytest.StashKey["Environment"]()
_MACHINE_INFO = pytest.StashKey[dict[str, Any]]()
_COMMIT_INFO = pytest.StashKey[dict[str, Any]]()
_ERROR = pytest.StashKey[str]()


def result_path(config: pytest.Config) -> Path | None:
    """Return where the results of this run are, or None if it makes none."""
    return config.stash.get(_PATH, None)


def write_error(config: pytest.Config) -> str | None:
    """Return why the results could not be written where they belong, or None."""
    return config.stash.get(_ERROR, None)


def environment(config: pytest.Config) -> Environment:
    """Return what machine and which versions this is; read once."""
    if _ENVIRONMENT not in config.stash:
        from perfsuite.measure.environment import read_environment

        config.stash[_ENVIRONMENT] = read_environment(suite(config).device, folder=config.rootpath)
    return config.stash[_ENVIRONMENT]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Settle where the results go, and see that they can be written, before anything is measured."""
    config = session.config
    if not is_recording(config):
        return
    named = take_over_json(config)
    path = _default_path(config) if named is None else named.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass  # the folder can be written: every later version of the file replaces the one before
        created = _create_with_free_name(path) if named is None else _create(named)
    except OSError as error:
        raise pytest.UsageError(
            f"--benchmark-json {path}: cannot be written ({error.strerror}); name a file in a folder that can"
        ) from None
    config.stash[_PATH] = created.absolute()
    write_results(config)  # readable at any time from now on


def _create(named: NamedFile) -> Path:
    """Create the file that the user named; another run's results are never replaced.

    The file of full trainings that were cut off is: the same command resumes them, and has the finished ones again.

    Raises:
        pytest.UsageError: There is something else.
    """
    path = named.path
    try:
        path.touch(exist_ok=named.is_open)
    except FileExistsError:
        if _holds_unfinished_trainings(path):
            return path
        if path.is_file():
            problem = "exists, and results are never overwritten; name another file, or remove it"
        else:
            problem = "a folder; name a file" if path.is_dir() else "not a regular file; name a file"
        raise pytest.UsageError(f"--benchmark-json {path}: {problem}") from None
    return path


def _holds_unfinished_trainings(path: Path) -> bool:
    """Whether a file is that of a run that did not finish and finished nothing but full trainings, if any."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        ours, benchmarks = content[KEY], content["benchmarks"]
        kinds = {benchmark["extra_info"][KEY]["kind"] for benchmark in benchmarks}
        nodeids = {outcome["nodeid"] for outcome in ours["outcomes"]}
        is_cut_off = ours["complete"] is False
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return False  # not ours
    return is_cut_off and kinds <= {"training"} and (bool(kinds) or any("full_training" in name for name in nodeids))


def _create_with_free_name(path: Path) -> Path:
    """Create the file, with a number where another run has taken its name: no two runs write to one file."""
    candidate, number = path, 2
    while True:
        try:
            candidate.touch(exist_ok=False)
        except FileExistsError:
            candidate, number = path.with_name(f"{path.stem}_{number}.json"), number + 1
        else:
            return candidate


def _default_path(config: pytest.Config) -> Path:
    where = environment(config)
    started = re.sub(r"[^0-9T]", "", suite(config).process.started.partition("+")[0])
    device = re.sub(r"[^a-z0-9]+", "-", where.device.lower()).strip("-") or where.device_type
    return config.rootpath / "results" / f"{started}Z_{device}_torch-{where.torch}.json"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Write what there is before and after every cell: nothing finished is lost, whatever happens later.

    Before it, so that a cell that kills the whole process is known as the one that was being measured.
    """
    is_recorded = result_path(item.config) is not None and is_cell(item)
    if is_recorded:
        note_started(item)
        write_results(item.config)
    result = yield
    if is_recorded:
        write_results(item.config)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Write the results for good, then let pytest-benchmark save, compare and group what is left to it."""
    config = session.config
    path = result_path(config)
    if path is not None and not has_begun(config):
        del config.stash[_PATH]
        path.unlink(missing_ok=True)
    elif path is not None:
        write_results(config)
        if write_error(config) is not None and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
    return (yield)


def write_results(config: pytest.Config) -> None:
    """Write atomically; where that fails (a full disk), to the folder for temporary files, and say so."""
    text = json.dumps(_content(config), indent=1, default=str)
    try:
        write_atomically(config.stash[_PATH], text)
    except OSError as error:
        if _ERROR in config.stash:
            config.stash[_ERROR] += f"; neither can {config.stash[_PATH]}: {error.strerror}"
            return
        config.stash[_ERROR] = f"{config.stash[_PATH]}: cannot be written: {error.strerror}"
        config.stash[_PATH] = _spare_folder() / config.stash[_PATH].name
        write_results(config)


def _spare_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="perfsuite-"))


def _content(config: pytest.Config) -> dict[str, Any]:
    """Return the file's content as pytest-benchmark makes it, through its own hooks."""
    benchmarks = finished_benchmarks(config)
    if _MACHINE_INFO not in config.stash:
        info = config.hook.pytest_benchmark_generate_machine_info(config=config)
        config.hook.pytest_benchmark_update_machine_info(config=config, machine_info=info)
        commit = config.hook.pytest_benchmark_generate_commit_info(config=config)
        config.hook.pytest_benchmark_update_commit_info(config=config, commit_info=commit)
        config.stash[_MACHINE_INFO], config.stash[_COMMIT_INFO] = info, commit
    content: dict[str, Any] = config.hook.pytest_benchmark_generate_json(
        config=config,
        benchmarks=benchmarks,
        include_data=True,
        machine_info=config.stash[_MACHINE_INFO],
        commit_info=config.stash[_COMMIT_INFO],
    )
    config.hook.pytest_benchmark_update_json(config=config, benchmarks=benchmarks, output_json=content)
    return content


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, Any] | None:
    """Give pytest-benchmark what it has found out before: asking the processor takes it a second each time."""
    return config.stash.get(_MACHINE_INFO, None)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add our environment, if this run measures anything of perfsuite's."""
    if has_cells(config):
        machine_info[KEY] = environment(config).to_json()


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_benchmark_compare_machine_info(machine_info: dict[str, Any], compared_benchmark: dict[str, Any]) -> None:
    """Leave our part out of the comparison: it is made before anything is collected, when ours is not there yet."""
    for info in (machine_info, compared_benchmark.get("machine_info")):
        if isinstance(info, dict):
            info.pop(KEY, None)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add what failed, was skipped or not run."""
    if has_cells(config):
        output_json[KEY] = {
            "schema_version": SCHEMA_VERSION,
            "complete": is_complete(config),
            "outcomes": [outcome.to_json() for outcome in outcomes(config)],
        }

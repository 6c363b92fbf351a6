"""The profile pass: after the last timed cell, every cell's workload once more, to see where its time goes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.plugin.options import OPTIONS
from perfsuite.plugin.outcomes import end_run_without_device
from perfsuite.plugin.progress import profile_reported, profiles_reported
from perfsuite.plugin.results import result_path, write_results
from perfsuite.plugin.session import finished_benchmarks, is_recording, suite
from perfsuite.records.cell import Record
from perfsuite.records.reading import read_record
from perfsuite.records.schema import KEY
from perfsuite.records.strict_json import to_strict_json
from perfsuite.records.workload import CALL

if TYPE_CHECKING:
    from collections.abc import Generator

    from perfsuite.measure.kernel_profile import BuiltStep


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the profiler's own log from the terminal; it reads this once, when it is first used."""
    if is_recording(session.config):
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Profile what was measured, once nothing is left to be timed: a profiler slows all that comes after it."""
    result = yield
    config = session.config
    quick = config.stash[OPTIONS].quick
    stopped = bool(session.shouldstop or session.shouldfail)
    if is_recording(config) and result_path(config) and config.stash[OPTIONS].profiled and not quick and not stopped:
        _profile(session)
    return result


def _profiled_cells(config: pytest.Config) -> list[tuple[Any, Record]]:
    """Return the steps that were measured; the phases of one step follow each other: it is built once for all."""
    cells = []
    for bench in finished_benchmarks(config):
        if KEY in bench.extra_info:
            record = read_record(bench.extra_info[KEY])
            if isinstance(record, Record) and record.workload.phase != CALL:  # what it called is gone
                cells.append((bench, record))
    cells.sort(key=lambda cell: dataclasses.replace(cell[1].workload, phase="").label)
    return cells


def _profile(session: pytest.Session) -> None:
    from perfsuite.measure.kernel_profile import BuiltStep
    from perfsuite.workloads.device_errors import why_device_is_lost

    config = session.config
    cells = _profiled_cells(config)
    lost: str | None = None
    built = BuiltStep(suite(config).device)
    with profiles_reported(config, [bench.fullname for bench, _ in cells]):
        for number, (bench, record) in enumerate(cells, start=1):
            text = f"where the time goes: {number} of {len(cells)}, {record.workload.label}"
            with profile_reported(config, bench.fullname, text):
                if lost is None:
                    found, problem = _taken(config, record, built, float(bench.stats.median))
                    lost = why_device_is_lost(suite(config).device)
                if lost is not None:
                    found, problem = None, f"the device was lost: {lost}"
            content = bench.extra_info[KEY]
            content["profile"] = found
            if problem is not None:
                content["findings"] = [*content["findings"], f"no profile: {problem}"]
            write_results(config)
    with contextlib.suppress(Exception):  # a device that was lost: the numbers are there already
        built.close()
    if lost is not None:
        end_run_without_device(session, f"the device was lost: {lost}")
        raise session.Failed(session.shouldfail)


def _taken(
    config: pytest.Config, record: Record, built: BuiltStep, timed_s: float
) -> tuple[dict[str, Any] | None, str | None]:
    """Return the profile, or why there is none: whatever goes wrong here must not cost a number."""
    from perfsuite.measure.kernel_profile import profile_workload

    try:
        profile = profile_workload(record.workload, built, device=suite(config).device, timed_s=timed_s)
        return to_strict_json(dataclasses.asdict(profile)), None
    except Exception as error:  # noqa: BLE001 - whatever it is: the number is there already
        with contextlib.suppress(Exception):
            built.close()  # in which state it is, nobody knows
        return None, f"{str(error).strip() or type(error).__name__}".partition("\n")[0][:200]

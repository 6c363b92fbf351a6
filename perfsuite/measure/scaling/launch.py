"""Starts the ranks of a cell in fresh processes, watches them, and leaves none behind, however the cell ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite import errors
from perfsuite.child_process import ended_in_words, kill, last_words, started
from perfsuite.errors import DeviceLostError, MeasurementError, OutOfMemoryError, PerfsuiteError
from perfsuite.formatting import plural
from perfsuite.measure.scaling.job import STAGES, RankFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.measure.scaling.job import AgentReport, Position, RankError, RankResult, ScalingJob

LOOK_S = 0.25
"""Between two looks at the ranks: each takes a tenth of a millisecond from the cores that they use."""

START_S = 300.0
"""How long ranks may take to import torch and to build the network, where that is more than the timeout of a cell."""

GENTLE_S = 5.0
"""How long the launcher may take to end its ranks when it is asked to, before everything is killed."""

GONE_S = 10.0
"""How long the end of killed ranks is waited for; a process with a large GPU context takes a second or two."""


def run_ranks(
    job: ScalingJob,
    *,
    report_stage: Callable[[str], None],
    now: Callable[[], float] = time.monotonic,
) -> tuple[RankResult, ...]:
    """Run a job in fresh processes, and return what each rank measured [rank].

    The launcher is in a process group of its own and ends with this process, however that ends; the ranks end with it.

    Raises:
        NotSupportedError: This hardware lacks what the workload asks for.
        OutOfMemoryError: A rank ran out of memory.
        PerfsuiteError: A rank raised one, died or hung; the message names it.
    """
    with tempfile.TemporaryDirectory(prefix="perfsuite-ranks-", ignore_cleanup_errors=True) as name:
        folder = RankFolder(Path(name))
        folder.write_job(job)
        command = [sys.executable, "-m", "perfsuite.measure.scaling.agent", name, str(job.world_size)]
        with (
            folder.output.open("wb") as output,
            started(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=rank_environment(job)
            ) as process,
        ):
            try:
                is_hung = not _watch(process, folder, job, report_stage=report_stage, now=now)
            finally:
                _end(process, folder, job.world_size)
        results = folder.results(job.world_size)
        if not is_hung and process.returncode == 0 and len(results) == job.world_size:
            return tuple(results)
        raise problem_of(
            job,
            found=folder.errors(job.world_size),
            agent=folder.agent(),
            positions=folder.positions(job.world_size),
            is_hung=is_hung,
            last_words=last_words(folder.output),
        )


def rank_environment(job: ScalingJob) -> dict[str, str]:
    """Return the variables of the launcher and its ranks: what can be imported here can be there, and threads."""
    variables = dict(os.environ)
    paths = [str(Path(__file__).parents[3]), *(path or str(Path.cwd()) for path in sys.path)]
    variables["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    if job.workload.device_type == "cpu":
        variables["OMP_NUM_THREADS"] = str(job.num_threads)
    else:
        variables.setdefault("OMP_NUM_THREADS", str(job.num_threads))
    loopback = _loopback()
    if loopback is not None:
        variables.setdefault("GLOO_SOCKET_IFNAME", loopback)
    # What torch's launcher would take for its own.
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        variables.pop(name, None)
    for name in [name for name in variables if name.startswith("PET_")]:
        del variables[name]
    return variables


def _loopback() -> str | None:
    """Return the name of the interface over which processes of one machine reach each other; None if not known."""
    try:
        names = {name for _, name in socket.if_nameindex()}
    except (OSError, AttributeError):
        return None
    return next((name for name in ("lo", "lo0") if name in names), None)


def _watch(
    process: subprocess.Popen[bytes],
    folder: RankFolder,
    job: ScalingJob,
    *,
    report_stage: Callable[[str], None],
    now: Callable[[], float],
) -> bool:
    """Wait for the launcher; return False where no rank made progress for too long."""
    seen: dict[int, Position] = {}
    last_s = now()
    stage = ""
    while process.poll() is None:
        time.sleep(LOOK_S)
        positions = folder.positions(job.world_size)
        if positions != seen:
            seen, last_s = positions, now()
        elif now() - last_s > _patience_s(positions, job):
            return False
        words = _stage_of(positions, job.world_size)
        if words != stage:
            stage = words
            report_stage(stage)
    return True


def _patience_s(positions: dict[int, Position], job: ScalingJob) -> float:
    """Return how long no rank may make progress; longer before all of them are built."""
    num_built = sum(position.stage > STAGES.index("building") for position in positions.values())
    return job.timeout_s if num_built == job.world_size else max(job.timeout_s, START_S)


def _stage_of(positions: dict[int, Position], world_size: int) -> str:
    """Return what the ranks are doing: what the last of them does."""
    index = min((position.stage for position in positions.values()), default=0) if len(positions) == world_size else 0
    return f"{plural(world_size, 'rank')}: {STAGES[index]}"


def _end(process: subprocess.Popen[bytes], folder: RankFolder, world_size: int) -> None:
    """End launcher and ranks, and wait until they are gone: the next cell needs the devices."""
    if process.poll() is None:
        process.terminate()  # it ends its ranks, and waits for them
        if not _within(GENTLE_S, lambda: process.poll() is not None):
            kill(process)  # Linux kills its ranks then; elsewhere they see it within a second
    pids = [position.pid for position in folder.positions(world_size).values()]
    _within(GONE_S, lambda: not any(map(is_running, pids)))


def _within(seconds: float, is_done: Callable[[], bool]) -> bool:
    """Wait until something is done; return whether it was in time."""
    end_s = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > end_s:
            return False
        time.sleep(LOOK_S / 5)
    return True


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked for yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return not Path("/proc/self/stat").exists()
    return stat.rpartition(")")[2].split()[:1] != ["Z"]


def problem_of(
    job: ScalingJob,
    *,
    found: Sequence[RankError],
    agent: AgentReport | None,
    positions: dict[int, Position],
    is_hung: bool,
    last_words: str,
) -> PerfsuiteError:
    """Return why a job ended early, in one line.

    A rank that raised an error of its own comes first, then one that died: those that only lost another rank say
    nothing of why.

    Args:
        job: What was run.
        found: What ranks reported.
        agent: What the launcher reported, if anything.
        positions: How far each rank had come.
        is_hung: Whether no rank made progress for too long.
        last_words: The last line of the output.
    """
    own = sorted((error for error in found if not error.is_waiting), key=lambda error: error.seconds)
    if own:
        return _reported(own[0], job)
    if is_hung:
        return MeasurementError(f"{job.label}: {_hung_in_words(job, positions)}")
    died = _silent_deaths(agent, found)
    if died:
        rank, code = next(iter(died.items()))
        return MeasurementError(f"{job.label}: {_of_rank(rank, job)} {ended_in_words(code)}")
    if found:
        return MeasurementError(f"{job.label}: {_of_rank(found[0].rank, job)} lost the others: {found[0].message}")
    told = "" if agent is None else agent.message
    return MeasurementError(f"{job.label}: the ranks could not be run: {told or last_words or 'no reason given'}")


def _silent_deaths(agent: AgentReport | None, found: Sequence[RankError]) -> dict[int, int]:
    """Return the exit statuses of ranks that ended and reported nothing, by rank."""
    if agent is None:
        return {}
    reported = {error.rank for error in found}
    codes = {int(rank): code for rank, code in agent.exit_codes.items()}
    return {rank: codes[rank] for rank in sorted(codes) if rank not in reported}


def _of_rank(rank: int, job: ScalingJob) -> str:
    return f"rank {rank} of {job.world_size}"


def _reported(error: RankError, job: ScalingJob) -> PerfsuiteError:
    where = _of_rank(error.rank, job)
    if error.kind == OutOfMemoryError.__name__:
        return OutOfMemoryError(f"out of memory: {job.label} does not fit: {where}: {error.message}")
    kind = getattr(errors, error.kind, None)
    if kind is DeviceLostError:  # it was lost for the rank's process, which has ended
        return MeasurementError(f"{job.label}: {where}: {error.message}")
    if isinstance(kind, type) and issubclass(kind, PerfsuiteError):
        return kind(f"{where}: {error.message}")
    return MeasurementError(f"{job.label}: {where} raised {error.kind}: {error.message}")


def _hung_in_words(job: ScalingJob, positions: dict[int, Position]) -> str:
    missing = [rank for rank in range(job.world_size) if rank not in positions or not positions[rank].stage]
    if missing:
        ranks = ", ".join(map(str, missing))
        return f"rank {ranks} of {job.world_size} did not begin within {_patience_s(positions, job):g} s"
    patience_s = _patience_s(positions, job)
    waited = f"{patience_s:g} s"
    if patience_s == job.timeout_s:
        waited += " (--perf-rank-timeout)"
    least = min(position.place for position in positions.values())
    behind = [rank for rank, position in sorted(positions.items()) if position.place == least]
    stage = STAGES[min(positions[rank].stage for rank in behind)]
    if len(behind) == job.world_size:
        return f"all {plural(job.world_size, 'rank')} made no progress for {waited} while {stage}"
    ranks = ", ".join(map(str, behind))
    return f"rank {ranks} of {job.world_size} hung while {stage}: no progress for {waited}, and the others waited"

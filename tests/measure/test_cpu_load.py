"""Background load around the rounds of a cell on a CPU: read, recorded, and in the cell's own findings."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
import torch

from perfsuite.measure import cpu_load
from perfsuite.measure.cpu_load import CpuLoad, CpuReading, load_between
from perfsuite.measure.readings import findings_of
from perfsuite.measure.telemetry import make_instrument
from perfsuite.records.telemetry import Telemetry

if TYPE_CHECKING:
    from pathlib import Path

CPU = torch.device("cpu")
BEFORE = "cpu  9 9\ncpu0 50 0 50 400 0 0 0 0 0 0\ncpu1 50 0 50 400 0 0 0 0 0 0\ncpu2 9 9 9 9 9 9 9 9 0 0\nintr 1\n"
AFTER = "cpu  9 9\ncpu0 60 0 60 425 0 0 0 5 0 0\ncpu1 60 0 60 425 0 0 0 5 0 0\ncpu2 9 9 99 9 9 9 9 9 0 0\nintr 1\n"


def between(before: str, after: str, *, own_s: float, cores: frozenset[int] = frozenset({0, 1})) -> CpuLoad | None:
    readings = CpuReading(stat=before, own_s=3.0), CpuReading(stat=after, own_s=3.0 + own_s)
    return load_between(*readings, set(cores), ticks_per_s=100.0)


@pytest.mark.parametrize(("own_s", "background"), [(0.0, 0.4), (0.3, 0.1), (0.41, 0.0)])
def test_background_load_is_what_neither_this_process_nor_another_machine_took(own_s: float, background: float) -> None:
    load = between(BEFORE, AFTER, own_s=own_s)  # 40 of 100 ticks worked, 10 stolen; the third core is not ours
    assert load is not None
    assert (load.background_ratio, load.steal_ratio) == pytest.approx((background, 0.1))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BEFORE, BEFORE),
        ("", ""),
        ("", "nonsense"),
        (BEFORE, BEFORE.replace("cpu0 50", "cpu0 59")),
        ("cpu0 x", "cpu0 y"),
    ],
)
def test_counters_that_are_not_there_or_moved_too_little_are_no_load(before: str, after: str) -> None:
    assert between(before, after, own_s=0.0) is None


def stat(*, idle: int, busy: int, steal: int) -> str:
    return "".join(f"cpu{core} {busy} 0 0 {idle} 0 0 0 {steal} 0 0\n" for core in cpu_load.own_cores())


@pytest.mark.parametrize(
    ("busy", "steal", "words"),
    [
        (1000, 0, ["background load: other processes took 100% of the cores' time while it was measured"]),
        (100, 100, ["steal time: other virtual machines on this host took 10% of the cores' time"]),
        (100, 10, []),
    ],
)
def test_a_cpu_that_others_use_meanwhile_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: int, steal: int, words: list[str]
) -> None:
    path = tmp_path / "stat"
    monkeypatch.setattr(cpu_load, "STAT", path)
    monkeypatch.setattr(time, "process_time", lambda: 7.0)
    path.write_text(stat(idle=0, busy=0, steal=0))
    source = make_instrument(CPU)
    token = source.start()
    path.write_text(stat(idle=1000 - busy - steal, busy=busy, steal=steal))
    telemetry = source.stop(token)
    assert (telemetry.background_cpu_ratio, telemetry.steal_ratio) == (busy / 1000, steal / 1000)
    found = findings_of(telemetry)
    assert len(found) == len(words)
    assert all(one.startswith(word) for one, word in zip(found, words, strict=True))


def test_a_system_that_does_not_show_its_load_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_load, "STAT", tmp_path / "none")
    source = make_instrument(CPU)
    telemetry = source.stop(source.start())
    assert (telemetry.background_cpu_ratio, telemetry.steal_ratio) == (None, None)
    assert telemetry.absent["background_cpu_ratio"] == "not shown by this system, or too short a time"
    assert telemetry.absent["energy_joules"] == "the CPU is measured"
    assert set(telemetry.absent) == {name for name in Telemetry.__slots__ if getattr(telemetry, name) is None}
    assert (source.energy_joules(), findings_of(telemetry)) == (None, [])


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="Linux only")  # noqa: PTH110 - one look
def test_this_process_s_own_work_is_no_background_load() -> None:
    before = cpu_load.read_cpu()
    while (load := cpu_load.load_since(before)) is None or cpu_load.read_cpu().own_s - before.own_s < 0.3:
        sum(range(10_000))
    after = cpu_load.read_cpu()
    plain = load_between(
        before, CpuReading(stat=after.stat, own_s=before.own_s), cpu_load.own_cores(), ticks_per_s=100.0
    )
    assert plain is not None
    assert load.background_ratio < plain.background_ratio

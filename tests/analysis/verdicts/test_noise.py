"""The noise floor of a machine: taken from the same code against itself, kept, and used by later tables."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_record, make_workload

from perfsuite.analysis.frames.noise_floor import known_noise_floors
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.load.noise_file import NoiseFloor, read_noise_floors, save_noise_floor
from perfsuite.analysis.statistics.intervals import Scatter
from perfsuite.analysis.tables.noise import noise_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.noise_floor import noise_floor
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.cli import main
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> list[list[Path]]:
    generator = np.random.default_rng(1)
    sides: list[list[Path]] = [[], []]
    for number in range(10):
        cells: list[Any] = []
        for model, seconds in (("resnet18", 0.05), ("resnet34", 0.09), ("resnet50", 0.2)):
            record = make_record(make_workload(model=model), run_id=f"run-{number}")
            started = f"2026-01-05T10:{number:02d}:00+00:00"
            record = dataclasses.replace(record, process=dataclasses.replace(record.process, started=started))
            typical = seconds * float(generator.normal(1, 0.01))
            cells.append(make_entry(record, [float(v) for v in generator.normal(typical, 0.001 * seconds, 30)]))
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(make_content(cells)))
        sides[(number + 1) // 2 % 2].append(path)
    return sides


def floor_of(files: list[list[Path]]) -> Any:
    return noise_floor(compare(join_sides(*([read_process(path) for path in side] for side in files))))


def test_a_floor_is_kept_and_found_again(files: list[list[Path]], tmp_path: Path) -> None:
    floor = floor_of(files)
    assert set(floor.detectable_slowdown_ratio) == {
        f"{name} fp32 train_step b128" for name in ("resnet18", "resnet34", "resnet50")
    }
    assert all(0.005 < ratio < 0.2 for ratio in floor.detectable_slowdown_ratio.values())
    path = tmp_path / "state" / "noise.json"
    save_noise_floor(floor, path)
    assert read_noise_floors(path) == {floor.machine: floor}
    other = dataclasses.replace(floor, machine="another", detectable_slowdown_ratio={"x": 0.1})
    save_noise_floor(other, path)
    fewer = dataclasses.replace(floor, detectable_slowdown_ratio={"y": 0.2})
    save_noise_floor(fewer, path)
    kept = read_noise_floors(path)
    assert kept["another"] == other
    assert kept[floor.machine].detectable_slowdown_ratio == {**floor.detectable_slowdown_ratio, "y": 0.2}
    newer = dataclasses.replace(fewer, versions={"torch": "2.99"})
    save_noise_floor(newer, path)
    assert read_noise_floors(path)[floor.machine].detectable_slowdown_ratio == {
        "y": 0.2
    }  # what another torch showed is gone


def test_later_tables_show_the_detectable_slowdown(
    files: list[list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "noise.json"
    monkeypatch.setenv("PERFSUITE_NOISE", str(path))
    main(["collect", str(files[0][0])])
    assert "`perfsuite noise` measures it" in capsys.readouterr().out
    floor = floor_of(files)
    save_noise_floor(floor, path)
    main(["collect", str(files[0][0])])
    text = capsys.readouterr().out
    assert "detectable" in text
    assert f"the smallest slowdown that 5 processes a side detect here (A/A of {floor.measured})" in text
    main(["compare", "--baseline", str(files[0][0]), "--candidate", str(files[1][0])])
    assert "noise floor of this machine (A/A of" in capsys.readouterr().out


def test_the_scatter_between_processes_is_pooled_over_both_sides(files: list[list[Path]]) -> None:
    """Source: scipy.stats.ttest_ind's pooled variance, here by its definition from the medians in the files."""
    logs = [
        [np.log(np.median(json.loads(path.read_text())["benchmarks"][1]["stats"]["data"])) for path in side]
        for side in files
    ]
    expected = np.sqrt((np.var(logs[0], ddof=1) + np.var(logs[1], ddof=1)) / 2)
    scatter = floor_of(files).process_scatter["resnet34 fp32 train_step b128"]
    assert scatter.sd_log == pytest.approx(expected)
    assert scatter.num_dof == 8


def test_a_file_of_the_first_schema_loads_without_scatter_and_is_written_as_the_second(tmp_path: Path) -> None:
    path = tmp_path / "noise.json"
    old = {"measured": "2026-01-05", "num_processes": 5, "versions": {"torch": "2.13"}, "provable_ratio": {"a": 0.03}}
    path.write_text(json.dumps({"schema": "perfsuite-noise-1", "machines": {"m": old}}))
    floor = read_noise_floors(path)["m"]
    assert (floor.detectable_slowdown_ratio, floor.process_scatter) == ({"a": 0.03}, {})
    scatter = {"b": Scatter(sd_log=0.01, num_dof=8)}
    save_noise_floor(dataclasses.replace(floor, detectable_slowdown_ratio={"b": 0.02}, process_scatter=scatter), path)
    assert json.loads(path.read_text())["schema"] == "perfsuite-noise-2"
    kept = read_noise_floors(path)["m"]
    assert kept.detectable_slowdown_ratio == {"a": 0.03, "b": 0.02}
    assert kept.process_scatter == scatter


@pytest.mark.parametrize("sd_log", [0, -1, "x", None])
def test_a_damaged_scatter_is_refused(sd_log: object, tmp_path: Path) -> None:
    path = tmp_path / "noise.json"
    values = {
        "measured": "2026-01-05",
        "num_processes": 5,
        "versions": {},
        "detectable_slowdown_ratio": {},
        "process_scatter": {"a": {"sd_log": sd_log, "num_dof": 8}},
    }
    path.write_text(json.dumps({"schema": "perfsuite-noise-2", "machines": {"m": values}}))
    with pytest.raises(ResultFileError, match="the noise floor of 'm' is damaged"):
        read_noise_floors(path)


def test_the_speedup_of_one_run_has_an_interval_where_the_noise_of_its_machine_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = tmp_path / "noise.json"
    monkeypatch.setenv("PERFSUITE_NOISE", str(noise))
    generator = np.random.default_rng(3)
    cells = []
    for precision, seconds in (("fp32", 0.1), ("amp-fp16", 0.05)):
        record = make_record(make_workload(precision=precision))
        cells.append(make_entry(record, generator.normal(seconds, 0.001 * seconds, 30).tolist()))
    path = tmp_path / "run.json"
    path.write_text(json.dumps(make_content(cells)))
    command = ["collect", "--table", "speedup", str(path)]
    main(command)
    before = capsys.readouterr().out
    assert "2.00x (2.00 to 2.00)" in before
    assert "95% interval from" not in before
    scatter = Scatter(sd_log=0.01, num_dof=8)
    floor = NoiseFloor(
        machine=str(collect([path]).benchmarks["machine"].iloc[0]),
        measured="2026-01-05",
        num_processes=5,
        versions={"torch": ENVIRONMENT.torch},
        detectable_slowdown_ratio={},
        process_scatter={f"resnet18 {name} train_step b128": scatter for name in ("fp32", "amp-fp16")},
    )
    save_noise_floor(floor, noise)
    main(command)
    text = capsys.readouterr().out
    half = 2.1199 * 0.01 * 2**0.5  # t of 16 degrees of freedom
    assert f"2.00x [{2 * np.exp(-half):.2f}, {2 * np.exp(half):.2f}] A/A" in text
    assert "95% interval from one process and the noise floor of this machine" in text
    assert "spread within one run" not in text
    save_noise_floor(dataclasses.replace(floor, versions={"torch": "1.6"}), noise)
    main(command)
    assert "2.00x (2.00 to 2.00)" in capsys.readouterr().out  # another torch: another noise


def test_too_few_processes_have_no_floor(files: list[list[Path]]) -> None:
    with pytest.raises(ResultFileError, match="too few processes for a noise floor"):
        floor_of([side[:1] for side in files])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "not a file of noise floors"),
        ('{"schema": "perfsuite-noise-1", "machines": {"m": {}}}', "the noise floor of 'm' is damaged"),
        ('{"schema": "perfsuite-noise-1", "machines": []}', "not a file of noise floors"),
        ('{"schema": "perfsuite-noise-1", "machines": {"m": 3}}', "the noise floor of 'm' is damaged"),
    ],
)
def test_a_damaged_file_of_floors_is_one_line_and_tables_do_without_it(
    content: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "noise.json"
    path.write_text(content)
    with pytest.raises(ResultFileError, match=complaint):
        read_noise_floors(path)
    monkeypatch.setenv("PERFSUITE_NOISE", str(path))
    floors, (note,) = known_noise_floors()
    assert floors == {}
    assert note.startswith("noise floor not known")


def test_false_alarms_are_named(files: list[list[Path]]) -> None:
    table = noise_table(floor_of(files), false_alarms=["a", "b"])
    assert "2 false alarms, the code being the same: a, b" in render_terminal(table, width=None, color=False)

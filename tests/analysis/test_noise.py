"""The noise floor of a machine: taken from the same code against itself, kept, and used by later tables."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import make_content, make_entry, make_record, make_workload

from perfsuite.analysis.compare import compare
from perfsuite.analysis.noise import known_noise_floors, noise_floor, noise_table, read_noise_floors, save_noise_floor
from perfsuite.analysis.sides import join_sides, read_process
from perfsuite.analysis.tables import render_terminal
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
    assert set(floor.provable_ratio) == {
        f"{name} fp32 train_step b128" for name in ("resnet18", "resnet34", "resnet50")
    }
    assert all(0.005 < ratio < 0.2 for ratio in floor.provable_ratio.values())
    path = tmp_path / "state" / "noise.json"
    save_noise_floor(floor, path)
    assert read_noise_floors(path) == {floor.machine: floor}
    other = dataclasses.replace(floor, machine="another", provable_ratio={"x": 0.1})
    save_noise_floor(other, path)
    fewer = dataclasses.replace(floor, provable_ratio={"y": 0.2})
    save_noise_floor(fewer, path)
    kept = read_noise_floors(path)
    assert kept["another"] == other
    assert kept[floor.machine].provable_ratio == {**floor.provable_ratio, "y": 0.2}
    newer = dataclasses.replace(fewer, versions={"torch": "2.99"})
    save_noise_floor(newer, path)
    assert read_noise_floors(path)[floor.machine].provable_ratio == {"y": 0.2}  # what another torch showed is gone


def test_later_tables_say_what_can_be_proved_here(
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
    assert "provable %" in text.replace("\n", " ") or "provable" in text
    assert f"the smallest slowdown that 5 processes a side can show here (A/A of {floor.measured})" in text
    main(["compare", "--baseline", str(files[0][0]), "--candidate", str(files[1][0])])
    assert "noise floor of this machine (A/A of" in capsys.readouterr().out


def test_too_few_processes_have_no_floor(files: list[list[Path]]) -> None:
    with pytest.raises(ResultFileError, match="too few processes for a noise floor"):
        floor_of([side[:1] for side in files])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "cannot be read"),
        ("[]", "no file of noise floors"),
        ('{"schema": "perfsuite-noise-1", "machines": {"m": {}}}', "the noise floor of 'm' is damaged"),
        ('{"schema": "perfsuite-noise-1", "machines": []}', "no file of noise floors"),
        ('{"schema": "perfsuite-noise-1", "machines": {"m": 3}}', "the noise floor of 'm' is damaged"),
    ],
)
def test_a_damaged_file_of_floors_is_one_line_and_no_table_wants_for_it(
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

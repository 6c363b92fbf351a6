from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from history_builders import write_night

from perfsuite.analysis.history.by_version import _difference
from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("ruptures", reason="of the extra history")

VERSIONS = ("2.12.0", "2.13.0", "2.14.0")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Nights of three versions of torch in turn: with the second, one benchmark of two is 10% slower."""
    for night in range(30):
        version = VERSIONS[night % 3]
        noise = np.exp(np.random.default_rng(night).normal(0, 0.005, 2))
        slower = 1.0 if version == "2.12.0" else 1.1
        times = {"steady": 0.1 * float(noise[0]), "slower": 0.1 * slower * float(noise[1])}
        write_night(tmp_path / "store", night, times, torch_version=version, commit=f"{night:04d}{'f' * 36}")
    return tmp_path / "store"


def rows_of(store: Path, *options: str) -> list[dict[str, Any]]:
    target = store.parent / "rows.json"
    assert main(["history", "show", "--store", str(store), "--all", "-o", str(target), *options]) == 0
    found: list[dict[str, Any]] = json.loads(target.read_text())
    return found


def test_the_level_under_each_version_is_the_median_of_its_runs_however_they_alternate(store: Path) -> None:
    rows = {(row["benchmark"].rpartition("::")[2], row["version"]): row for row in rows_of(store, "--by", "torch")}
    assert len(rows) == 6
    contents = [json.loads(path.read_text()) for path in sorted(store.glob("*.json"))]
    for (name, version), row in rows.items():
        values = [
            entry["stats"]["median"]
            for content in contents
            for entry in content["benchmarks"]
            if entry["name"] == name and content["machine_info"]["torch_version"] == version
        ]
        assert row["num_runs"] == len(values) == 10
        assert row["level"] == pytest.approx(float(np.median(values)))
    slower = rows["slower", "2.13.0"]
    assert slower["ratio"] == pytest.approx(slower["level"] / rows["slower", "2.12.0"]["level"])
    assert slower["ratio_low"] < 1.1 < slower["ratio_high"]
    assert [rows["slower", version]["is_worse"] for version in VERSIONS] == [None, True, None]


def test_an_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    """Of two versions of 12 runs each, by a generator of its own: 95% of 2,000, within three binomial deviations."""
    generator, inside = np.random.default_rng(1), 0
    for _ in range(2000):
        old, new = generator.normal(0, 0.01, (2, 12))
        log_ratio, margin = _difference(old, new + 0.05, 0.0)
        inside += abs(log_ratio - 0.05) <= margin
    assert 0.935 <= inside / 2000 <= 0.98


def test_what_changed_with_a_version_is_shown_and_the_rest_only_when_asked_for(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "show", "--store", str(store), "--by", "torch"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 of 2 series changed with torch; 3 of it in 30 runs of EPYC in host")
    assert "steady" not in out
    lines = [line for line in out.splitlines() if "slower" in line]
    assert [line.split()[2] for line in lines] == list(VERSIONS)
    assert "1 series without a change are not shown" in out


def test_versions_of_one_run_have_no_interval_and_are_called_no_change(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all(row["ratio_low"] is None and row["is_worse"] is None for row in rows_of(store, "--by", "commit"))
    assert main(["history", "show", "--store", str(store), "--by", "Commit"]) == 0
    assert "no commit has 2 runs: changes have no interval" in capsys.readouterr().out


def test_what_no_run_has_is_one_line_and_what_some_lack_is_unknown(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "show", "--store", str(store), "--by", "weather"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "unknown --by 'weather'; choose from board, commit, cuda" in line
    assert {row["version"] for row in rows_of(store, "--by", "driver")} == {"unknown"}

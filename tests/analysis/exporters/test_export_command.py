from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING

import pytest
from exported_files import cells
from foreign_files import needs_public_files, public_files, write_foreign
from history_builders import write_night

from perfsuite.analysis.exporters.registry import EXPORTERS
from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def test_the_help_names_every_format_with_what_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    text = "".join(capsys.readouterr().out.split())
    for name, exporter in EXPORTERS.items():
        assert f"{name}{exporter.about};{exporter.several}".replace(" ", "") in text


def test_an_unknown_format_is_named_with_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells(tmp_path)
    assert main(["export", "junit", str(tmp_path / "cells.json")]) == 2
    error = capsys.readouterr().err
    assert error == f"perfsuite: error: unknown format 'junit'; choose from {', '.join(sorted(EXPORTERS))}\n"


@pytest.mark.parametrize("name", [name for name, exporter in EXPORTERS.items() if exporter.package])
def test_a_missing_package_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    package = (EXPORTERS[name].package or ("", ""))[0]
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == package else found(wanted))
    cells(tmp_path)
    assert main(["export", name, str(tmp_path / "cells.json"), "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.endswith("pip install 'perfsuite[export]'\n")
    assert not (tmp_path / "out").exists()


def test_text_goes_to_standard_output_to_a_file_or_into_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells(tmp_path)
    source = str(tmp_path / "cells.json")
    assert main(["export", "bencher", source]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "folder").mkdir()
    for target, file in (("out.json", "out.json"), ("folder", "folder/bencher.json")):
        assert main(["export", "bencher", source, "-o", str(tmp_path / target)]) == 0
        assert (tmp_path / file).read_text() == printed
    before = (tmp_path / "cells.json").read_bytes()
    assert main(["export", "bencher", source, "-o", source]) == 2
    assert (tmp_path / "cells.json").read_bytes() == before


def test_a_damaged_file_among_others_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells(tmp_path)
    (tmp_path / "damaged.json").write_text('{"benchmarks": [')
    files = [str(tmp_path / name) for name in ("cells.json", "damaged.json")]
    for name in ("bencher", "otava"):
        assert main(["export", name, *files, "-o", str(tmp_path / "out")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "damaged.json" in line
        assert not (tmp_path / "out").exists()


def test_a_copy_counts_once_and_files_without_values_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells(tmp_path)
    (tmp_path / "copy.json").write_bytes((tmp_path / "cells.json").read_bytes())
    write_foreign(tmp_path / "empty.json").write_text('{"benchmarks": []}')
    assert main(["export", "pytorch", str(tmp_path), "-o", str(tmp_path / "out.txt")]) == 0
    assert all(
        len(record["metric"]["benchmark_values"]) == 1 for record in json.loads((tmp_path / "out.txt").read_text())
    )
    error = capsys.readouterr().err
    assert "1 file of 3 contain nothing to export" in error
    assert "1 file of 3 are copies of another" in error
    assert main(["export", "pytorch", str(tmp_path / "empty.json")]) == 2
    assert capsys.readouterr().err == (
        "perfsuite: error: the files contain no values that have a history; nothing was written\n"
    )


def test_the_folder_of_a_history_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = [str(write_night(tmp_path / "nights", night, {"a": 1.0 + night})) for night in range(3)]
    assert main(["history", "add", *files, "--store", str(tmp_path / "store")]) == 0
    assert main(["export", "bencher", str(tmp_path / "store")]) == 0
    (measures,) = json.loads(capsys.readouterr().out).values()
    assert measures["time-median-s"] == {"value": 2.0, "lower_value": 1.0, "upper_value": 3.0}


@pytest.mark.parametrize("name", ["mlflow", "otava"])
def test_a_folder_that_cannot_be_written_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = EXPORTERS[name].package
    if package is not None:
        pytest.importorskip(package[0])
    cells(tmp_path)
    (tmp_path / "file").write_text("in the way")
    assert main(["export", name, str(tmp_path / "cells.json"), "-o", str(tmp_path / "file")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"perfsuite: error: {tmp_path / 'file'}: cannot be ")
    assert (tmp_path / "file").read_text() == "in the way"


@needs_public_files
def test_public_files_of_others_are_exported(tmp_path: Path) -> None:
    files = [str(path) for path in public_files()[:20]]
    for name in ("github-smaller", "bencher", "pytorch", "otava"):
        assert main(["export", name, *files, "-o", str(tmp_path / name)]) == 0

"""Every command in the pages that reads files is run, in a folder that has files of the names that the pages use.

What the commands print is compared in `test_documentation.py`, wherever a page shows it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import io
import re
import shlex
import shutil
from pathlib import Path

import pytest
from builders import ENVIRONMENT
from documented_samples import PAGES, REPOSITORY, commands_in, write_scaling, write_sides_of_trainings
from fleet_builders import fleet_files
from report_builders import h100, step_file

from perfsuite.cli import _parser, main

pytestmark = pytest.mark.no_cover  # what the commands do has tests of its own

TESTS = Path(__file__).parent
RUN_ELSEWHERE = {
    "ab": "campaign/test_ab.py",
    "bisect": "campaign/test_bisect.py",
    "data": "test_data_command.py",
    "doctor": "measure/test_doctor.py",
    "fleet": "fleet/test_fleet_ray.py",
    "limits": "offline/test_limits.py",
    "memory": "test_cli.py",
    "noise": "campaign/test_ab.py",
    "tune": "tune/test_studies.py",
}
"""Commands that measure, train or predict, and the tests that run them."""

WORKFLOW = "analysis/history/test_nightly_workflow.py"
"""Runs the commands of the workflow for GitHub Actions, which name its variables."""

PLACEHOLDER = re.compile(r"\b(FORMAT|FILE|PATH|NAME)\b")
PASSED_OR_REGRESSED = {0, 1}


def is_whole(command: str) -> bool:
    """Return whether a command has all that it needs; in a sentence, files may be left out."""
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        _parser(shlex.split(command)).parse_args(shlex.split(command))
        return True
    return False


def run_here() -> list[str]:
    """Return each command that is run here once, in the order of the pages."""
    found = []
    for command in (command for path in PAGES for command in commands_in(path)):
        plain = command.strip().replace("<device>", "cpu-amd-epyc")
        is_elsewhere = plain.split()[0] in RUN_ELSEWHERE or "$" in plain
        if not is_elsewhere and not PLACEHOLDER.search(plain) and is_whole(plain):
            found.append(plain)
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the files that the pages name; commands run in `checkout`, beside the folder of an A/B run."""
    above = tmp_path_factory.mktemp("pages")
    here = above / "checkout"
    here.mkdir()
    shutil.copytree(REPOSITORY / "benchmarks" / "results", here / "benchmarks" / "results")
    a100 = dataclasses.replace(ENVIRONMENT, device="NVIDIA A100-SXM4-80GB", gpu="NVIDIA A100-SXM4-80GB")
    for number, (name, environment) in enumerate((("t4", ENVIRONMENT), ("a100", a100), ("h100", h100()))):
        for run in (name, f"{name}-1"):
            step_file(here / f"{run}.json", environment=environment, run_id=run, seed=number, factor=1 / (1 + number))
    for place, names in (
        (here, ("old/{}", "new/{}")),
        (here, ("upgrade/{}-baseline", "upgrade/{}-candidate")),
        (here, ("run/{}-baseline", "run/{}-candidate")),
        (above, ("ab/{}-baseline", "ab/{}-candidate")),
    ):
        _write_sides(place, names)
    write_sides_of_trainings(here)
    write_scaling(here)
    fleet = here / "results" / "fleet-fleet"
    fleet.mkdir(parents=True)
    for kind in ("Tesla T4", "NVIDIA A10G"):
        fleet_files(fleet, num_nodes=4, num_repetitions=2, kind=kind, prefix=kind[-2:].lower())
    for path in fleet.iterdir():
        shutil.copy(path, here / "results")
    shutil.copytree(here / "seeds-old", here / "results" / "fleet-fleet-train")
    for path in (here / "nightly.json", here / "results" / "nightly.json"):
        step_file(path, run_id="nightly", seed=40)
    nights = [
        step_file(above / f"night-{seed}.json", run_id=f"night-{seed}", seed=seed, models=("resnet18",))
        for seed in range(8)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        assert main(["history", "add", *map(str, nights)]) == 0
        assert main(["collect", "t4.json", "-o", "table.json"]) == 0
    return here


def _write_sides(place: Path, names: tuple[str, str]) -> None:
    for seed in range(6):
        path = place / f"{names[seed % 2].format(seed // 2)}.json"
        path.parent.mkdir(exist_ok=True)
        step_file(path, run_id=path.stem + str(seed), seed=seed)


@pytest.mark.parametrize("command", run_here())
def test_a_command_of_the_pages_runs(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    words = [word for text in shlex.split(command) for word in (sorted(glob.glob(text)) or [text])]  # noqa: PTH207
    written = Path(words[words.index("-o") + 1]) if "-o" in words else None
    if written is not None:
        written.unlink(missing_ok=True)  # another command may have written it
    status = main(words)
    printed = capsys.readouterr()
    assert status in PASSED_OR_REGRESSED, printed.err
    assert (printed.out + printed.err).strip()
    assert written is None or written.stat().st_size > 0


def test_what_runs_the_other_commands_exists() -> None:
    assert len(run_here()) > 40
    for name in [*RUN_ELSEWHERE.values(), WORKFLOW]:
        assert (TESTS / name).exists(), name

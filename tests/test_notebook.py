"""The notebook for Colab: executed on the CPU as it is, with a small matrix and one short training.

Executing it needs nbclient and ipykernel, which the tests environment of tox brings; those tests are skipped without.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import pytest
from generated_images import generated_set
from plain_pytest import PLAIN_PYTEST

from perfsuite.cli import main
from perfsuite.workloads.image_store import save_image_set

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent
NOTEBOOK = REPOSITORY / "benchmarks" / "colab.ipynb"
MAX_LINES = 20
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

SMALL = "--perf-models=resnet18 --perf-batch-size=2 --benchmark-min-rounds=2 --benchmark-max-time=0.01"
RECIPE = "epochs = 1\nbatch_size = 4\nnum_train = 8\nnum_validation = 4\nnum_test = 20\nlearning_rate = 0.02\n"


def content() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return loaded


def sources(kind: str = "code") -> dict[str, str]:
    """Return the text of every cell of a kind by its id."""
    return {cell["id"]: "".join(cell["source"]) for cell in content()["cells"] if cell["cell_type"] == kind}


def python_of(name: str) -> str:
    """Return a code cell without its lines for the shell."""
    return re.sub(r"^(\s*)!.*$", r"\1pass", sources()[name], flags=re.MULTILINE)


def texts(cell: Any) -> str:
    """Return what a cell printed, without colours."""
    printed = "".join(output["text"] for output in cell["outputs"] if output["output_type"] == "stream")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed)


def shown(cell: Any, kind: str) -> str:
    """Return what a cell displays as a kind of media."""
    found = [output["data"][kind] for output in cell["outputs"] if kind in output.get("data", {})]
    assert len(found) == 1, cell["outputs"]
    return str(found[0])


def execute(folder: Path, cells: list[str] | None = None, **replaced: str) -> dict[str, Any]:
    """Execute the notebook, or some of its cells, in a folder, and return the cells with their outputs by id.

    Args:
        folder: Where the kernel starts.
        cells: Ids; all by default.
        replaced: Environment variables.
    """
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    notebook = nbformat.reads(json.dumps(content()), as_version=4)
    if cells is not None:
        notebook.cells = [cell for cell in notebook.cells if cell["id"] in cells]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERFSUITE_NOTEBOOK")}
    surroundings = {**kept, "IPYTHONDIR": str(folder), "PIP_NO_INDEX": "1", **replaced}
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute(env=surroundings)
    return {cell["id"]: cell for cell in notebook.cells}


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """The notebook after all its cells ran.

    Attributes:
        cells: With their outputs, by id.
        results: The folder of the run.
        trainings: Where full trainings are kept.
    """

    cells: dict[str, Any]
    results: Path
    trainings: Path


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """Run every cell in a small checkout with tiny networks, from the folder that the notebook lies in."""
    checkout, drive = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("drive")
    (checkout / "perfsuite").symlink_to(REPOSITORY / "perfsuite", target_is_directory=True)
    shutil.copytree(NOTEBOOK.parent, checkout / "benchmarks", ignore=shutil.ignore_patterns("results"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, checkout)
    (checkout / "tiny.toml").write_text(RECIPE)
    save_image_set(generated_set(), drive / "cifar10.npz")
    cells = execute(
        checkout / "benchmarks",
        PERFSUITE_NOTEBOOK_DEVICE="cpu",
        PERFSUITE_NOTEBOOK_OPTIONS=f"{SMALL} --perf-no-profile -k train_step",
        PERFSUITE_NOTEBOOK_FULL_TRAINING="1",
        PERFSUITE_NOTEBOOK_TRAINING_OPTIONS="--perf-models=resnet18 --perf-precisions=fp32 --perf-recipe=tiny.toml",
        PERFSUITE_NOTEBOOK_TRAINING_FOLDER=str(drive),
        PYTHONPATH=os.pathsep.join(map(str, (TESTS, TESTS / "plugin"))),
        PYTEST_ADDOPTS=f"{PLAIN_PYTEST} -p small_suite",
    )
    (results,) = (path for path in (checkout / "results").iterdir() if path.is_dir())
    return Executed(cells=cells, results=results, trainings=drive / "trainings")


def test_the_notebook_measures_in_the_checkout_that_it_lies_in(executed: Executed) -> None:
    assert f"code:    {executed.results.parents[1]}" in texts(executed.cells["checkout"])
    assert "the CPU is measured" in texts(executed.cells["gpu"])
    assert "2 passed" in texts(executed.cells["measure"])
    measured = json.loads((executed.results / "steps-1.json").read_text())["benchmarks"]
    assert [benchmark["name"] for benchmark in measured] == [
        "test_train_step[resnet18-fp32-b2]",
        "test_train_step[resnet18-amp-bf16-b2]",
    ]


def test_installing_asks_for_every_dependency_but_torch(executed: Executed, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = texts(executed.cells["install"])
    assert "ERROR" not in printed
    assert re.fullmatch(r"torch [\d.]+\S* torchvision [\d.]+\S*", printed.splitlines()[-1])
    monkeypatch.chdir(REPOSITORY)
    names: dict[str, Any] = {"Path": Path}
    exec(python_of("install"), names)  # noqa: S102
    dependencies = set(names["project"]["dependencies"])
    left_out = dependencies - set(names["requirements"])
    assert {re.match(r"[\w-]+", dependency)[0] for dependency in left_out} == {"torch", "torchvision"}  # type: ignore[index]
    assert len(dependencies) > len(left_out)


def test_speed_up_chart_and_comparison_with_the_thesis_are_shown_inline(executed: Executed) -> None:
    assert re.search(r"\| resnet18 \| train.*\| [\d.]+x", shown(executed.cells["speedup-table"], "text/markdown"))
    assert shown(executed.cells["speedup-chart"], "image/svg+xml").startswith("<svg")
    thesis = shown(executed.cells["thesis-table"], "text/markdown")
    assert "gradients kept" in thesis
    assert "| 0:59:53 |" in thesis  # ResNet-18 in FP32


def test_a_full_training_is_kept_in_the_folder_on_the_drive(executed: Executed) -> None:
    assert "1 passed" in texts(executed.cells["training"])
    assert len(list(executed.trainings.iterdir())) == 1
    (entry,) = json.loads((executed.results / "training-1.json").read_text())["benchmarks"]
    assert entry["name"].startswith("test_full_training[resnet18-fp32")


def test_all_results_are_packed_with_tables_chart_and_report(executed: Executed) -> None:
    (printed,) = texts(executed.cells["download"]).split()
    with zipfile.ZipFile(printed) as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert names >= {"steps-1.json", "thesis-1.json", "training-1.json", "speedup.md", "thesis.md", "speedup.svg"}
    assert "report.html" in names


def test_no_cell_warns_or_fails(executed: Executed) -> None:
    for name, cell in executed.cells.items():
        for output in cell.get("outputs", ()):
            assert output["output_type"] in {"stream", "display_data"}, (name, output)
            assert output.get("name") != "stderr", (name, output["text"])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium")
def test_links_in_the_inline_report_stay_in_the_report(executed: Executed) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    html = shown(executed.cells["report"], "text/html")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        # An address as in Colab, so that a link that leaves the report would find another page.
        page.route("**/*", lambda route: route.fulfill(body=html, content_type="text/html"))
        page.goto("http://notebook.invalid/")
        frame = page.frames[1]
        frame.wait_for_load_state()
        title = frame.title()
        frame.click('nav a[href="#tables"]')
        assert frame.url == "about:srcdoc#tables"
        assert frame.title() == title != ""
        browser.close()


def test_without_a_gpu_the_notebook_says_how_to_choose_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi, whatever this machine has
    for name in [name for name in os.environ if name.startswith("PERFSUITE_NOTEBOOK")]:
        monkeypatch.delenv(name)
    names: dict[str, Any] = {}
    exec(sources()["settings"], names)  # noqa: S102
    with pytest.raises(RuntimeError, match=r"Runtime > Change runtime type > T4 GPU.*DEVICE = \"cpu\""):
        exec(sources()["gpu"], names)  # noqa: S102


def test_an_empty_address_outside_a_checkout_is_explained(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    with pytest.raises(nbclient.exceptions.CellExecutionError, match=r"REPOSITORY is empty.*https://github\.com/USER"):
        execute(tmp_path, ["settings", "checkout"])


def fill_in_address(address: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every further reading of the notebook one whose REPOSITORY is filled in."""
    filled_in = content()
    settings = next(cell for cell in filled_in["cells"] if cell["id"] == "settings")
    settings["source"] = [line.replace('REPOSITORY = ""', f'REPOSITORY = "{address}"') for line in settings["source"]]
    monkeypatch.setattr(sys.modules[__name__], "content", lambda: filled_in)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_outside_a_checkout_the_repository_is_cloned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published, here = tmp_path / "published", tmp_path / "here"
    (published / "benchmarks").mkdir(parents=True)
    here.mkdir()
    shutil.copy(NOTEBOOK, published / "benchmarks")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for words in (("init", "--quiet"), ("add", "."), (*identity, "commit", "--quiet", "-m", "first")):
        subprocess.run(["git", *words], cwd=published, check=True)  # noqa: S607
    fill_in_address(published, monkeypatch)
    cells = execute(here, ["settings", "checkout"])
    assert f"code:    {here / 'perfsuite'}" in texts(cells["checkout"])


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_an_address_that_cannot_be_cloned_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    fill_in_address(tmp_path / "missing", monkeypatch)
    with pytest.raises(nbclient.exceptions.CellExecutionError, match=r"REPOSITORY = .*missing.* cannot be cloned"):
        execute(tmp_path, ["settings", "checkout"])


def test_the_settings_measure_a_gpu_and_train_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PERFSUITE_NOTEBOOK")]:
        monkeypatch.delenv(name)
    names: dict[str, Any] = {}
    exec(sources()["settings"], names)  # noqa: S102
    assert (names["DEVICE"], names["OPTIONS"], names["REPOSITORY"]) == ("cuda", "", "")
    assert names["FULL_TRAINING"] is False
    (statement,) = ast.parse(python_of("training")).body
    assert isinstance(statement, ast.If)
    assert ast.unparse(statement.test) == "FULL_TRAINING"
    assert not statement.orelse


def test_every_command_and_option_of_the_notebook_exists(
    pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line.strip() for source in sources().values() for line in source.splitlines()]
    started = [line.partition(" -m perfsuite ")[2].split() for line in lines if " -m perfsuite " in line]
    assert {words[0] for words in started} == {"doctor", "collect", "chart", "data", "report"}
    for words in started:
        names = list(takewhile(lambda word: not word.startswith("-"), words))
        with pytest.raises(SystemExit, match="0"):
            main([*names, "--help"])
        known = set(re.findall(r"[\w-]+", capsys.readouterr().out))
        assert known >= set(names)
        assert known >= {word for word in words if word.startswith("-")}
        tables = [table for option, table in pairwise(words) if option in {"--table", "--format"}]
        assert known >= set(tables)
    everything = "\n".join([*sources().values(), *sources("markdown").values()])
    options = set(re.findall(r"--(?:perf|benchmark)-[a-z-]+", everything))
    assert {"--perf-device", "--perf-run-dir", "--benchmark-json"} <= options
    for option in options:
        pytestconfig.getoption(option)
    markers = {line.partition(":")[0].partition("(")[0] for line in pytestconfig.getini("markers")}
    assert set(re.findall(r"benchmarks -m (\w+)", everything)) <= markers


def test_the_notebook_is_stored_without_outputs_and_with_readable_ids() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    stored = content()
    assert text == json.dumps(stored, indent=1, ensure_ascii=False) + "\n"
    ids = [cell["id"] for cell in stored["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in stored["cells"]:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cell["id"])
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]
    assert stored["metadata"]["accelerator"] == "GPU"
    assert stored["metadata"]["colab"]["gpuType"] == "T4"


def test_the_readme_of_the_folder_names_its_files_and_the_variables_of_the_notebook() -> None:
    readme = (NOTEBOOK.parent / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in NOTEBOOK.parent.iterdir() if path.suffix in {".py", ".ipynb"}}
    variables = set(re.findall(r"PERFSUITE_NOTEBOOK_\w+", sources()["settings"]))
    assert len(variables) == 5
    assert {name for name in files | variables if f"`{name}`" not in readme} == set()


@pytest.mark.parametrize("name", sources())
def test_every_code_cell_is_short_and_plain(name: str) -> None:
    lines = sources()[name].splitlines()
    assert len(lines) <= MAX_LINES
    assert max(map(len, lines)) <= 120
    for node in ast.walk(ast.parse(python_of(name))):
        assert not isinstance(node, (ast.ClassDef, ast.Try, ast.While, ast.Lambda, ast.With)), ast.unparse(node)

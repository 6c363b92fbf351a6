"""The pages say what is so: links exist, commands are accepted, and samples are what the commands print."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest
from builders import make_content, make_pair, make_paired_entry
from documented_samples import (
    BLOCK,
    PAGES,
    REPOSITORY,
    SIMULATED,
    Sample,
    commands_in,
    name_of,
    sample_of,
    simulated_output,
    whole_outputs,
    without_numbers,
)

from perfsuite.analysis.exporters.registry import EXPORTERS
from perfsuite.analysis.figures.registry import FIGURES
from perfsuite.analysis.tables.registry import TABLES
from perfsuite.cli import COMMANDS, _parser, main
from perfsuite.formatting import duration_in_words

PERF_OPTION = re.compile(r"--(?:perf|benchmark)-[a-z-]*[a-z]")
OTHER_TOOLS = {
    *("--output", "--notest", "--adapter", "--file", "--head", "--backend-store-uri"),
    *("--out", "--nodes", "--pairs", "--seed", "--searches", "--dir", "--cmd"),  # of tests/yardstick
}
"""Options in the pages that are of jupyter, tox, bencher, ray, mlflow and of scripts of the tests."""

TESTED_ELSEWHERE = {
    "$ pytest benchmarks -m interleaved": "test_the_sample_of_interleaved_pairs_is_that_of_the_committed_file",
    "Feeding a full training": "test_the_sample_of_the_input_pipeline_has_the_form_of_the_table",
    "side by side on cpu:0, cpu:1": "plugin/test_side_by_side.py",
    "$ perfsuite data import": "test_data_command.py",
    "$ pytest -m full_training": "test_the_sample_of_a_smoke_training_is_that_of_the_committed_file",
    "f33dad3db4  Copy the batch": "campaign/test_bisect.py",
    "$ perfsuite doctor": "measure/test_doctor.py",
}
"""First words of samples that neither a command and files nor a simulation can give, and what tests them."""


def code_spans(path: Path) -> list[str]:
    """Return what stands between backquotes in the text of a page."""
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", path.read_text(encoding="utf-8")))


def shell_lines(path: Path) -> list[str]:
    """Return the lines of all blocks for a shell, and commands in the text, without comments."""
    blocks = [block for kind, block in BLOCK.findall(path.read_text(encoding="utf-8")) if kind in {"sh", "text"}]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.split("  #")[0].removeprefix("$ ") for line in [*lines, *code_spans(path)]]


@cache
def help_of(*words: str) -> str:
    """Return the help of a command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return out.getvalue()


@cache
def options_of_commands() -> set[str]:
    """Return every option of every command."""
    texts = [help_of(name) for name in COMMANDS]
    actions = [(name, action) for name, text in zip(COMMANDS, texts, strict=True) for action in actions_in(text)]
    texts += [help_of(*words) for words in actions]
    return set(re.findall(r"--[a-z][a-z-]*", " ".join(texts)))


def actions_in(text: str) -> list[str]:
    """Return the actions that the help of a command lists."""
    return re.findall(r"^    (\w+)  ", text.partition("\nactions:\n")[2], re.MULTILINE)


def test_the_readme_is_short_and_every_page_is_found_from_it() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 150
    linked = set(re.findall(r"\]\(([^)#]+)", text))
    assert {name_of(path) for path in PAGES} - {"README.md"} <= linked


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_block_of_a_page_is_closed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(BLOCK.findall(text))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        file, _, heading = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-") for words in headings}
            assert heading in anchors, target


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_command_in_a_page_is_accepted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands_in(path):
        arguments = shlex.split(command.replace("[", "").replace("]", ""))
        try:
            _parser(arguments).parse_args(arguments)
        except SystemExit:
            error = capsys.readouterr().err
            is_sentence = re.search(r"are required: (FILE|fleet\.toml|ACTION)", error)  # files may be missing in one
            assert is_sentence, f"perfsuite {command}: {error}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_option_and_marker_of_pytest_in_a_page_exists(path: Path, pytestconfig: pytest.Config) -> None:
    text = path.read_text(encoding="utf-8")
    for option in sorted(set(PERF_OPTION.findall(text))):
        pytestconfig.getoption(option)
    markers = {line.partition(":")[0].partition("(")[0] for line in pytestconfig.getini("markers")}
    for line in shell_lines(path):
        if re.match(r"(python -m )?pytest |perfsuite (ab|bisect|noise) ", line):
            given = re.findall(r" -m (\"[^\"]+\"|\w+)", line.partition("pytest ")[2] or line.partition(" -- ")[2])
            words = {word for text in given for word in re.findall(r"\w+", text)}
            assert words - {"and", "or", "not"} <= markers, line


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_other_option_in_a_page_is_one_of_a_command(path: Path) -> None:
    found = {option for line in shell_lines(path) for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", line)}
    unknown = {option for option in found if not re.match(r"--(?:perf|benchmark)", option)}
    assert unknown - options_of_commands() - OTHER_TOOLS == set()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_command_script_and_environment_that_a_page_names_exists(path: Path) -> None:
    environments = set(re.findall(r"(?<=[:,{])-?[a-z]+\d*", (REPOSITORY / "tox.ini").read_text(encoding="utf-8")))
    for line in shell_lines(path):
        for name, action in re.findall(r"(?:^|&& )perfsuite ([a-z]+)(?: ([a-z]+)\b)?", line):
            assert name in COMMANDS, line
            actions = actions_in(help_of(name))
            assert not actions or not action or action in actions, line
        for script in re.findall(r"python ([\w/]+\.py)", line):
            assert (REPOSITORY / script).exists(), line
        for words in re.findall(r"tox run -e ([\w-]+)", line):
            first, _, version = words.partition("-")
            assert first in environments, line
            assert not version or f"-{version}" in environments, line


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_blocks_of_python_and_toml_can_be_read(path: Path) -> None:
    for kind, block in BLOCK.findall(path.read_text(encoding="utf-8")):
        if kind == "python":
            ast.parse(block)
        if kind == "toml":
            assert tomllib.loads(block)


def test_every_option_of_the_suite_is_in_the_page_of_benchmarks() -> None:
    registered = (REPOSITORY / "perfsuite" / "plugin" / "registration.py").read_text(encoding="utf-8")
    options = set(re.findall(r"\"(--perf-[a-z-]+)\"", registered))
    assert len(options) > 20
    pages = " ".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert {option for option in options if option not in pages} == set()


@pytest.mark.parametrize(("page", "arguments", "output"), whole_outputs(), ids=lambda value: str(value)[:60])
def test_a_sample_is_what_its_command_prints(
    page: str, arguments: str, output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    main(shlex.split(arguments))
    printed = capsys.readouterr().out
    assert [line.rstrip() for line in printed.strip().splitlines()] == [
        line.rstrip() for line in output.strip().splitlines()
    ], page


@pytest.mark.parametrize("sample", SIMULATED, ids=lambda sample: sample.command[:40])
def test_a_sample_of_simulated_files_is_what_its_command_prints(sample: Sample, tmp_path: Path) -> None:
    page = (REPOSITORY / sample.page).read_text(encoding="utf-8")
    (shown,) = re.findall(rf"^\$ perfsuite {re.escape(sample.command)}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert shown.splitlines() == simulated_output(sample, tmp_path).splitlines()


def test_the_sample_of_interleaved_pairs_is_that_of_the_committed_file(capsys: pytest.CaptureFixture[str]) -> None:
    path = REPOSITORY / "benchmarks" / "results" / "cpu-amd-epyc" / "speedup.json"
    main(["collect", "--table", "interleaved", str(path)])
    table = sample_of("$ pytest benchmarks -m interleaved\n").partition("...\n")[2]
    assert [line.rstrip() for line in capsys.readouterr().out.strip().splitlines()] == table.splitlines()


def test_the_sample_of_a_smoke_training_is_that_of_the_committed_file() -> None:
    path = REPOSITORY / "benchmarks" / "results" / "cpu-amd-epyc" / "smoke.json"
    lines = sample_of("$ pytest -m full_training --perf-recipe smoke").splitlines()[1:]
    entries = [one for one in json.loads(path.read_text())["benchmarks"] if "full_training" in one["name"]]
    assert len(lines) == len(entries) == 2
    for line, entry in zip(lines, entries, strict=True):
        accuracy = entry["extra_info"]["perfsuite"]["test_accuracy"]
        assert entry["name"].partition("[")[2].rstrip("]") in line
        assert f"test accuracy {accuracy:.2%} after {duration_in_words(entry['stats']['median'])}" in line


def test_the_sample_of_the_input_pipeline_has_the_form_of_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [make_pair(comparison=comparison) for comparison in ("pipeline_step", "pipeline_thesis")]
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(make_content([make_paired_entry(pair) for pair in pairs])))
    main(["collect", "--table", "input_pipeline", str(path)])
    table = without_numbers(capsys.readouterr().out)
    sample = without_numbers(sample_of("Feeding a full training")).splitlines()
    assert sample[2] in table.splitlines()
    for words in ("a step on one batch", "the thesis's way"):
        assert sum(words in line for line in sample) == 2
        assert words in table


def blocks_of_text() -> list[str]:
    return [
        block for path in PAGES for kind, block in BLOCK.findall(path.read_text(encoding="utf-8")) if kind == "text"
    ]


def test_every_sample_is_tested() -> None:
    tested = {command for _, command, _ in whole_outputs()} | {sample.command for sample in SIMULATED}
    for block in blocks_of_text():
        command = block.partition("\n")[0].removeprefix("$ perfsuite ")
        assert command in tested or block.startswith(tuple(TESTED_ELSEWHERE)), command
    for first_words, place in TESTED_ELSEWHERE.items():
        assert sum(block.startswith(first_words) for block in blocks_of_text()) == 1, first_words
        module = Path(__file__) if place.startswith("test_the_sample") else Path(__file__).parent / place
        assert "sample_of(" in module.read_text(encoding="utf-8"), place
        assert not place.startswith("test_the_sample") or place in globals(), place


@pytest.mark.parametrize("name", [*TABLES, *FIGURES, *EXPORTERS])
def test_the_reference_of_commands_names_every_table_figure_and_format(name: str) -> None:
    text = (REPOSITORY / "perfsuite" / "commands" / "README.md").read_text(encoding="utf-8")
    first_cells = " ".join(re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE))
    assert f"`{name}`" in first_cells

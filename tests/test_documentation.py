"""The pages say what is so: links exist, commands are accepted, and samples are what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from perfsuite.analysis.exporters.registry import EXPORTERS
from perfsuite.analysis.figures.registry import FIGURES
from perfsuite.analysis.tables.registry import TABLES
from perfsuite.cli import _parser, main

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted(
    path
    for folder in ("", "benchmarks/", "perfsuite/", "tests/")
    for path in (REPOSITORY / folder).glob("README.md" if not folder else "**/README.md")
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def commands_in(path: Path) -> list[str]:
    """Return every command of perfsuite in the blocks of a page and in its tables, without comments."""
    text = path.read_text(encoding="utf-8")
    lines = [
        line
        for kind, block in BLOCK.findall(text)
        for line in block.replace("\\\n", " ").splitlines()
        if kind in {"sh", "yaml"} or line.startswith("$ ")
    ]
    lines += re.findall(r"`(perfsuite [a-z]+ [^`]*)`", text)
    return [
        command.partition("perfsuite ")[2]
        for line in lines
        for command in line.split("  #")[0].removeprefix("$ ").removeprefix("        run: ").split("&&")
        if re.match(r"\s*(\w+=\S+ )*perfsuite ", command) and "..." not in command
    ]


def samples() -> list[tuple[str, str, str]]:
    """Return page, command and output of each sample whose files are in the repository, or that needs none."""
    found = []
    for path in PAGES:
        for kind, block in BLOCK.findall(path.read_text(encoding="utf-8")):
            first, _, rest = block.partition("\n")
            if kind == "text" and first.startswith("$ perfsuite ") and rest.strip():
                arguments = first.removeprefix("$ perfsuite ")
                if "benchmarks/results/" in arguments or arguments.split()[0] in {"memory", "limits"}:
                    found.append((name_of(path), arguments, rest))
    return found


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


@pytest.mark.parametrize(("page", "arguments", "output"), samples(), ids=lambda value: str(value)[:60])
def test_a_sample_is_what_its_command_prints(
    page: str, arguments: str, output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    main(shlex.split(arguments))
    printed = capsys.readouterr().out
    assert [line.rstrip() for line in printed.strip().splitlines()] == [
        line.rstrip() for line in output.strip().splitlines()
    ], page


@pytest.mark.parametrize("name", [*TABLES, *FIGURES, *EXPORTERS])
def test_the_reference_of_commands_names_every_table_figure_and_format(name: str) -> None:
    text = (REPOSITORY / "perfsuite" / "commands" / "README.md").read_text(encoding="utf-8")
    first_cells = " ".join(re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE))
    assert f"`{name}`" in first_cells

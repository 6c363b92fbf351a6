"""`perfsuite compare`: baseline against candidate, verdicts or side by side."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.export import save_chart
from perfsuite.analysis.figures.processes import process_chart, training_chart
from perfsuite.analysis.frames.across_choice import ACROSS_SORTS, chosen_across
from perfsuite.analysis.frames.environments import across, read_axes
from perfsuite.analysis.frames.noise_floor import known_noise_floors
from perfsuite.analysis.frames.selection import parse_expression
from perfsuite.analysis.load.result_file import read_result_files
from perfsuite.analysis.tables.comparison_json import comparison_json
from perfsuite.analysis.tables.environments import across_json, across_rows, across_tables
from perfsuite.analysis.tables.explanation import explain, find_explained
from perfsuite.analysis.tables.pull_request import render_comments
from perfsuite.analysis.tables.training_explanation import explain_training
from perfsuite.analysis.tables.verdicts import comparison_markdown, comparison_rows, comparison_tables, first_rows
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.noise_floor import in_words
from perfsuite.analysis.verdicts.process_results import reduce_process
from perfsuite.analysis.verdicts.row_choice import SORTS, RowChoice, shown_note
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.analysis.verdicts.verdict import WORST_FIRST
from perfsuite.campaign.next_commands import more_processes_note
from perfsuite.commands.inputs import ResultFiles
from perfsuite.commands.judging_options import (
    DEFAULT_ALPHA,
    DEFAULT_FAIL_ON,
    DEFAULT_MARGIN,
    DEFAULT_MIN_EFFECT,
    add_judging,
    read_fail_on,
    read_judging,
)
from perfsuite.commands.output import check_output, rendered, show, without_garbage_collection
from perfsuite.commands.output_options import add_output
from perfsuite.commands.parser import EXIT_FAILED
from perfsuite.commands.streams import say, write
from perfsuite.errors import InvalidChoiceError
from perfsuite.parsing import choose, split_names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.analysis.verdicts.compare import Comparison
    from perfsuite.analysis.verdicts.thresholds import Judging
    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `compare`."""
    command.description = (
        "Decide for every benchmark whether the candidate regressed, improved or is unchanged, or whether "
        "the data is inconclusive. Every file is one process; use five or more per side, interleaved (A B B A). "
        "Reads any pytest-benchmark JSON. Exit status: 0, 1 if a condition of --fail-on is met, 2 for unusable "
        "input."
    )
    for side in ("baseline", "candidate"):
        command.add_argument(
            f"--{side}",
            nargs="+",
            required=True,
            metavar="FILE",
            type=Path,
            action=ResultFiles,
            help="result files, one per process, or a folder of them",
        )
    command.add_argument(
        "--across",
        metavar="AXES",
        help="gpu, torch, board or several (gpu,torch): show GPUs, versions or boards of one GPU model side by side as "
        "ratios, without verdicts",
    )
    add_judging(command)
    add_choice(command)
    command.add_argument(
        "--ignore-host",
        action="store_true",
        help="compare although host names differ, as in containers on one machine; GPU and CPU must still be the same",
    )
    command.add_argument(
        "--explain",
        metavar="NAME",
        help="show the numbers behind one verdict: its name, part of it or a pattern (*); -o plot.svg draws them",
    )
    add_output(command)


def add_choice(command: argparse.ArgumentParser) -> None:
    """Add the options that say which rows are shown; verdicts, counts and exit status are always those of all."""
    command.add_argument(
        "--only", metavar="LIST", help=f"show only these verdicts, comma-separated: {', '.join(WORST_FIRST)}"
    )
    command.add_argument(
        "--select",
        metavar="EXPR",
        help="show only rows that match (names, workloads), as pytest's -k: 'resnet50 and not (forward or b8)'",
    )
    command.add_argument("--sort", choices=SORTS, help="order of the rows; default: the worst verdict first")


def read_choice(options: argparse.Namespace) -> RowChoice:
    """Return which rows are shown.

    Raises:
        InvalidChoiceError: An unknown verdict, an expression that cannot be read, or an option that is not meant for
            what is shown.
    """
    given = [f"--{name}" for name in ("only", "select", "sort") if getattr(options, name) is not None]
    if given and getattr(options, "explain", None) is not None:
        raise InvalidChoiceError(f"--explain: shows the numbers of one benchmark; leave out {', '.join(given)}")
    only = () if options.only is None else split_names("--only", options.only)
    for name in only:
        choose(dict.fromkeys(WORST_FIRST), name, kind="verdict of --only")
    select = None if options.select is None else parse_expression(options.select)
    return RowChoice(only=only, select=select, sort=options.sort or SORTS[0])


@without_garbage_collection()
def judge_files(
    baseline: Sequence[Path],
    candidate: Sequence[Path],
    judging: Judging,
    *,
    ignore_host: bool = False,
) -> Comparison:
    """Read the files of both sides and judge every benchmark.

    Raises:
        ResultFileError: A file cannot be used.
    """
    return judge(read_result_files(baseline), read_result_files(candidate), judging, ignore_host=ignore_host)


def judge(
    baseline: Sequence[ResultFile],
    candidate: Sequence[ResultFile],
    judging: Judging,
    *,
    ignore_host: bool = False,
) -> Comparison:
    """Judge every benchmark of both sides, with what is known of the noise of their machine.

    Raises:
        ResultFileError: A file holds a benchmark twice, or both sides hold the same run.
    """
    old, new = list(map(reduce_process, baseline)), list(map(reduce_process, candidate))
    thresholds = judging.thresholds
    comparison = compare(
        join_sides(old, new),
        min_effect=thresholds,
        alpha=judging.alpha,
        margin=judging.margin,
        ignore_host=ignore_host,
    )
    floors, notes = known_noise_floors()
    names = [*comparison.sides.fullnames, *(one.cell.fullname for one in comparison.trainings.verdicts)]
    unused = thresholds.unused(names)
    notes += tuple(f"--thresholds: {pattern[:80]!r} matches no benchmark" for pattern in unused)
    known = in_words(comparison, floors)
    notes += () if known is None else (known,)
    extending = more_processes_note([file.path for file in (*baseline, *candidate)], comparison)
    notes += () if extending is None else (extending,)
    return dataclasses.replace(comparison, notes=(*comparison.notes, *notes))


def show_comparison(comparison: Comparison, options: argparse.Namespace) -> int:
    """Write a comparison as it was asked for; the exit status that --fail-on asks for."""
    choice = read_choice(options)
    if options.format == "json":
        write(comparison_json(comparison, choice), options.output)
    elif options.format == "markdown":
        write(comparison_markdown(comparison, choice), options.output)
    elif options.format == "csv":
        show(comparison_rows(comparison, choice), options)
        for note in shown_note(comparison, choice):  # a table in CSV has no notes
            say(note)
    else:
        tables = comparison_tables(comparison, choice)
        if options.format == "terminal":
            tables = [first_rows(table) for table in tables]
        write("\n".join(rendered(table, options) for table in tables), options.output, printable=True)
    failures = comparison.failures(read_fail_on(options))
    if failures:
        say(f"perfsuite: failed (--fail-on {options.fail_on}): {'; '.join(failures)}")
    return EXIT_FAILED if failures else 0


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    check_output(options, [*options.baseline, *options.candidate, options.thresholds])
    if options.across is not None:
        return _across(options)
    judging = read_judging(options)
    read_fail_on(options)
    read_choice(options)
    comparison = judge_files(options.baseline, options.candidate, judging, ignore_host=options.ignore_host)
    if options.explain is not None:
        return _explain(comparison, options)
    return show_comparison(comparison, options)


def _explain(comparison: Comparison, options: argparse.Namespace) -> int:
    row = find_explained(comparison, options.explain)
    if not isinstance(row, int):
        if options.output is not None:
            save_chart(training_chart(row), options.output)
            say(f"wrote {options.output}")
        write(explain_training(comparison.trainings, row, comparison.alpha), None)
        return 0
    if options.output is not None:
        save_chart(process_chart(comparison, row), options.output)
        say(f"wrote {options.output}")
    write(explain(comparison, row), None)
    return 0


JUDGING_OPTIONS = {
    "--fail-on": ("fail_on", DEFAULT_FAIL_ON),
    "--min-effect": ("min_effect", DEFAULT_MIN_EFFECT),
    "--alpha": ("alpha", DEFAULT_ALPHA),
    "--accuracy-margin": ("accuracy_margin", DEFAULT_MARGIN),
    "--thresholds": ("thresholds", None),
    "--explain": ("explain", None),
    "--ignore-host": ("ignore_host", False),
}
"""Options of verdicts, which environments side by side have none of, with their attribute and default."""


def _across(options: argparse.Namespace) -> int:
    _check_no_judging_options(options)
    choice = read_choice(options)
    if choice.only or options.sort == "verdict":
        option = "--only" if choice.only else "--sort verdict"
        raise InvalidChoiceError(
            f"{option}: --across gives no verdicts; use --select, --sort {', '.join(ACROSS_SORTS)}"
        )
    found = across(options.baseline, options.candidate, read_axes(options.across))
    found = chosen_across(found, choice.select, options.sort)
    if options.format == "json":
        text = across_json(found)
    elif options.format == "csv":
        text = rendered(across_rows(found), options)
        if choice.select is not None:  # a table in CSV has no notes
            say(found.notes[0])
    elif options.format == "markdown":
        text = render_comments([(table, None) for table in across_tables(found)])
    else:
        text = "\n".join(rendered(table, options) for table in across_tables(found))
    write(text, options.output, printable=True)
    return 0


def _check_no_judging_options(options: argparse.Namespace) -> None:
    """Check that no option is about verdicts, which environments side by side do not get.

    Raises:
        InvalidChoiceError: One is.
    """
    given = []
    for option, (name, default) in JUDGING_OPTIONS.items():
        if getattr(options, name) not in {default, "never"}:  # --fail-on never is what it does
            given.append(option)
    if given:
        raise InvalidChoiceError(f"{', '.join(given)}: --across gives no verdicts; leave one of them out")

"""`perfsuite ab`: the suite in fresh processes of two sides, interleaved, and whether anything regressed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.statistics.significance import MIN_PROCESSES
from perfsuite.analysis.verdicts.ranking import ranked, ranked_trainings
from perfsuite.campaign.interruption import Interrupted
from perfsuite.campaign.next_commands import explain_command, report_command
from perfsuite.campaign.plan import (
    DEFAULT_ARGUMENTS,
    MAX_PROCESSES,
    CampaignPlan,
    check_arguments,
    digest_of,
    identify,
    make_side,
)
from perfsuite.campaign.run import run_campaign
from perfsuite.campaign.state import has_fewer_processes, is_judged, is_own_file, mark_judged
from perfsuite.commands.compare import (
    add_choice,
    judge_files,
    read_choice,
    show_comparison,
)
from perfsuite.commands.judging_options import add_judging, judging_words, read_fail_on, read_judging
from perfsuite.commands.output import check_output
from perfsuite.commands.output_options import add_output
from perfsuite.commands.parser import EXIT_INTERRUPTED
from perfsuite.commands.streams import say, say_line_or_progress, say_progress
from perfsuite.errors import CampaignError
from perfsuite.formatting import plural

if TYPE_CHECKING:
    import argparse

    from perfsuite.analysis.verdicts.compare import Comparison
    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `ab`."""
    command.description = (
        "Run the suite in fresh processes of two interpreters in the order A B B A, and give verdicts as "
        "compare does. The same command resumes after an interruption. Arguments after -- are passed to pytest; "
        "default: benchmarks -m step."
    )
    command.add_argument("--baseline", required=True, metavar="PYTHON", help="interpreter, or folder of an environment")
    command.add_argument("--candidate", required=True, metavar="PYTHON", help="the same for the candidate")
    for name in ("baseline", "candidate"):
        command.add_argument(
            f"--dir-{name}",
            type=Path,
            default=Path(),
            metavar="DIR",
            help="checkout to run in; default: current folder",
        )
        command.add_argument(
            f"--env-{name}", action="append", default=[], metavar="K=V", help="environment variable; may be repeated"
        )
    add_running(command)
    add_judging(command)
    add_choice(command)
    add_output(command)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """All processes of a plan.

    Attributes:
        folder: Of the run.
        baseline: The result files of that side, one per process.
        candidate: Those of the other.
        notes: What the reader of their comparison is to know of the run.
    """

    folder: Path
    baseline: list[Path]
    candidate: list[Path]
    notes: list[str]


def add_running(command: Parser) -> None:
    """Add the options that say how often, where and with which arguments pytest runs."""
    command.add_argument(
        "--processes",
        default="5",
        metavar="N",
        help="processes per side; default: 5; a larger number extends a finished run",
    )
    command.add_argument(
        "--run-dir", type=Path, metavar="DIR", help="folder for files, logs and state; default: a new one in results/"
    )
    command.add_argument("--restart", action="store_true", help="delete what this run has measured, and start over")
    command.add_argument("arguments", nargs="*", metavar="-- PYTEST ARGUMENTS", help="default: benchmarks -m step")


def make_plan(options: argparse.Namespace, sides: list[tuple[str, str, Path, list[str]]]) -> CampaignPlan:
    """Return the plan of a run.

    Args:
        options: Of the command.
        sides: Name, interpreter, checkout and environment variables of baseline and candidate.

    Raises:
        CampaignError: An option cannot be used.
    """
    text = options.processes
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PROCESSES)) and int(text) >= 1):
        raise CampaignError(
            f"--processes: {text[:20]!r} is not a number of processes; choose from 1 to {MAX_PROCESSES}"
        )
    arguments = tuple(options.arguments) or DEFAULT_ARGUMENTS
    check_arguments(arguments)
    first, second = (make_side(*side) for side in sides)
    return CampaignPlan(sides=(first, second), num_processes=min(int(text), MAX_PROCESSES), arguments=arguments)


def run_plan(options: argparse.Namespace, plan: CampaignPlan, kind: str) -> FinishedRun | None:
    """Run what is missing of a plan; None if it was interrupted.

    Raises:
        CampaignError: The run cannot go on.
    """
    identity = identify(plan)
    folder = options.run_dir
    if folder is None:
        stem = Path("results") / f"{kind}-{digest_of(identity)}"
        folder, number = stem, 2
        # The same question again is to be measured again; with more processes, those that are missing are.
        while is_judged(folder) and not has_fewer_processes(folder, plan.num_processes):
            folder, number = stem.with_name(f"{stem.name}-{number}"), number + 1
    if options.output is not None and is_own_file(folder, options.output):
        raise CampaignError(f"-o {options.output}: is a file of the A/B run itself; write the output to another")
    say(f"{2 * plan.num_processes} processes, interleaved, kept in {folder}")

    try:
        baseline, candidate, notes = run_campaign(
            plan, folder, identity, restart=options.restart, say=say_line_or_progress
        )
    except Interrupted:
        say_progress("")
        say("interrupted; what is finished is kept, and the same command resumes there")
        return None
    return FinishedRun(folder=folder, baseline=baseline, candidate=candidate, notes=notes)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    check_output(options, [options.thresholds])
    judging = read_judging(options)  # before the runs, which take hours
    read_fail_on(options)
    read_choice(options)
    plan = make_plan(
        options,
        [
            ("baseline", options.baseline, options.dir_baseline, options.env_baseline),
            ("candidate", options.candidate, options.dir_candidate, options.env_candidate),
        ],
    )
    if plan.num_processes < MIN_PROCESSES:
        few = plural(plan.num_processes, "process")
        say(f"--processes: {few} a side will give no verdict on time; {MIN_PROCESSES} at least, better 5")
    finished = run_plan(options, plan, "ab")
    if finished is None:
        return EXIT_INTERRUPTED
    comparison = judge_files(finished.baseline, finished.candidate, judging)
    comparison = dataclasses.replace(comparison, notes=(*finished.notes, *comparison.notes))
    status = show_comparison(comparison, options)
    mark_judged(finished.folder)
    _say_next(finished, comparison, options)
    return status


def _say_next(finished: FinishedRun, comparison: Comparison, options: argparse.Namespace) -> None:
    """Say how to see the run as a page, and the numbers behind its worst verdict."""
    files, judging = (finished.baseline, finished.candidate), judging_words(options)
    names = [one.fullname for one in ranked(comparison)]
    names += [one.cell.label for one in ranked_trainings(comparison.trainings)]
    say(f"as a page: {report_command(*files, judging)}")
    if names:
        say(f"the numbers behind a verdict: {explain_command(*files, judging, names[0])}")

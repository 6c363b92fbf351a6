"""`perfsuite bisect`: which commit, or which version, made a benchmark slower."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.verdicts.thresholds import parse_effect
from perfsuite.campaign.bisect.question import (
    Measuring,
    ask_of_commits,
    ask_of_environments,
    pytest_arguments,
    words_of,
)
from perfsuite.campaign.bisect.report import DEFAULT_ALPHA, report_json, report_text
from perfsuite.campaign.bisect.run import run_bisection
from perfsuite.campaign.bisect.search import Terms
from perfsuite.campaign.bisect.value import METRICS
from perfsuite.campaign.interruption import Interrupted
from perfsuite.campaign.plan import MAX_PROCESSES
from perfsuite.commands.parser import EXIT_FAILED, EXIT_INTERRUPTED
from perfsuite.commands.streams import say, say_line_or_progress, say_progress, write
from perfsuite.errors import InvalidChoiceError
from perfsuite.parsing import parse_whole_number

if TYPE_CHECKING:
    import argparse

    from perfsuite.campaign.bisect.question import Question
    from perfsuite.commands.parser import Parser

DEFAULT_PROCESSES = 30
"""Of a revision in one comparison: finds changes of about twice the scatter between processes and more."""

MIN_PROCESSES = 6
"""Of --max-processes: less than the first look of every test leaves nothing to be decided."""

MAX_ALPHA = 0.5


def add_options(command: Parser) -> None:
    """Add the options of the command `bisect`."""
    command.description = (
        "Find the commit between a good and a bad one that changed a benchmark, by git bisect with interleaved "
        "processes as the test; each step runs as many as it needs. The checkout is not modified. The same command "
        "resumes after an interruption. Arguments after -- are passed to pytest and select the benchmark."
    )
    command.add_argument("--good", metavar="REV", help="a commit before the change")
    command.add_argument("--bad", metavar="REV", help="a commit after it")
    command.add_argument(
        "--environments",
        nargs="+",
        metavar="PYTHON",
        help="instead of commits: environments in order, for example nightlies",
    )
    command.add_argument(
        "--benchmark", required=True, metavar="NAME", help="full name, or a pattern with * that matches exactly one"
    )
    command.add_argument("--metric", choices=METRICS, default="time", help="default: time, the median of the rounds")
    command.add_argument(
        "--repository",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="repository of the commits; default: the current folder",
    )
    command.add_argument("--python", metavar="PYTHON", help="interpreter, or folder of an environment")
    command.add_argument(
        "--setup", metavar="COMMAND", help="shell command to run first in each checkout, for example a build"
    )
    command.add_argument(
        "--env", action="append", default=[], metavar="K=V", help="environment variable; may be repeated"
    )
    command.add_argument("--first-parent", action="store_true", help="follow only the first parent of merges")
    command.add_argument("--min-effect", default="2%", metavar="X", help="smallest change that counts; default: 2%%")
    command.add_argument(
        "--alpha",
        default=str(DEFAULT_ALPHA),
        metavar="P",
        help="probability of a wrong commit, over all steps; default: 0.05",
    )
    command.add_argument(
        "--max-processes",
        default=str(DEFAULT_PROCESSES),
        metavar="N",
        help=f"maximum processes per revision in a step; default: {DEFAULT_PROCESSES}",
    )
    command.add_argument(
        "--run-dir", type=Path, metavar="DIR", help="folder for files, logs and state; default: a new one in results/"
    )
    command.add_argument("--restart", action="store_true", help="delete what this run has measured, and start over")
    command.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    command.add_argument("-o", "--output", metavar="PATH", type=Path, help="write to this file instead of the terminal")
    command.add_argument(
        "arguments", nargs="*", metavar="-- PYTEST ARGUMENTS", help="arguments that select the benchmark"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    terms = _read_terms(options)
    question = _read_question(options)
    folder = options.run_dir
    if folder is None:
        digest = hashlib.sha256(words_of(question.identity).encode("utf-8", "surrogatepass")).hexdigest()[:8]
        folder = Path("results") / f"bisect-{digest}"
    if options.output is not None and options.output.absolute().is_relative_to(folder.absolute()):
        raise InvalidChoiceError(f"-o {options.output}: lies in the folder of the run; write the output elsewhere")
    say(f"kept in {folder}")

    try:
        finished = run_bisection(question, terms, folder, restart=options.restart, say=say_line_or_progress)
    except Interrupted:
        say_progress("")
        say("interrupted; what is finished is kept, and the same command resumes there")
        return EXIT_INTERRUPTED
    text = report_text(finished) if options.format == "text" else report_json(finished)
    write(text, options.output)
    return 0 if finished.outcome.ending == "found" else EXIT_FAILED


def _read_terms(options: argparse.Namespace) -> Terms:
    try:
        alpha = float(options.alpha)
    except ValueError:
        alpha = math.nan
    if not 0 < alpha <= MAX_ALPHA:
        raise InvalidChoiceError(f"--alpha: {options.alpha[:20]!r} is not a probability above 0 and up to {MAX_ALPHA}")
    most = parse_whole_number(
        "--max-processes", options.max_processes, "a number of processes", least=MIN_PROCESSES, most=MAX_PROCESSES
    )
    effect = parse_effect("--min-effect", options.min_effect)
    return Terms(alpha=alpha, min_effect=math.log1p(effect), max_processes=most)


def _read_question(options: argparse.Namespace) -> Question:
    if not options.benchmark:
        raise InvalidChoiceError("--benchmark: an empty name; give the name of a benchmark or a pattern")
    measuring = Measuring(
        benchmark=options.benchmark,
        metric=options.metric,
        arguments=pytest_arguments(options.arguments, options.benchmark),
        variables=options.env,
    )
    if options.environments is not None:
        of_commits = [
            name
            for name in ("good", "bad", "python", "setup", "first_parent")
            if getattr(options, name) not in {None, False}
        ]
        if of_commits:
            option = of_commits[0].replace("_", "-")
            raise InvalidChoiceError(f"--{option} is about commits, --environments about versions: give one of them")
        return ask_of_environments(options.repository, options.environments, measuring)
    missing = [f"--{name}" for name in ("good", "bad") if getattr(options, name) is None]
    if missing:
        raise InvalidChoiceError(f"{' and '.join(missing)}: missing; name both ends, or --environments")
    return ask_of_commits(
        options.repository,
        (options.good, options.bad),
        measuring,
        python=options.python,
        setup=options.setup,
        first_parent=options.first_parent,
    )

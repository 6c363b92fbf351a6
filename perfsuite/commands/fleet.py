"""`perfsuite fleet`: kinds of machines x environments x repetitions, on a Ray cluster or Slurm, and full trainings."""

from __future__ import annotations

import datetime as dt
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.campaign.interruption import Interrupted
from perfsuite.commands.parser import EXIT_FAILED, EXIT_INTERRUPTED
from perfsuite.commands.streams import say, say_line_or_progress, say_progress, write
from perfsuite.errors import FleetError
from perfsuite.fleet.plan import MAX_WAIT_MINUTES, read_plan
from perfsuite.formatting import duration_in_words, plural, printable
from perfsuite.parsing import choose, parse_whole_number

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from perfsuite.commands.parser import Parser
    from perfsuite.fleet.engine import Engine
    from perfsuite.fleet.plan import FleetPlan

ENGINES = {
    "ray": "the nodes of a Ray cluster",
    "slurm": "jobs of Slurm, through submitit",
    "local": "processes on this machine, through submitit, to try a plan",
}


def add_options(command: Parser) -> None:
    """Add the options of the command `fleet`."""
    command.description = (
        "Measure on many machines: kinds of machines x environments x repetitions, each repetition is a fresh pytest "
        "process on a node that runs nothing else of the fleet at that time; environments are interleaved on each node "
        "(A B B A). The same command resumes after an interruption. Needs the extra: pip install 'perfsuite[fleet]'."
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, words in (
        ("run", "run everything that a fleet has not measured yet"),
        ("train", "run full trainings as tasks: cells x seeds of [train], resumed from their checkpoints"),
        ("status", "show the progress of a fleet; needs neither Ray nor submitit"),
    ):
        action = actions.add_parser(name, help=words, description=words)
        action.set_defaults(action=name)
        action.add_argument("plan", metavar="fleet.toml", type=Path, help="what to measure, and where")
        action.add_argument(
            "--run-dir",
            metavar="DIR",
            type=Path,
            help="folder for result files, logs and state; default: results/fleet-NAME, with the name of the TOML file",
        )
        if name != "status":
            _add_running(action)


def _add_running(action: argparse.ArgumentParser) -> None:
    add = action.add_argument
    engines = "; ".join(f"{name}: {words}" for name, words in ENGINES.items())
    add("--engine", default="ray", metavar="NAME", help=f"default: ray. {engines}")
    add(
        "--address",
        default="auto",
        metavar="ADDRESS",
        help="Ray cluster: auto (the default), HOST:PORT or ray://HOST:PORT",
    )
    add("--restart", action="store_true", help="delete what this fleet has measured, and start over")
    add(
        "--wait",
        default="10",
        metavar="MINUTES",
        help="how long to wait while no node can do the remaining work; default: 10",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    folder = options.run_dir
    if folder is None:
        training = "-train" if options.action == "train" else ""
        folder = Path("results") / f"fleet-{options.plan.stem}{training}"
    if options.action == "status":
        # A folder is shown as it is; its fleet.toml need not be here.
        shown = options.plan if options.run_dir is None and options.plan.is_dir() else folder
        write(_status(shown), None)
        return 0
    return _run(options, folder)


def _run(options: argparse.Namespace, folder: Path) -> int:
    choose(ENGINES, options.engine, kind="engine")
    wait_minutes = parse_whole_number(
        "--wait", options.wait, "a time", least=0, most=MAX_WAIT_MINUTES, unit="whole minutes"
    )
    plan = read_plan(options.plan)
    is_training = options.action == "train"
    if is_training and plan.trainings is None:
        raise FleetError(f"{options.plan}: [train] is not given; write it, with shared, models and precisions")
    start_engine = _engine(options, plan, folder)
    from perfsuite.fleet.head import Settings
    from perfsuite.fleet.run import run_fleet

    settings = Settings(is_training=is_training, restart=options.restart, wait_s=60.0 * wait_minutes)
    try:
        outcome = run_fleet(plan, folder, start_engine, settings, say_line_or_progress)
    except Interrupted:
        say_progress("")
        say("interrupted; what is finished is kept, and the same command resumes there")
        return EXIT_INTERRUPTED
    say_progress("")
    for note in outcome.notes:
        say(note)
    if outcome.given_up:
        reasons = sorted({f"{slot.kind} {slot.environment}: {reason}" for slot, reason in outcome.given_up.items()})
        missing = plural(len(outcome.given_up), "result")
        say(f"{missing} missing: {'; '.join(reasons)}; the same command tries again")
    say(f"{plural(len(outcome.results), 'result')} in {folder}: perfsuite report {folder} -o fleet.html")
    return EXIT_FAILED if outcome.given_up else 0


def _engine(options: argparse.Namespace, plan: FleetPlan, folder: Path) -> Callable[[], Engine]:
    """Return what connects to the nodes.

    Raises:
        InstallationError: Its package is not installed.
    """
    if options.engine == "ray":
        from perfsuite.fleet.ray_engine import RayEngine

        return lambda: RayEngine(plan, options.address)
    from perfsuite.fleet.slurm_engine import SlurmEngine, check_plan

    check_plan(plan)
    return lambda: SlurmEngine(plan, folder, cluster=options.engine)


def _status(folder: Path) -> str:
    """Return how far the fleet of a folder is.

    Raises:
        FleetError: There is none.
    """
    from perfsuite.fleet.progress import status_notes, status_rows
    from perfsuite.fleet.state import read_results, read_state

    state = read_state(folder)
    if state is None:
        raise FleetError(f"{folder}: contains no fleet; name its folder, or its fleet.toml and --run-dir")
    results, notes = read_results(folder, state["id"])
    now = dt.datetime.now(tz=dt.UTC)
    rows = status_rows(state, [(slot, result.node) for slot, result in results.items()], now)
    lines = _table(rows)
    for note in [*status_notes(state, len(results), now), *notes]:
        lines += textwrap.wrap(note, MAX_LINE, subsequent_indent="  ")
    return "\n".join(printable(line) for line in lines) + "\n"


MAX_LINE = 80
"""Characters of a line."""

HEADINGS = ("kind", "node", "environment", "done", "running", "failed", "left")

MAX_WIDTHS = (12, 22, 18, 5, 12, 6, 12)
"""Characters of the columns at most, so that a row has 80; longer names are cut in the middle."""


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [min(limit, max(len(row[number]) for row in cells)) for number, limit in enumerate(MAX_WIDTHS)]
    lines = []
    for row in cells:
        texts = [_cut(text, width) for text, width in zip(row, widths, strict=True)]
        aligned = [
            text.rjust(width) if number >= NUM_KEYS else text.ljust(width)
            for number, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]
        lines.append("  ".join(aligned).rstrip())
    return lines


NUM_KEYS = 3
"""Columns that are names."""


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    running = "" if row["running_s"] is None else duration_in_words(row["running_s"])
    left = "" if row["left_s"] is None else duration_in_words(row["left_s"])
    names = (printable(row[name]) for name in ("kind", "node", "environment"))
    return (*names, str(row["num_done"]), running, str(row["num_failed"] or ""), left)


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    end = (width - 2) // 2
    return f"{text[: width - 2 - end]}..{text[-end:]}"

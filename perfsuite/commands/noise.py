"""`perfsuite noise`: the same code against itself, and the smallest slowdown that this machine can detect."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.load.noise_file import default_noise_path, read_noise_floors, save_noise_floor
from perfsuite.analysis.statistics.significance import MIN_PROCESSES
from perfsuite.analysis.tables.noise import noise_table
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.noise_floor import noise_floor
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.campaign.plan import (
    has_only_trainings,
)
from perfsuite.campaign.state import mark_judged
from perfsuite.commands.ab import add_running, make_plan, run_plan
from perfsuite.commands.output import check_output, show
from perfsuite.commands.output_options import add_output
from perfsuite.commands.parser import EXIT_FAILED, EXIT_INTERRUPTED
from perfsuite.commands.streams import say
from perfsuite.errors import CampaignError

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `noise`."""
    command.description = (
        "Run the suite against itself, interleaved (A/A), and save the smallest detectable slowdown of "
        "every benchmark for later tables, in the user's state folder or in the file PERFSUITE_NOISE."
    )
    command.add_argument("--python", default=sys.executable, metavar="PYTHON", help="interpreter; default: this one")
    command.add_argument(
        "--dir", type=Path, default=Path(), metavar="DIR", help="checkout to run in; default: current folder"
    )
    add_running(command)
    add_output(command)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    plan = make_plan(options, [(name, options.python, options.dir, []) for name in ("baseline", "candidate")])
    if plan.num_processes < MIN_PROCESSES:
        raise CampaignError(
            f"--processes: {plan.num_processes} a side are too few for a noise floor; use at least {MIN_PROCESSES}"
        )
    if has_only_trainings(plan.arguments):
        raise CampaignError("-m full_training: full trainings have no noise floor; choose benchmarks: -m step")
    check_output(options, [])
    path = default_noise_path()
    read_noise_floors(path)  # a damaged file is an error before the hours, not after them
    finished = run_plan(options, plan, "noise")
    if finished is None:
        return EXIT_INTERRUPTED
    first = [read_process(path) for path in finished.baseline]
    second = [read_process(path) for path in finished.candidate]
    comparison = compare(join_sides(first, second))
    floor = noise_floor(comparison)
    save_noise_floor(floor, path)
    alarms = [one.fullname for one in comparison.benchmarks if one.verdict in {"regressed", "improved"}]
    show(noise_table(floor, false_alarms=alarms, notes=finished.notes), options)
    mark_judged(finished.folder)
    say(f"kept in {path}; later tables of this machine show it")
    return EXIT_FAILED if alarms else 0

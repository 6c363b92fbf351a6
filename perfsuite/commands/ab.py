"""`perfsuite ab` and `perfsuite noise`: the suite in fresh processes, interleaved, and what it says."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.commands.compare import add_judging, judge_files, read_fail_on, read_judging, show_comparison
from perfsuite.commands.output import add_output, check_output, say, say_progress, show
from perfsuite.commands.parser import EXIT_FAILED, EXIT_INTERRUPTED

if TYPE_CHECKING:
    import argparse

    from perfsuite.campaign.plan import Plan
    from perfsuite.commands.parser import Commands


def add_ab(commands: Commands) -> None:
    """Add the command `ab`."""
    ab = commands.add_parser(
        "ab",
        help="two interpreters, checkouts or settings interleaved: did it get slower?",
        description="Run the suite in fresh processes of two interpreters in the order A B B A, and judge as compare "
        "does. The same command resumes after an interruption. Arguments after -- are pytest's; without them: "
        "benchmarks -m step.",
    )
    ab.add_argument("--baseline", required=True, metavar="PYTHON", help="interpreter, or folder of an environment")
    ab.add_argument("--candidate", required=True, metavar="PYTHON", help="the other one; may be the same")
    for name in ("baseline", "candidate"):
        ab.add_argument(
            f"--dir-{name}", type=Path, default=Path(), metavar="DIR", help="checkout to run in; default: this folder"
        )
        ab.add_argument(
            f"--env-{name}", action="append", default=[], metavar="K=V", help="environment variable; may be repeated"
        )
    _add_running(ab)
    add_judging(ab)
    add_output(ab)
    ab.set_defaults(run=_ab)


def add_noise(commands: Commands) -> None:
    """Add the command `noise`."""
    noise = commands.add_parser(
        "noise",
        help="the same code against itself: the smallest slowdown that this machine can detect",
        description="Run the suite against itself, interleaved (A/A), and save the smallest detectable slowdown of "
        "every benchmark for later tables, in the user's folder for state or where PERFSUITE_NOISE says.",
    )
    noise.add_argument("--python", default=sys.executable, metavar="PYTHON", help="interpreter; default: this one")
    noise.add_argument("--dir", type=Path, default=Path(), metavar="DIR", help="checkout; default: this folder")
    _add_running(noise)
    add_output(noise)
    noise.set_defaults(run=_noise)


def _add_running(command: argparse.ArgumentParser) -> None:
    command.add_argument("--processes", default="5", metavar="N", help="a side; default: 5")
    command.add_argument(
        "--run-dir", type=Path, metavar="DIR", help="files, logs and state; default: a folder of its own in results/"
    )
    command.add_argument("--restart", action="store_true", help="delete what this run has measured, and start over")
    command.add_argument("arguments", nargs="*", metavar="-- PYTEST ARGUMENTS", help="default: benchmarks -m step")


def _plan(options: argparse.Namespace, sides: list[tuple[str, str, Path, list[str]]]) -> Plan:
    from perfsuite.campaign.plan import DEFAULT_ARGUMENTS, MAX_PROCESSES, Plan, check_arguments, make_side
    from perfsuite.errors import CampaignError

    text = options.processes
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PROCESSES)) and int(text) >= 1):
        raise CampaignError(
            f"--processes: {text[:20]!r} is not a number of processes; choose from 1 to {MAX_PROCESSES}"
        )
    arguments = tuple(options.arguments) or DEFAULT_ARGUMENTS
    check_arguments(arguments)
    first, second = (make_side(*side) for side in sides)
    return Plan(sides=(first, second), num_processes=min(int(text), MAX_PROCESSES), arguments=arguments)


def _run(options: argparse.Namespace, plan: Plan, kind: str) -> tuple[Path, list[Path], list[Path], list[str]] | None:
    """Run what is missing: the folder, the files of either side, notes; None if it was interrupted."""
    from perfsuite.campaign.plan import digest_of, identify
    from perfsuite.campaign.run import Interrupted, run_campaign
    from perfsuite.campaign.state import is_judged, is_own_file
    from perfsuite.errors import CampaignError

    identity = identify(plan)
    folder = options.run_dir
    if folder is None:
        stem = Path("results") / f"{kind}-{digest_of(identity)}"
        folder, number = stem, 2
        while is_judged(folder):  # the same question again is to be measured again
            folder, number = stem.with_name(f"{stem.name}-{number}"), number + 1
    if options.output is not None and is_own_file(folder, options.output):
        raise CampaignError(f"-o {options.output}: is a file of the A/B run itself; write the output to another")
    say(f"{2 * plan.num_processes} processes, interleaved, kept in {folder}")

    def tell(text: str, final: bool) -> None:  # noqa: FBT001 - one of two kinds of line
        if final:
            say_progress("")
            say(text)
        else:
            say_progress(text)

    try:
        return folder, *run_campaign(plan, folder, identity, restart=options.restart, say=tell)
    except Interrupted:
        say_progress("")
        say("interrupted; what is finished is kept, and the same command resumes there")
        return None


def _ab(options: argparse.Namespace) -> int:
    from perfsuite.campaign.state import mark_judged

    check_output(options, [options.thresholds])
    judging = read_judging(options)  # before the runs, which take hours
    read_fail_on(options)
    plan = _plan(
        options,
        [
            ("baseline", options.baseline, options.dir_baseline, options.env_baseline),
            ("candidate", options.candidate, options.dir_candidate, options.env_candidate),
        ],
    )
    found = _run(options, plan, "ab")
    if found is None:
        return EXIT_INTERRUPTED
    folder, baseline, candidate, notes = found
    comparison = judge_files(baseline, candidate, judging)
    status = show_comparison(dataclasses.replace(comparison, notes=(*notes, *comparison.notes)), options)
    mark_judged(folder)
    return status


def _noise(options: argparse.Namespace) -> int:
    from perfsuite.analysis.load.noise_file import default_noise_path, read_noise_floors, save_noise_floor
    from perfsuite.analysis.statistics.significance import MIN_PROCESSES
    from perfsuite.analysis.tables.noise import noise_table
    from perfsuite.analysis.verdicts.compare import compare
    from perfsuite.analysis.verdicts.noise_floor import noise_floor
    from perfsuite.analysis.verdicts.samples import join_sides, read_process
    from perfsuite.campaign.plan import has_only_trainings
    from perfsuite.campaign.state import mark_judged
    from perfsuite.errors import CampaignError

    plan = _plan(options, [(name, options.python, options.dir, []) for name in ("baseline", "candidate")])
    if plan.num_processes < MIN_PROCESSES:
        raise CampaignError(f"--processes: {plan.num_processes} a side show no noise floor; {MIN_PROCESSES} at least")
    if has_only_trainings(plan.arguments):
        raise CampaignError("-m full_training: full trainings have no noise floor; choose benchmarks: -m step")
    check_output(options, [])
    path = default_noise_path()
    read_noise_floors(path)  # a damaged file is told before the hours, not after them
    found = _run(options, plan, "noise")
    if found is None:
        return EXIT_INTERRUPTED
    first, second = ([read_process(path) for path in paths] for paths in found[1:3])
    comparison = compare(join_sides(first, second))
    floor = noise_floor(comparison)
    save_noise_floor(floor, path)
    alarms = [one.fullname for one in comparison.benchmarks if one.verdict in {"regressed", "improved"}]
    show(noise_table(floor, false_alarms=alarms, notes=found[3]), options)
    mark_judged(found[0])
    say(f"kept in {path}; later tables of this machine show it")
    return EXIT_FAILED if alarms else 0

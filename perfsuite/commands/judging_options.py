"""Options of what counts as a change, and of what fails: those of every command that gives verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.verdicts.thresholds import Judging, parse_alpha, parse_effect, parse_margin, read_thresholds
from perfsuite.analysis.verdicts.verdict import FAIL_ON
from perfsuite.errors import InvalidChoiceError
from perfsuite.parsing import choose, split_names

if TYPE_CHECKING:
    import argparse

DEFAULT_FAIL_ON = "regressed,missing,unjudged"
DEFAULT_MIN_EFFECT, DEFAULT_ALPHA, DEFAULT_MARGIN = "2%", "0.05", "1"


def add_judging(command: argparse.ArgumentParser) -> None:
    """Add the options that say what counts as a change, and what fails."""
    add_thresholds(command)
    command.add_argument(
        "--fail-on",
        default=DEFAULT_FAIL_ON,
        metavar="LIST",
        help="conditions for exit status 1, comma-separated. failed: the candidate recorded that a benchmark failed, "
        "ran out of memory or was interrupted, in a larger share of its processes than the baseline; regressed: "
        "failed, or slower; missing: in the baseline but in no candidate file, skipped or not run included; "
        "incomparable; unjudged: no benchmark could be judged; inconclusive: anything but improved, "
        "unchanged or new; never: none. "
        "Except with never, candidate files without results always fail. Default: regressed,missing,unjudged",
    )


def add_thresholds(command: argparse.ArgumentParser) -> None:
    """Add the options that say what counts as a change."""
    command.add_argument(
        "--min-effect", default=DEFAULT_MIN_EFFECT, metavar="X", help="smallest change that counts; default: 2%%"
    )
    command.add_argument(
        "--alpha", default=DEFAULT_ALPHA, metavar="P", help="probability of any false verdict; default: 0.05"
    )
    command.add_argument(
        "--accuracy-margin",
        default=DEFAULT_MARGIN,
        metavar="POINTS",
        help="smallest loss of a full training's accuracy that counts, in percentage points; default: 1",
    )
    command.add_argument(
        "--thresholds",
        metavar="FILE",
        type=Path,
        help='TOML file with minimum effects by benchmark: a table [min-effect] of lines such as "*resnet50*" = "5%%"',
    )


def read_judging(options: argparse.Namespace) -> Judging:
    """Return the chance of a false verdict and what counts as a change.

    Raises:
        PerfsuiteError: An option or the file of thresholds is not usable.
    """
    return Judging(
        thresholds=read_thresholds(parse_effect("--min-effect", options.min_effect), options.thresholds),
        margin=parse_margin(options.accuracy_margin),
        alpha=parse_alpha(options.alpha),
    )


def judging_words(options: argparse.Namespace) -> list[str]:
    """Return the options that say what counts as a change, as they were given; defaults are left out."""
    usual = {"min_effect": "2%", "alpha": "0.05", "accuracy_margin": "1", "thresholds": None}
    given = {name: getattr(options, name) for name, default in usual.items() if getattr(options, name) != default}
    return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def read_fail_on(options: argparse.Namespace) -> tuple[str, ...]:
    """Return what fails.

    Raises:
        InvalidChoiceError: An unknown name, or `never` among others.
    """
    names = split_names("--fail-on", options.fail_on)
    for name in names:
        choose(dict.fromkeys(FAIL_ON), name, kind="--fail-on")
    if "never" in names and len(names) > 1:
        raise InvalidChoiceError(f"--fail-on: {options.fail_on[:80]!r} lists never among others; use never alone")
    return tuple(names)

"""The options of the decision between GPUs: what an hour costs, and which environment speeds are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.frames.environment_names import choose_by_part
from perfsuite.analysis.frames.gpu_environments import EnvironmentIndex
from perfsuite.analysis.frames.prices import OPTION, prices_of
from perfsuite.errors import InvalidChoiceError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from perfsuite.analysis.frames.prices import Price
    from perfsuite.analysis.frames.results import Results

AGAINST = "--against"


def add_price(command: argparse.ArgumentParser) -> None:
    """Add the option `--price`."""
    command.add_argument(
        OPTION,
        action="append",
        default=[],
        metavar="NAME=PRICE",
        help="price per hour, in any currency, by part of the GPU's name: t4=0.35,a100=1.10",
    )


def device_prices(given: Sequence[Price], results: Results) -> dict[str, float]:
    """Return the prices that a user gave, by the short name of a device.

    Raises:
        InvalidChoiceError: A name that is no device's of these results, or of several; two prices of one.
    """
    if not given:
        return {}
    _require_records(OPTION, results)
    return prices_of(given, {one.short_device: one.names for one in EnvironmentIndex(results).environments})


def baseline_label(against: str | None, results: Results) -> str | None:
    """Return the label of the environment that a user named, or None where none was named.

    Raises:
        InvalidChoiceError: A name that is no environment's of these results, or of several.
    """
    if against is None:
        return None
    _require_records(AGAINST, results)
    return choose_by_part(AGAINST, against, {one.label: one.names for one in EnvironmentIndex(results).environments})


def _require_records(option: str, results: Results) -> None:
    if not results.has_records:
        raise InvalidChoiceError(
            f"{option}: a GPU is chosen by results of perfsuite alone; leave the option out, or the files that are not"
        )

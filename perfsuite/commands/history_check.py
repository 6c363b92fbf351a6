"""`perfsuite history check`: new runs judged against the history of their machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.history.check import check_files
from perfsuite.analysis.history.index import open_index
from perfsuite.analysis.history.store import index_path, update_index
from perfsuite.analysis.tables.history_check import check_json, check_table
from perfsuite.analysis.verdicts.verdict import JUDGED, failing_verdicts
from perfsuite.commands import history_add
from perfsuite.commands.history_reading import require_ruptures, tell_reading
from perfsuite.commands.judging_options import read_fail_on, read_judging
from perfsuite.commands.output import check_output, rendered
from perfsuite.commands.parser import EXIT_FAILED
from perfsuite.commands.streams import say, write
from perfsuite.paths import expanded

if TYPE_CHECKING:
    import argparse

    from perfsuite.analysis.history.check import Check


def run(options: argparse.Namespace) -> int:
    """Judge the files; the exit status."""
    require_ruptures()
    check_output(options, options.files)
    judging, fail_on = read_judging(options), read_fail_on(options)
    store = expanded("--store", options.store)
    with open_index(index_path(store)) as index:
        update_index(store, index, tell_reading)
        checks = check_files(options.files, store, index, judging, machine=options.machine)
    if options.add:
        history_add.run(options)
    for check in checks:
        text = check_json(check) if options.format == "json" else rendered(check_table(check), options)
        write(text, options.output, printable=True)
    failures = [line for check in checks for line in _failures(check, fail_on)]
    if failures:
        say(f"perfsuite: failed (--fail-on {options.fail_on}): {'; '.join(failures)}")
    return EXIT_FAILED if failures else 0


def _failures(check: Check, fail_on: tuple[str, ...]) -> list[str]:
    verdicts = [one.verdict for one in check.series]
    failing = failing_verdicts(fail_on)
    lines = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts) if verdict in failing]
    is_judged = any(verdict in JUDGED for verdict in verdicts)
    if not is_judged and {"unjudged", "inconclusive"} & set(fail_on):
        lines.append("no benchmark could be judged")
    return lines

"""The command `perfsuite`: one sub-command per user task, thin; imports lazily so that --help is instant."""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite import __version__
from perfsuite.errors import DataError, PerfsuiteError, ResultFileError
from perfsuite.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfsuite.analysis.compare import Comparison
    from perfsuite.analysis.tables import Table

EXIT_FAILED = 1
"""Exit status of a comparison that found what it was told to fail on."""

EXIT_USAGE = 2
"""Exit status for unusable input."""

FORMATS = ("terminal", "markdown", "csv", "json", "latex")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 with one line on standard error for unusable input."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except PerfsuiteError as error:
        sys.stderr.write(f"perfsuite: error: {error}\n")
        return EXIT_USAGE
    except BrokenPipeError:
        # The reader (head, less) has seen enough; nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="perfsuite",
        description="Tables and verdicts from the results of the performance suite. Results are made by pytest: "
        "pytest benchmarks -m step",
    )
    parser.add_argument("--version", action="version", version=f"perfsuite {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    collect = commands.add_parser(
        "collect",
        help="result files -> a table",
        description="Show result files as one table. Reads any pytest-benchmark JSON; several files stand side by "
        "side, told apart by what differs between them.",
    )
    collect.add_argument("files", nargs="+", metavar="FILE", type=Path, help="pytest-benchmark JSON")
    collect.add_argument(
        "--table",
        default="steps",
        metavar="NAME",
        help="steps: a row per cell (default); speedup: AMP against FP32 per model and phase; memory: what each peak "
        "is made of; thesis: beside the study's tables; paired, fidelity, pipeline: what was measured in alternation; "
        "accuracy, confusion, history: full trainings",
    )
    _add_output(collect)
    collect.set_defaults(run=_collect)
    _add_compare(commands)
    memory = commands.add_parser(
        "memory",
        help="predict the peak memory of a training step, without a GPU",
        description="Predict the peak memory of a training step by a dry run, without a GPU and without allocating. "
        "With no options: the study's six cells beside its own figures.",
    )
    memory.add_argument("--model", metavar="NAMES", help="comma-separated; default: resnet18,resnet34,resnet50")
    memory.add_argument("--precision", metavar="NAMES", help="comma-separated; default: fp32,amp-fp16")
    memory.add_argument("--batch-size", metavar="N", help="default: 128")
    memory.add_argument(
        "--gradients",
        choices=("freed", "kept"),
        help="freed by zero_grad, today's default, or kept, as in the study; default: kept for the study's cells, "
        "freed for cells that you name",
    )
    room = memory.add_mutually_exclusive_group()
    room.add_argument("--capacity", metavar="SIZE", help="the largest batch that fits, per cell: 15GiB for instance")
    room.add_argument("--gpu", metavar="NAME", help="the same for a GPU by name: t4, h100, h200")
    _add_output(memory)
    memory.set_defaults(run=_memory)
    _add_data(commands)
    return parser


def _add_data(commands: argparse._SubParsersAction[_Parser]) -> None:
    data = commands.add_parser(
        "data",
        help="the images of full trainings: download, import, verify, show",
        description="Bring the images of full trainings into their one file: CIFAR-10 itself, or any mirror of it.",
    )
    actions = data.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, words in (
        ("download", "CIFAR-10 through torchvision, checked against its published MD5 sums"),
        ("import", "a mirror as class folders {train,test}/<class>/*: a folder, .zip, .tar, .tar.gz, .tar.xz"),
        ("verify", "reckon the fingerprint again from every pixel"),
        ("show", "what it is, and where"),
    ):
        action = actions.add_parser(name, help=words, description=words)
        if name == "import":
            action.add_argument("path", metavar="PATH", type=Path, help="folder or archive")
        action.add_argument(
            "--data",
            metavar="FILE",
            type=Path,
            help="the file; default: $PERFSUITE_DATA, else cifar10.npz in the user's cache folder",
        )
        action.set_defaults(run=_data, action=name)


def _add_compare(commands: argparse._SubParsersAction[_Parser]) -> None:
    compare = commands.add_parser(
        "compare",
        help="baseline against candidate: did anything regress?",
        description="Say for every benchmark whether the candidate regressed, improved, stayed unchanged, or whether "
        "the data cannot tell. Every file is one process; five or more a side, interleaved (A B B A), give sharp "
        "verdicts. Reads any pytest-benchmark JSON. Exit status: 0, or 1 where --fail-on is met, or 2 for unusable "
        "input.",
    )
    compare.add_argument("--baseline", nargs="+", required=True, metavar="FILE", type=Path, help="one per process")
    compare.add_argument("--candidate", nargs="+", required=True, metavar="FILE", type=Path, help="one per process")
    compare.add_argument(
        "--across",
        metavar="AXES",
        help="gpu, torch or both (gpu,torch): set machines or versions side by side as ratios, without verdicts",
    )
    compare.add_argument("--min-effect", default="2%", metavar="X", help="what counts as a change; default: 2%%")
    compare.add_argument("--alpha", default="0.05", metavar="P", help="chance of any false alarm; default: 0.05")
    compare.add_argument("--thresholds", metavar="FILE", type=Path, help="TOML: minimum effects by benchmark")
    compare.add_argument(
        "--fail-on",
        default="regressed",
        choices=("regressed", "inconclusive", "never"),
        help="what ends with status 1: regressed (default); inconclusive: all but a clean pass; never",
    )
    compare.add_argument(
        "--ignore-host", action="store_true", help="host names differ although the machine is the same"
    )
    compare.add_argument("--explain", metavar="FULLNAME", help="the numbers behind one verdict; -o plot.svg draws them")
    _add_output(compare)
    compare.set_defaults(run=_compare)


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--format", default="terminal", choices=FORMATS, help="default: terminal")
    command.add_argument("-o", "--output", metavar="PATH", type=Path, help="write there instead of to the terminal")


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Leave out the search for cycles: files have none, and with large ones it takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@_without_garbage_collection()
def _collect(options: argparse.Namespace) -> int:
    from perfsuite.analysis.collect import collect
    from perfsuite.analysis.views import TABLES, build_table
    from perfsuite.errors import choose

    choose(TABLES, options.table, kind="table")
    _check_output(options, options.files)
    return _show(build_table(options.table, collect(options.files)), options)


@_without_garbage_collection()
def _compare(options: argparse.Namespace) -> int:
    from perfsuite.analysis import compare_tables
    from perfsuite.analysis.compare import compare
    from perfsuite.analysis.sides import join_sides, read_process
    from perfsuite.analysis.thresholds import parse_alpha, parse_effect, read_thresholds

    _check_output(options, [*options.baseline, *options.candidate])
    if options.across is not None:
        return _across(options)
    alpha = parse_alpha(options.alpha)
    thresholds = read_thresholds(parse_effect("--min-effect", options.min_effect), options.thresholds)
    baseline, candidate = ([read_process(path) for path in side] for side in (options.baseline, options.candidate))
    comparison = compare(
        join_sides(baseline, candidate), min_effect=thresholds, alpha=alpha, ignore_host=options.ignore_host
    )
    if options.explain is not None:
        return _explain(comparison, options)
    if options.format == "json":
        _write(compare_tables.comparison_json(comparison), options.output)
    elif options.format == "markdown":
        _write(compare_tables.comparison_markdown(comparison), options.output)
    else:
        _show(compare_tables.comparison_table(comparison), options)
    return EXIT_FAILED if comparison.fails_on(options.fail_on) else 0


def _explain(comparison: Comparison, options: argparse.Namespace) -> int:
    from perfsuite.analysis.explain import explain, find_benchmark

    row = find_benchmark(comparison, options.explain)
    if options.output is not None:
        from perfsuite.analysis.charts import process_chart, save_chart

        save_chart(process_chart(comparison, row), options.output)
    _write(explain(comparison, row), None)
    return 0


def _across(options: argparse.Namespace) -> int:
    from perfsuite.analysis.across import across, across_json, across_tables, read_axes

    found = across(options.baseline, options.candidate, read_axes(options.across))
    if options.format == "json":
        _write(across_json(found), options.output)
        return 0
    texts = [_rendered(table, options) for table in across_tables(found)]
    _write("\n".join(texts), options.output)
    return 0


def _check_output(options: argparse.Namespace, files: Sequence[Path]) -> None:
    if options.output is not None and options.output.resolve() in {path.resolve() for path in files}:
        raise ResultFileError(f"{options.output}: is one of the files to be read; write the output to another")


def _memory(options: argparse.Namespace) -> int:
    import pandas as pd

    from perfsuite.analysis.views import memory_table
    from perfsuite.predict import plan_cells, predict_cells

    plan = plan_cells(
        models=options.model,
        precisions=options.precision,
        batch_size=options.batch_size,
        gradients=options.gradients,
        capacity=options.capacity,
        gpu=options.gpu,
    )
    rows = []
    for row in predict_cells(plan):
        rows.append(row)
        _say_progress(f"{len(rows)} of {len(plan.workloads)} cells: {row['model']} {row['precision']}")
    _say_progress("")
    notes = plan.notes
    if any(row.get("largest_batch_size") == 0 for row in rows):
        notes = ("a largest batch of 0: not even one image fits; what one takes stands beside it", *notes)
    return _show(memory_table(pd.DataFrame(rows), title=plan.title, notes=notes), options)


def _data(options: argparse.Namespace) -> int:
    from perfsuite.workloads import images

    path = options.data or images.default_path()
    if path.suffix != ".npz":
        raise DataError(
            f"--data {path}: the file is named .npz; `perfsuite data import PATH` reads folders and archives"
        )
    if options.action == "download":
        from perfsuite.workloads.download import download_images

        found = download_images()
        images.save_image_set(found, path)
    elif options.action == "import":

        def report(stage: str, done: int, total: int) -> None:
            _say_progress(f"{stage} {done:,}{f' of {total:,}' if total else ''} images")

        found = images.import_images(options.path, report=report)
        _say_progress("")
        images.save_image_set(found, path)
    else:
        found = images.load_image_set(path)
        if options.action == "verify":
            images.verify_image_set(found, path)
    kind = "CIFAR-10 itself" if found.is_canonical else "not the original CIFAR-10: its targets are not asked of these"
    lines = [
        str(path),
        f"  {found.name}, {found.source}; {kind}",
        f"  {len(found.train_labels):,} training and {len(found.test_labels):,} test images",
        f"  fingerprint {found.fingerprint}" + (", verified" if options.action == "verify" else ""),
    ]
    _write("\n".join(lines) + "\n", None)
    return 0


def _say_progress(text: str) -> None:
    """Write over the line that stands there, where somebody is looking."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _show(table: Table, options: argparse.Namespace) -> int:
    _write(_rendered(table, options), options.output)
    return 0


def _rendered(table: Table, options: argparse.Namespace) -> str:
    from perfsuite.analysis import tables

    if options.format == "terminal":
        to_terminal = options.output is None and sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if to_terminal else None
        return tables.render_terminal(table, width=width, color=to_terminal and "NO_COLOR" not in os.environ)
    render = {
        "markdown": tables.render_markdown,
        "csv": tables.render_csv,
        "json": tables.render_json,
        "latex": tables.render_latex,
    }
    return render[options.format](table)


def _write(text: str, path: Path | None) -> None:
    if path is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal may know fewer characters than a name has
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        write_atomically(path, text)
    except OSError as error:
        raise ResultFileError(f"{path}: cannot be written: {error.strerror}") from None

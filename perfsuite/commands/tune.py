"""`perfsuite tune`: hyperparameters of a full training, searched by its validation images, and tested once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.export import check_chart_path
from perfsuite.commands.output import rendered
from perfsuite.commands.output_options import FORMATS
from perfsuite.commands.parser import EXIT_INTERRUPTED
from perfsuite.commands.streams import say, say_line_or_progress, say_progress, write
from perfsuite.errors import InvalidChoiceError, ResultFileError
from perfsuite.paths import expanded
from perfsuite.study_files import RECORD, RETRAINING, read_retraining_file, read_study_file

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser
    from perfsuite.records.retraining import Retraining
    from perfsuite.records.study import Study
    from perfsuite.tune.plan import Request, StudyPlan


def add_options(command: Parser) -> None:
    """Add the options of the command `tune`."""
    command.description = (
        "Search learning rate, momentum, weight decay and batch size of a full training. Trials are scored on "
        "validation images; test images are not read until the chosen settings are trained again with other seeds. "
        "Each setting is tried with every precision: does AMP need other hyperparameters? The same command resumes "
        "after an interruption, and shows a finished study again. Needs the extra: pip install 'perfsuite[tune]'."
    )
    add = command.add_argument
    add("--study", type=Path, required=True, metavar="DIR", help="folder for all trials and trainings of the search")
    add("--show", action="store_true", help="only show the results so far; needs neither torch nor Optuna")
    add("--model", default="resnet18", metavar="NAME", help="network, as for --perf-models; default: resnet18")
    add("--precisions", default="fp32,amp", metavar="NAMES", help="comma-separated; default: fp32,amp")
    add(
        "--recipe",
        default="smoke",
        metavar="NAME|FILE",
        help="recipe of all trials: smoke (the default), thesis, or a .toml file",
    )
    add("--trials", default="20", metavar="N", help="settings to try; default: 20; a larger number extends a study")
    add("--sampler", default="tpe", metavar="NAME", help="tpe (the default), random or grid")
    add(
        "--pruner",
        default="median",
        metavar="NAME",
        help="median (the default): stop trials that are worse than the median; or none",
    )
    add(
        "--score",
        default="auto",
        metavar="NAME",
        help="loss, accuracy, or auto (the default): accuracy from 2,000 validation images on",
    )
    add(
        "--learning-rate", metavar="LOW:HIGH", help="or values, A,B,C; default: a tenth of the recipe's to ten times it"
    )
    add("--momentum", metavar="LOW:HIGH", help="or values; default: 0.8:0.98")
    add("--weight-decay", metavar="LOW:HIGH", help="or values; default: 1e-6:1e-3")
    add("--batch-size", metavar="N[,N...]", help="default: the recipe's, twice and four times it")
    add(
        "--seed",
        default="0",
        metavar="N",
        help="seed of proposals, split, weights and data order in the search; default: 0",
    )
    add(
        "--seeds",
        default="3",
        metavar="N",
        help="number of seeds to retrain and test the chosen settings; default: 3; 0: none",
    )
    add("--workers", default="1", metavar="N", help="processes that train at the same time; default: 1")
    add("--data", type=Path, metavar="FILE", help="the images; default: $PERFSUITE_DATA, else CIFAR-10")
    add("--device", default="auto", metavar="NAME", help="auto (the default), cuda, cuda:N, cpu")
    add("--memory-format", default="contiguous", metavar="NAME", help="contiguous (the default) or channels_last")
    add(
        "-o",
        "--output",
        type=Path,
        metavar="FILE.toml",
        help="write the chosen recipe, for --perf-recipe; one file per precision",
    )
    add(
        "--chart",
        type=Path,
        metavar="PATH",
        help="figure.svg, figure.png or figure.pdf: the score by each hyperparameter",
    )
    add("--format", choices=FORMATS, default="terminal", help="format of the table; default: terminal")


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    folder = expanded("--study", options.study)
    if options.chart is not None:
        check_chart_path(options.chart, option="--chart")
    if options.show:
        if options.output is not None:
            raise InvalidChoiceError("--show, -o: a recipe is written by the search; leave out --show")
        try:
            study = read_study_file(folder / RECORD)
        except FileNotFoundError:
            raise ResultFileError(f"--study {folder}: contains no study") from None
        _show(study, read_retraining_file(folder / RETRAINING), options)
        return 0
    from perfsuite.tune.plan import make_plan  # with torch and Optuna: not for --help
    from perfsuite.tune.run import run_study

    plan = make_plan(_request(options))
    if options.output is not None:
        from perfsuite.tune.recipe_file import check_recipe_paths, recipe_paths

        check_recipe_paths(list(recipe_paths(options.output, plan.study.precisions).values()))
    try:
        study, retraining = run_study(plan, folder, say_line_or_progress)
    except KeyboardInterrupt:
        say_progress("")
        say("interrupted; what is finished is kept, and the same command resumes there")
        return EXIT_INTERRUPTED
    say_progress("")
    _show(study, retraining, options)
    if options.output is not None:
        _write_recipes(study, plan, options.output)
    return 0


def _request(options: argparse.Namespace) -> Request:
    from perfsuite.records.study import NAMES
    from perfsuite.tune.plan import Request

    return Request(
        model=options.model,
        precisions=options.precisions,
        recipe=options.recipe,
        trials=options.trials,
        sampler=options.sampler,
        pruner=options.pruner,
        score=options.score,
        seed=options.seed,
        seeds=options.seeds,
        workers=options.workers,
        data=None if options.data is None else expanded("--data", options.data),
        device=options.device,
        memory_format=options.memory_format,
        ranges={name: getattr(options, name) for name in NAMES},
    )


def _show(study: Study, retraining: Retraining | None, options: argparse.Namespace) -> None:
    """Show trials and what was retrained, and draw the figure; CSV, JSON and LaTeX hold one table, the trials."""
    from perfsuite.analysis.tables.tuning import retrained_table, tuning_table

    tables = [tuning_table(study), retrained_table(study, retraining)]
    if options.format in {"csv", "json", "latex"}:
        tables = tables[:1]
    write("\n".join(rendered(table, options) for table in tables), None, printable=True)
    if options.chart is not None:
        _draw(study, options.chart)


def _draw(study: Study, path: Path) -> None:
    from perfsuite.analysis.figures.export import save_chart
    from perfsuite.analysis.figures.panels import whole_figure
    from perfsuite.analysis.figures.tuning import tuning_chart

    drawing = tuning_chart(study)
    if drawing is None:
        raise InvalidChoiceError(f"--chart {path}: nothing to draw yet: two trials of other settings are needed")
    save_chart(whole_figure(drawing), path)
    say(f"wrote {path}")


def _write_recipes(study: Study, plan: StudyPlan, output: Path) -> None:
    from perfsuite.tune.recipe_file import recipe_paths, write_chosen

    for precision, path in recipe_paths(output, study.precisions).items():
        if write_chosen(study, precision, path):
            say(f"wrote {path}")
        own = f"--perf-models={shlex.quote(plan.model)} --perf-recipe={shlex.quote(str(path))}"
        say(f"train with it: pytest -m full_training {own} --perf-precisions={precision}")

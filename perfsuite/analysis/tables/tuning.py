"""A study of hyperparameters as tables: its trials, and what was retrained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.tuning import (
    own_choices,
    retrained_groups,
    retrained_rows,
    trial_rows,
)
from perfsuite.analysis.tables.table import Column, Priority, Table, text_column
from perfsuite.formatting import plural
from perfsuite.records.study import chosen_trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.retraining import Retraining
    from perfsuite.records.study import Study

SHORT = {"amp-fp16": "fp16", "amp-bf16": "bf16"}
"""Precisions in headings that stand side by side."""

SCORES = {"loss": "validation loss", "accuracy": "validation accuracy"}


def tuning_table(study: Study) -> Table:
    """Return the trials as a table, the best first."""
    return Table(
        title=f"{study.model}, recipe {study.recipe.name}: {plural(len(study.trials), 'trial')}, sampler "
        f"{study.sampler}, pruner {study.pruner}, seed {study.seed}; scored by {SCORES[study.score]}",
        frame=trial_rows(study),
        columns=(
            Column(heading="trial", show=lambda row: str(row["number"]), numeric=True, priority=Priority.KEY),
            *_setting_columns(),
            *(column for name in study.precisions for column in _result_columns(study, name)),
            Column(heading="result", show=_remark, foldable=True, priority=Priority.MAIN),
        ),
        legend=(f"loss, acc %: of {study.num_validation:,} validation images, no test image, after the last epoch",),
        notes=tuple(_choices(study)),
    )


def _setting_columns() -> tuple[Column, ...]:
    return (
        Column(heading="learning rate", show=_number("learning_rate"), numeric=True, priority=Priority.MAIN),
        Column(heading="momentum", show=_number("momentum"), numeric=True, priority=Priority.MAIN),
        Column(heading="weight decay", show=_number("weight_decay"), numeric=True, priority=Priority.MAIN),
        Column(heading="batch", show=lambda row: str(row["batch_size"]), numeric=True, priority=Priority.MAIN),
    )


def _number(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: f"{row[key]:g}"


def _result_columns(study: Study, precision: str) -> tuple[Column, ...]:
    name = f"{SHORT.get(precision, precision)} " if len(study.precisions) > 1 else ""

    def loss(row: dict[str, Any]) -> str:
        value = row[f"loss_{precision}"]
        return "-" if value is None else f"{value:.4f}"

    def accuracy(row: dict[str, Any]) -> str:
        value = row[f"accuracy_{precision}"]
        return "-" if value is None else f"{100 * value:.1f}"

    return (
        Column(heading=f"{name}loss", show=loss, numeric=True, priority=Priority.MAIN),
        Column(heading=f"{name}acc %", show=accuracy, numeric=True, priority=Priority.MAIN),
    )


def _remark(row: dict[str, Any]) -> str:
    if row["state"] == "pruned":
        return f"pruned, epoch {row['num_epochs']}"
    if row["chosen_for"] is not None:
        return f"chosen: {row['chosen_for']}"
    return str(row["state"])


def _choices(study: Study) -> list[str]:
    lines = []
    for precision in study.precisions:
        trial = chosen_trial(study, precision)
        words = "no trial finished" if trial is None else f"trial {trial.number}, {trial.setting.label}"
        lines.append(f"chosen for {precision}: {words}")
    return lines


def retrained_table(study: Study, retraining: Retraining | None) -> Table:
    """Return what was retrained as a table, with the answer to whether AMP needs other hyperparameters."""
    groups = retrained_groups(study, retraining)
    answers = tuple(choice.in_words for choice in own_choices(study, groups))
    if not groups:
        return Table(
            title="Nothing was retrained: the test accuracy of what was chosen is not known",
            frame=[],
            columns=(),
            notes=answers,
        )
    return Table(
        title="What was chosen, trained again with seeds that the search has not used, and tested",
        frame=retrained_rows(groups),
        columns=(
            text_column("setting_of", "chosen for"),
            text_column("precision", "trained in"),
            Column(heading="seeds", show=lambda row: str(row["num_seeds"]), numeric=True),
            Column(heading="test accuracy %", show=_accuracy, numeric=True, priority=Priority.MAIN),
        ),
        legend=(
            f"[low, high]: 95% interval, of {groups[0].records[0].data.num_test:,} test images and the seeds",
            "validation scores of what was chosen are too good, being the best of all: no choice was made by these",
        ),
        notes=answers,
    )


def _accuracy(row: dict[str, Any]) -> str:
    value, low, high = (100 * row[f"test_accuracy{end}"] for end in ("", "_low", "_high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"

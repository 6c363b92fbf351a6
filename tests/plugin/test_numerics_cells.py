"""`-m numerics`: studies of mixed precision as cells of a run: selection, records, claims that do not hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from builders import make_claim
from generated_images import generated_set
from suite_run import REPOSITORY

from perfsuite.measure.numerics import registry
from perfsuite.measure.numerics.study import StudyContext, StudyResult
from perfsuite.records.numerics import NumericsRecord
from perfsuite.records.reading import read_record
from perfsuite.workloads.image_store import save_image_set
from perfsuite.workloads.models import NARROW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from suite_run import Run

NUMERICS = ("-m", "numerics", "--perf-device=cpu")


@pytest.fixture
def run_numerics(
    suite_folder: pytest.Pytester, run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Run]:
    """Run `benchmarks/test_numerics.py` where no images are stored."""
    monkeypatch.setenv("PERFSUITE_DATA", str(tmp_path / "none.npz"))
    text = (REPOSITORY / "benchmarks" / "test_numerics.py").read_text()
    (suite_folder.path / "benchmarks" / "test_numerics.py").write_text(text)
    return lambda *arguments: run_suite(*arguments, quick=False)


def record_of(run: Run) -> NumericsRecord:
    (entry,) = run.content["benchmarks"]
    record = read_record(entry["extra_info"]["perfsuite"])
    assert isinstance(record, NumericsRecord)
    return record


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[StudyContext]:
    """Replace every study by one that takes no time and keeps what it was given."""
    contexts: list[StudyContext] = []

    def study(context: StudyContext) -> StudyResult:
        contexts.append(context)
        return StudyResult(claims=(make_claim(),), settings={})

    monkeypatch.setattr(registry, "_RUN", dict.fromkeys(registry._RUN, study))
    return contexts


def test_a_study_is_a_record_with_its_claims(run_numerics: Callable[..., Run]) -> None:
    run = run_numerics(*NUMERICS, "-k", "formats")
    assert run.result.parseoutcomes()["passed"] == 1
    record = record_of(run)
    assert record.study == "formats"
    assert record.workload is None
    assert not record.failed
    assert f"{len(record.claims)} claims hold" in run.text


def test_a_plain_run_leaves_studies_out(run_numerics: Callable[..., Run]) -> None:
    run = run_numerics("--collect-only", "-q", "--perf-device=cpu")
    assert "test_numerics" not in run.text.partition("collected")[0]
    assert "test_step.py" in run.text


def test_networks_seeds_and_batch_are_those_of_the_options(
    run_numerics: Callable[..., Run], given: list[StudyContext]
) -> None:
    options = ("--perf-models=resnet18,resnet34", "--perf-seeds=2", "--perf-batch-size=64", "--perf-recipe=smoke")
    run = run_numerics(*NUMERICS, "-k", "weights", *options)
    assert run.result.parseoutcomes()["passed"] == 2
    assert [context.network()[0].model for context in given] == ["resnet18", "resnet34"]
    assert {context.network()[0].batch_size for context in given} == {64}
    assert {context.seeds for context in given} == {(0, 1)}
    assert {context.recipe.name for context in given} == {"smoke"}
    assert "batch size 8" not in run.text


def test_without_options_a_study_is_of_one_network_and_types_are_of_all(
    run_numerics: Callable[..., Run], given: list[StudyContext]
) -> None:
    run = run_numerics(*NUMERICS)
    assert run.result.ret == 0, run.text
    workloads = [context.workload for context in given if context.workload is not None]
    assert sorted(workload.model for workload in workloads) == [
        *["resnet18"] * 3,  # updates, gradients, types
        *[NARROW] * 3,  # weights, scaling, scales: a CPU trains a narrow one
        "resnet34",
        "resnet50",
    ]
    assert {workload.batch_size for workload in workloads if workload.model == NARROW} == {16}
    assert {workload.batch_size for workload in workloads if workload.model != NARROW} == {128}
    assert {context.seeds for context in given} == {(0, 1, 2)}
    records = [entry["extra_info"]["perfsuite"] for entry in run.content["benchmarks"]]
    assert len(records) == 10
    assert [record["findings"] for record in records if record["study"] == "types"] == [[], [], []]


def test_images_that_are_stored_are_used_and_synthetic_ones_are_said_to_be(
    run_numerics: Callable[..., Run], given: list[StudyContext], tmp_path: Path
) -> None:
    run = run_numerics(*NUMERICS, "-k", "updates")
    record = record_of(run)
    assert record.images == "synthetic images"
    assert record.findings[0].startswith("synthetic images: no data set is stored here; `--perf-data=PATH`")
    run.files[0].unlink()
    save_image_set(generated_set(60), tmp_path / "own.npz")
    record = record_of(run_numerics(*NUMERICS, "-k", "updates", f"--perf-data={tmp_path / 'own.npz'}"))
    assert record.findings == ()
    assert record.images.endswith("60 images")
    assert len(given[-1].network()[1].train_labels) == 60


def test_a_claim_that_does_not_hold_fails_the_cell_and_keeps_the_record(
    run_numerics: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = make_claim(name="a product", measured=1.5, expected=1.0, tolerance=0.1)
    result = StudyResult(claims=(wrong, make_claim(), make_claim(measured=0.0)), settings={})
    monkeypatch.setitem(registry._RUN, "formats", lambda _context: result)
    run = run_numerics(*NUMERICS, "-k", "formats")
    assert run.result.ret == 1
    reason = "2 of 3 claims do not hold: a product: measured 1.5, equal 1 (tolerance 0.1) expected, and 1 more claim"
    assert reason in run.text
    assert "Traceback" not in run.text
    assert len(record_of(run).failed) == 2
    assert run.outcomes == [("test_formats", "failed")]


def test_networks_that_classify_no_images_are_refused(run_numerics: Callable[..., Run], tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from perfsuite.workloads.model_spec import Batch, ModelSpec\nimport torch\n"
        "SPEC = ModelSpec(build=lambda sizes: torch.nn.Linear(4, 1), batch=lambda sizes, generator: "
        "Batch(inputs=torch.ones(2, 4), targets=torch.ones(2, 1)), loss=torch.nn.functional.mse_loss)\n"
    )
    run = run_numerics(*NUMERICS, f"--perf-models={own}:SPEC")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "full trainings and -m numerics are of networks that classify images" in run.text


def test_sizes_of_synthetic_batches_are_refused(run_numerics: Callable[..., Run]) -> None:
    run = run_numerics(*NUMERICS, "--perf-image-size=64")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "-m numerics take size and classes of their images (--perf-data)" in run.text


def test_with_benchmarks_disabled_a_study_runs_and_leaves_nothing(run_numerics: Callable[..., Run]) -> None:
    run = run_numerics(*NUMERICS, "-k", "formats", "--benchmark-disable")
    assert run.result.ret == 0, run.text
    assert run.files == []


def test_a_fixture_of_others_may_be_called_study(
    run_numerics: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    """Theirs is an ordinary test: it is no cell, makes no result, and may run in several processes."""
    suite_folder.makepyfile(
        test_theirs="""
        import pytest

        @pytest.fixture
        def study():
            return 1

        @pytest.mark.parametrize("model", ["a", "b"])
        def test_theirs(study, model):
            assert study == 1
        """
    )
    run = run_numerics("test_theirs.py", "-n", "2")
    assert run.result.ret == 0, run.text
    assert run.result.parseoutcomes()["passed"] == 2
    assert "perfsuite 0" not in run.text
    assert run.files == []


def test_the_record_is_plain_json(run_numerics: Callable[..., Run]) -> None:
    run = run_numerics(*NUMERICS, "-k", "accumulation")
    content = json.dumps(run.content, allow_nan=False)
    assert "accumulation" in content

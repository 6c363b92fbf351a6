"""`compare` on files that hold full trainings, alone or with benchmarks: joining, numbers, statuses, formats, names."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_entry, make_record, make_workload
from compared_trainings import NUM_IMAGES, moment, of_schema, outcomes_of, replayed, trained, write_trainings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from training_builders import make_training_entry

from perfsuite.analysis.tables.pull_request import MAX_CHARACTERS
from perfsuite.analysis.tables.verdicts import comparison_markdown
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.noise_floor import in_words, noise_floor
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.cli import main
from perfsuite.errors import RecordError, ResultFileError
from perfsuite.records.environment import Process
from perfsuite.records.predictions import confusion_of, pack_predictions
from perfsuite.records.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.analysis.verdicts.compare import Comparison
    from perfsuite.records.training import TrainingRecord

A10 = dataclasses.replace(ENVIRONMENT, device="NVIDIA A10", gpu="NVIDIA A10")
NEW_TORCH = dataclasses.replace(ENVIRONMENT, torch="2.15.0")
BOTH = ("fp32", "amp-fp16")
GITHUB_CHARACTERS = 65_536


def step_entries(run_id: str, *, factor: float = 1.0, hour: int = 0, num: int = 2) -> list[dict[str, Any]]:
    """Build entries of single steps that are 0.1% noisy."""
    generator = np.random.default_rng([*run_id.encode()])
    entries = []
    for batch_size in range(8, 8 + num):
        record = make_record(make_workload(batch_size=batch_size), run_id=run_id)
        record = dataclasses.replace(record, process=dataclasses.replace(record.process, started=moment(hour)))
        times = 0.1 * factor * (1 + 0.001 * generator.standard_normal() + 0.001 * generator.standard_normal(12))
        entries.append(make_entry(record, times.tolist()))
    return entries


def judged(baseline: Sequence[Path], candidate: Sequence[Path], **options: Any) -> Comparison:
    return compare(join_sides(*([read_process(path) for path in side] for side in (baseline, candidate))), **options)


def arguments(baseline: Sequence[Path], candidate: Sequence[Path], *more: object) -> list[str]:
    return ["compare", "--baseline", *map(str, baseline), "--candidate", *map(str, candidate), *map(str, more)]


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {one.cell.label: one.verdict for one in comparison.trainings.verdicts}


def unpacked(record: TrainingRecord) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return which test images a training predicts correctly, by NumPy alone."""
    outcomes = np.frombuffer(base64.b64decode(record.test_predictions or ""), dtype=np.uint8)
    return outcomes // 10 == outcomes % 10, outcomes // 10


# A second implementation of the numbers.


def oracle(cells: Sequence[tuple[list[TrainingRecord], list[TrainingRecord]]], *, margin: float) -> dict[str, Any]:
    """Compute changes, intervals and p values of cells again, from the records, in formulas written out."""
    changes, scales, image_variances, own_variances, own_dofs, terms = ([] for _ in range(6))
    for old, new in cells:
        by_seed = [
            {seed: [one for one in side if one.seed == seed] for seed in (r.seed for r in side)} for side in (old, new)
        ]
        common = sorted(set(by_seed[0]) & set(by_seed[1]))
        paired = bool(common) and len(common) == min(map(len, by_seed))
        means = [
            {seed: np.mean([one.test_accuracy for one in ones]) for seed, ones in side.items()} for side in by_seed
        ]
        if paired:
            samples = np.array([means[1][seed] - means[0][seed] for seed in common])
            correct = [
                (unpacked(a)[0].astype(int), unpacked(b)[0].astype(int), seed)
                for seed in common
                for a in by_seed[0][seed]
                for b in by_seed[1][seed]
            ]
            per_seed = [
                np.mean([np.var(b - a) / NUM_IMAGES for a, b, seed in correct if seed == one]) for one in common
            ]
            image_variances.append(np.mean(per_seed))
            changes.append(samples.mean())
            own_dofs.append(len(samples) - 1)
            own_variances.append(samples.var(ddof=1) if len(samples) > 1 else 0.0)
            scales.append(1 / len(samples))
        else:
            sides = [np.array(list(side.values())) for side in means]
            changes.append(sides[1].mean() - sides[0].mean())
            own_dofs.append(sum(map(len, sides)) - 2)
            squares = sum(((side - side.mean()) ** 2).sum() for side in sides)
            own_variances.append(squares / own_dofs[-1] if own_dofs[-1] else 0.0)
            image_variances.append(np.mean([(side * (1 - side)).mean() / NUM_IMAGES for side in sides]))
            scales.append(sum(1 / len(side) for side in sides))
        terms.append(2 if paired else 1)
    change, scale, image, own, dof, term = map(
        np.array, (changes, scales, image_variances, own_variances, own_dofs, terms)
    )
    excess = (dof * (own - image) / term).sum() / dof.sum() if dof.sum() else 0.0
    prior = image + term * max(0.004**2, excess)
    se = np.sqrt(scale * (8 * prior + dof * own) / (8 + dof))
    t = stats.t(8 + dof)
    directions = [holm(t.sf(change / se)), holm(t.cdf(change / se))]
    return {
        "change": change,
        "change_low": change - t.ppf(0.975) * se,
        "change_high": change + t.ppf(0.975) * se,
        "p_value": np.minimum(1, 2 * np.minimum(*directions)),
        "p_inferior": holm(t.sf((change + margin) / se)),
    }


def holm(p_values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    adjusted, largest = np.empty(len(p_values)), 0.0
    for rank, cell in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[cell]))
        adjusted[cell] = largest
    return adjusted


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_accuracies_intervals_and_p_values_are_those_of_the_formulas(tmp_path: Path, data: st.DataObject) -> None:
    cells: list[tuple[list[TrainingRecord], list[TrainingRecord]]] = []
    for model in ("resnet18", "resnet34")[: data.draw(st.integers(1, 2))]:
        kind = data.draw(st.sampled_from(["paired", "one more on a side", "other seeds", "a seed twice"]))
        num = data.draw(st.integers(1, 3))
        seeds = [list(range(num)), list(range(num))]
        if kind == "one more on a side":
            seeds[0].append(num)
        elif kind == "other seeds":
            seeds[1] = [10 + seed for seed in seeds[1]]
        elif kind == "a seed twice":
            seeds[1].append(0)
        sides = [
            [
                trained(
                    run_id=f"{name}{number}{model}",
                    seed=seed,
                    accuracy=data.draw(st.integers(7000, 9000)) / NUM_IMAGES,
                    workload=make_workload(model=model, phase="full_training"),
                )
                for number, seed in enumerate(of_side)
            ]
            for name, of_side in zip("ab", seeds, strict=True)
        ]
        cells.append((sides[0], sides[1]))
    paths = [
        write_trainings(tmp_path, f"{name}", [record for cell in cells for record in cell[side]])
        for side, name in enumerate("ab")
    ]
    margin = data.draw(st.sampled_from([0.005, 0.01, 0.03]))
    found = judged(paths[:1], paths[1:], margin=margin).trainings.verdicts
    expected = oracle(cells, margin=margin)
    for key, values in expected.items():
        assert [getattr(one.accuracy, key) for one in found] == pytest.approx(list(values), rel=1e-6, abs=1e-12), key
    for row, one in enumerate(found):
        change, is_significant = expected["change"][row], expected["p_value"][row] <= 0.04
        if change <= -margin and is_significant:
            assert one.accuracy.verdict == "regressed"
        elif change >= margin and is_significant:
            assert one.accuracy.verdict == "improved"
        else:
            no_worse = expected["p_inferior"][row] <= 0.04
            assert one.accuracy.verdict == ("unchanged" if no_worse else "inconclusive")


# What is joined with what.


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    """Write five interleaved processes a side with steps and trainings; the candidate's steps take 10% longer."""
    sides: tuple[list[Path], list[Path]] = ([], [])
    for number in range(10):
        side = (number + 1) // 2 % 2
        run_id, factor = f"{'ab'[side]}{number}", 1.1 if side else 1.0
        records = [
            trained(precision, seed=number // 2, run_id=run_id, hour=number, seconds=3600.0 + number, accuracy=accuracy)
            for precision, accuracy in zip(BOTH, (0.83, 0.82 if side else 0.85), strict=True)
        ]
        steps = step_entries(run_id, factor=factor, hour=number)
        sides[side].append(write_trainings(tmp_path, run_id, records, steps=steps, hour=number))
    return sides


def test_one_command_judges_benchmarks_and_full_trainings(
    mixed: tuple[list[Path], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(*mixed)) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("2 regressed; 5 processes of the candidate against 5 processes of the baseline")
    assert "Full trainings: 1 regressed, 1 unchanged" in captured.out
    assert "failed (--fail-on regressed,missing,unjudged): 3 regressed" in captured.err


def test_full_trainings_are_filtered_with_the_benchmarks(
    mixed: tuple[list[Path], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(*mixed, "--select", "amp", "--format", "json")) == 1
    content = json.loads(capsys.readouterr().out)
    assert (len(content["trainings"]), content["benchmarks"]) == (1, [])
    assert "amp" in content["trainings"][0]["label"]
    assert sum(content["summary"].values()) == 4
    assert content["notes"][0].startswith("shown: 1 of 4 rows (--select 'amp')")


@pytest.mark.parametrize("name", ["terminal", "markdown", "latex", "csv", "json"])
def test_every_format_holds_both(
    mixed: tuple[list[Path], list[Path]], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments(*mixed, "--format", name))
    out = capsys.readouterr().out
    if name == "csv":
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [(row["kind"], row["verdict"]) for row in rows] == [
            *[("benchmark", "regressed")] * 2,
            ("training", "regressed"),
            ("training", "unchanged"),
        ]
        assert [float(row["accuracy_change"]) for row in rows[2:]] == pytest.approx([-0.03, 0.0])
        assert {row["accuracy_change"] for row in rows[:2]} == {""}
    elif name == "json":
        content = json.loads(out)
        assert (len(content["benchmarks"]), len(content["trainings"])) == (2, 2)
        assert content["summary"]["regressed"] == 3
    else:
        for expected in ("train", "-3.00", "85.00", "resnet18 amp", "+10.0"):
            assert expected in out
        assert ("<details>" in out) == (name == "markdown")


def test_trainings_of_one_side_alone_are_missing_or_new_and_the_benchmarks_are_judged(
    mixed: tuple[list[Path], list[Path]], tmp_path: Path
) -> None:
    old, new = mixed
    steps_alone = []
    for path in new:
        content = json.loads(path.read_text())
        content["benchmarks"] = [entry for entry in content["benchmarks"] if "full_training" not in entry["name"]]
        steps_alone.append(tmp_path / f"steps-{path.name}")
        steps_alone[-1].write_text(json.dumps(content))
    found = judged(old, steps_alone)
    assert set(verdicts(found).values()) == {"missing"}
    assert [one.verdict for one in found.benchmarks] == ["regressed"] * 2
    assert found.failures(["missing"]) == ["2 missing"]
    assert set(verdicts(judged(steps_alone, old)).values()) == {"new"}


def test_files_of_full_trainings_alone_are_no_processes_of_the_benchmarks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides: tuple[list[Path], list[Path]] = ([], [])
    for number in range(10):  # A B B A A B B A A B
        side = (number + 1) // 2 % 2
        steps = step_entries(f"s{number}", factor=1.1 if side else 1.0, hour=100 + number)
        sides[side].append(write_trainings(tmp_path, f"s{number}", [], steps=steps, hour=100 + number))
    for number in range(24):  # all A, then all B, before them
        sides[number // 12].append(
            write_trainings(
                tmp_path, f"t{number}", [trained(seed=number % 12, run_id=f"t{number}", hour=number)], hour=number
            )
        )
    found = judged(*sides)
    assert [one.verdict for one in found.benchmarks] == ["regressed"] * 2
    assert found.typical is not None
    assert found.typical.interleaved
    main(arguments(*sides))
    assert "5 processes of the candidate against 5 processes of the baseline" in capsys.readouterr().out


def test_a_side_of_full_trainings_alone_has_no_versions_of_benchmarks(
    mixed: tuple[list[Path], list[Path]], tmp_path: Path
) -> None:
    found = judged(mixed[0], [write_trainings(tmp_path, "t", [trained(run_id="t", seed=9)], hour=20)])
    assert {one.verdict for one in found.benchmarks} == {"missing"}
    assert not [note for note in found.notes if "differs" in note]


def test_a_training_that_both_sides_have_is_not_compared_with_itself(tmp_path: Path) -> None:
    one = trained()
    own, copy, copy_2 = (
        write_trainings(tmp_path, name, [record])
        for name, record in (("own", one), ("copy", replayed(one)), ("copy2", replayed(one)))
    )
    for sides in (([own], [copy]), ([copy], [own]), ([copy], [copy_2])):
        found = judged(*sides)
        assert verdicts(found) == {"resnet18 fp32": "inconclusive"}
        (verdict,) = found.trainings.verdicts
        assert verdict.accuracy.change is None
        assert "both sides have the same training" in verdict.reason
        assert found.failures(["regressed", "unjudged"])
    with pytest.raises(ResultFileError, match="a run cannot be compared with itself"):
        judged([own], [own])


def test_a_replay_next_to_a_training_of_the_candidate_leaves_the_candidate_s_own(tmp_path: Path) -> None:
    old = [trained(seed=seed, run_id=f"a{seed}") for seed in range(2)]
    new = [replayed(old[0]), trained(seed=1, run_id="b1", accuracy=0.80)]
    paths = [write_trainings(tmp_path, name, records) for name, records in (("old", old), ("new", new))]
    (verdict,) = judged(paths[:1], paths[1:]).trainings.verdicts
    assert (len(verdict.cell.baseline), len(verdict.cell.candidate)) == (2, 1)
    assert verdict.accuracy.change == pytest.approx(-0.03)


def test_a_training_of_another_gpu_leaves_the_cells_of_this_gpu_judged(tmp_path: Path) -> None:
    old = write_trainings(tmp_path, "old", [trained(), trained("amp-fp16")])
    elsewhere = replayed(trained("amp-fp16", run_id="x", environment=A10))
    new = write_trainings(tmp_path, "new", [trained(run_id="b", accuracy=0.79), elsewhere])
    found = judged([old], [new])
    assert verdicts(found) == {"resnet18 fp32": "regressed", "resnet18 amp-fp16": "incomparable"}
    reasons = {one.verdict: one.reason for one in found.trainings.verdicts}
    assert reasons["incomparable"].startswith("another device: NVIDIA A10, Tesla T4; --across gpu")


def test_an_unknown_training_environment_is_said_and_does_not_prevent_a_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old_file = write_trainings(tmp_path, "old", [of_schema(replayed(trained(accuracy=0.9)), 3)], environment=A10)
    new_file = write_trainings(tmp_path, "new", [trained(run_id="b", accuracy=0.8)])
    assert main(arguments([old_file], [new_file])) == 1
    captured = capsys.readouterr()
    assert "old.json: unknown training environment of test_full_training[resnet18-fp32-seed0]" in captured.out
    assert "1 regressed" in captured.err


def test_records_without_predictions_are_compared_by_two_binomials(tmp_path: Path) -> None:
    records = [trained(accuracy=0.83), trained(run_id="b", accuracy=0.82)]
    with_predictions = [write_trainings(tmp_path, f"p{i}", [record]) for i, record in enumerate(records)]
    old = write_trainings(tmp_path, "old", [of_schema(records[0], 3)])
    (sharp,) = judged(with_predictions[:1], with_predictions[1:]).trainings.verdicts
    (blunt,) = judged([old], with_predictions[1:]).trainings.verdicts
    binomials = sum(p * (1 - p) / NUM_IMAGES for p in (0.83, 0.82))
    assert blunt.accuracy.details is not None
    assert blunt.accuracy.details.image_variance == pytest.approx(binomials)
    assert blunt.accuracy.change == sharp.accuracy.change
    assert sharp.accuracy.change_high is not None
    assert blunt.accuracy.change_high is not None
    assert sharp.accuracy.change_high < blunt.accuracy.change_high
    assert (sharp.memory is None, blunt.memory is None) == (False, True)  # of before schema 4: evaluation's, mostly


def test_settings_that_an_older_perfsuite_did_not_write_do_not_separate_its_trainings(tmp_path: Path) -> None:
    few = {"optimizer": "sgd", "augmentation": "none"}
    many = {**few, "cudnn_benchmark": True, "initialisation": "PyTorch's default (uniform); He elsewhere"}
    old = write_trainings(tmp_path, "old", [of_schema(trained(settings=few), 3)])
    new = write_trainings(tmp_path, "new", [trained(run_id="b", accuracy=0.79, settings=many)])
    found = judged([old], [new])
    assert verdicts(found) == {"resnet18 fp32": "regressed"}
    assert any(note.endswith("are not compared: cudnn benchmark, initialisation") for note in found.notes)
    stated = [
        write_trainings(tmp_path, f"s{on}", [trained(run_id=f"{on}", settings={**few, "cudnn_benchmark": on})])
        for on in (True, False)
    ]
    assert set(verdicts(judged([old, stated[0]], [stated[1]])).values()) == {"missing", "new"}


def test_one_seed_trained_twice_is_one_sample(tmp_path: Path) -> None:
    old = [write_trainings(tmp_path, f"a{n}", [trained(run_id=f"a{n}", accuracy=0.82 + 0.02 * n)]) for n in range(2)]
    new = write_trainings(tmp_path, "b", [trained(run_id="b", accuracy=0.83)])
    (verdict,) = judged(old, [new]).trainings.verdicts
    assert verdict.accuracy.details is not None
    assert (verdict.accuracy.details.num_baseline, verdict.accuracy.details.dof) == (1, 0)
    assert verdict.accuracy.change == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("what", ["seed", "split"])
def test_other_seeds_or_splits_are_compared_unpaired_with_a_note(tmp_path: Path, what: str) -> None:
    old, new = trained(), trained(run_id="b", seed=5 if what == "seed" else 0)
    if what == "split":
        new = dataclasses.replace(new, data=dataclasses.replace(new.data, split_fingerprint="9" * 64))
    paths = [write_trainings(tmp_path, name, [record]) for name, record in (("a", old), ("b", new))]
    found = judged(paths[:1], paths[1:])
    (verdict,) = found.trainings.verdicts
    assert verdict.accuracy.details is not None
    assert not verdict.accuracy.details.is_paired
    assert any("different seeds or splits: accuracies are compared unpaired" in note for note in found.trainings.notes)


def test_other_images_are_another_cell(tmp_path: Path) -> None:
    old, new = trained(), trained(run_id="b")
    new = dataclasses.replace(new, data=dataclasses.replace(new.data, fingerprint="0" * 64))
    paths = [write_trainings(tmp_path, name, [record]) for name, record in (("a", old), ("b", new))]
    found = judged(paths[:1], paths[1:])
    assert sorted(verdicts(found).values()) == ["missing", "new"]
    assert len(verdicts(found)) == 2


def test_predictions_of_other_images_fall_back_to_two_binomials(tmp_path: Path) -> None:
    old = trained()
    correct, _ = unpacked(old)
    outcomes = outcomes_of(77, correct)  # the same split by its name, but other true classes
    new = trained(
        run_id="b", confusion=confusion_of(outcomes), test_predictions=pack_predictions(outcomes), accuracy=0.83
    )
    paths = [write_trainings(tmp_path, name, [record]) for name, record in (("a", old), ("b", new))]
    (verdict,) = judged(paths[:1], paths[1:]).trainings.verdicts
    assert verdict.accuracy.details is not None
    assert verdict.accuracy.details.image_variance == pytest.approx(2 * 0.83 * 0.17 / NUM_IMAGES)


# Options.


@pytest.mark.parametrize(
    ("fail_on", "accuracy", "status"),
    [
        ("regressed", 0.80, 1),
        ("regressed", 0.83, 0),
        ("regressed,unjudged", 0.83, 1),  # one seed a side: a loss of 1 point is not excluded
        ("inconclusive", 0.83, 1),
        ("inconclusive", 0.90, 0),
        ("missing", 0.80, 0),
        ("never", 0.10, 0),
    ],
)
def test_fail_on_counts_full_trainings(tmp_path: Path, fail_on: str, accuracy: float, status: int) -> None:
    old = write_trainings(tmp_path, "a", [trained()])
    new = write_trainings(tmp_path, "b", [trained(run_id="b", accuracy=accuracy)])
    assert main(arguments([old], [new], "--fail-on", fail_on)) == status


def named_entry(record: TrainingRecord) -> dict[str, Any]:
    """Build an entry whose full name differs from its name, as pytest gives them."""
    entry = make_training_entry(record)
    return {**entry, "fullname": f"benchmarks/test_full_training.py::{entry['name']}"}


@pytest.fixture
def slower(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    """Write five interleaved processes a side whose trainings take 4% longer in the candidate."""
    sides: tuple[list[Path], list[Path]] = ([], [])
    for number in range(10):
        side = (number + 1) // 2 % 2
        record = trained(
            seed=number // 2, run_id=f"r{number}", hour=number, seconds=3600 * (1.04 if side else 1) + number % 3
        )
        sides[side].append(write_trainings(tmp_path, f"r{number}", [named_entry(record)], hour=number))
    return sides


def test_a_threshold_that_matches_a_training_by_its_full_name_decides_on_its_time(
    slower: tuple[list[Path], list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "thresholds.toml"
    file.write_text('[min-effect]\n"benchmarks/test_full_training.py::*" = "10%"\n')
    assert main(arguments(*slower)) == 1
    assert "1 regressed" in capsys.readouterr().err
    assert main(arguments(*slower, "--thresholds", file)) == 0
    assert "matches no benchmark" not in capsys.readouterr().out
    file.write_text('[min-effect]\n"*full_trainign*" = "10%"\n')
    main(arguments(*slower, "--thresholds", file))
    assert "--thresholds: '*full_trainign*' matches no benchmark" in capsys.readouterr().out


def test_a_training_is_explained_by_its_label_or_any_name_of_its_seeds(
    slower: tuple[list[Path], list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = "test_full_training[resnet18-fp32-seed3]"
    for name in ("resnet18 fp32", short, f"benchmarks/test_full_training.py::{short}", "full_training"):
        picture = tmp_path / "plot.svg"
        assert main(arguments(*slower, "--explain", name, "-o", picture)) == 0
        assert capsys.readouterr().out.startswith("resnet18 fp32: regressed")
        assert picture.read_text().startswith("<?xml")
        picture.unlink()


def test_a_name_that_benchmarks_and_trainings_share_is_refused_in_one_line(
    mixed: tuple[list[Path], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(*mixed, "--explain", "resnet18")) == 2
    assert "--explain: 'resnet18' matches 4 benchmarks; be more specific" in capsys.readouterr().err
    assert main(arguments(*mixed, "--explain", "resnet18 fp32")) == 0  # the label of a training, as a whole
    assert capsys.readouterr().out.startswith("resnet18 fp32: unchanged")
    assert main(arguments(*mixed, "--explain", "full_train")) == 2
    assert main(arguments(*mixed, "--explain", "alexnet")) == 2
    assert "no benchmark and no full training is called 'alexnet'" in capsys.readouterr().err


@pytest.mark.parametrize("replay", [True, False])
def test_a_training_of_one_side_alone_is_explained_and_drawn(
    tmp_path: Path, replay: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    one = trained()
    old = write_trainings(tmp_path, "a", [one])
    new = write_trainings(tmp_path, "b", [replayed(one)] if replay else [trained("amp-fp16", run_id="b")])
    assert main(arguments([old], [new], "--explain", "resnet18 fp32", "-o", tmp_path / "plot.png")) == 0
    out = capsys.readouterr().out
    assert ("both sides have the same training" in out) == replay
    assert "candidate  none" in out
    assert (tmp_path / "plot.png").stat().st_size > 0


def test_notes_on_files_are_shown_where_there_are_full_trainings_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write_trainings(tmp_path, "a", [trained()])
    new = write_trainings(tmp_path, "b", [trained(run_id="b")])
    content = json.loads(new.read_text())
    content[KEY]["complete"] = False
    new.write_text(json.dumps(content))
    for name in ("terminal", "markdown", "latex"):
        main(arguments([old], [new], "--format", name))
        assert "the run was cut short" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"test_accuracy": 1.5}, "test_accuracy is 1.5; a ratio from 0 to 1 is needed"),
        ({"history": []}, "history is empty"),
        ({"metrics": {}}, "metric 'training_time_s' is None; a time in seconds above 0 is needed"),
        ({"metrics": {"training_time_s": -4.0}}, "metric 'training_time_s' is -4.0"),
    ],
)
@pytest.mark.parametrize("name", ["terminal", "json"])
def test_a_training_with_impossible_values_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], complaint: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write_trainings(tmp_path, "a", [trained()])
    entry = make_training_entry(trained(run_id="b"))
    entry["extra_info"][KEY].update(change)
    new = write_trainings(tmp_path, "b", [entry])
    assert main(arguments([old], [new], "--format", name)) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert f"b.json: {complaint}" in captured.err or complaint in captured.err
    with pytest.raises(RecordError):
        trained(test_predictions=None, data=dataclasses.replace(trained().data, num_test=0))


def test_a_comment_with_many_benchmarks_and_trainings_is_below_the_limit_of_github(tmp_path: Path) -> None:
    sides = []
    for name, hour in (("a", 0), ("b", 1)):
        steps = step_entries(name, hour=hour, num=400)
        one = trained(run_id=name, test_predictions=None)
        recipes = [dataclasses.replace(one.recipe, learning_rate=0.01 + 0.0001 * k, name="k" * 120) for k in range(150)]
        records = [
            dataclasses.replace(one, recipe=recipe, weights_sha256=f"{name}{k}") for k, recipe in enumerate(recipes)
        ]
        sides.append([write_trainings(tmp_path, name, records, steps=steps, hour=hour)])
    text = comparison_markdown(judged(*sides))
    assert MAX_CHARACTERS // 2 < len(text) < GITHUB_CHARACTERS
    assert "<summary>All 400 benchmarks</summary>" in text
    assert "<summary>All 150 full trainings</summary>" in text
    assert text.count("more lines are left out") == 2


# The noise floor.


def test_full_trainings_have_no_noise_floor(mixed: tuple[list[Path], list[Path]], tmp_path: Path) -> None:
    alone = [
        [
            write_trainings(tmp_path, f"{name}{n}", [trained(seed=n, run_id=f"{name}{n}", hour=n)], hour=n)
            for n in range(3)
        ]
        for name in "xy"
    ]
    with pytest.raises(ResultFileError, match="contain no benchmarks; full trainings have no noise floor"):
        noise_floor(judged(*alone))
    both = judged(*mixed)
    floor = noise_floor(both)
    assert set(floor.detectable_slowdown_ratio) == set(floor.process_scatter)
    assert all("train_step" in name for name in floor.detectable_slowdown_ratio)
    assert floor.num_processes == 5
    assert in_words(judged(*alone), {floor.machine: floor}) is None
    assert "slowdowns of" in str(in_words(both, {floor.machine: floor}))


def test_the_same_weights_on_both_sides_need_no_statistics(tmp_path: Path) -> None:
    sides = []
    for run_id in ("old", "new"):
        record = dataclasses.replace(trained(run_id="same"), process=Process(run_id=run_id, pid=1, started=moment(0)))
        sides.append([read_process(write_trainings(tmp_path, run_id, [record]))])
    (verdict,) = compare(join_sides(*sides)).trainings.verdicts
    assert verdict.verdict == "unchanged"
    assert verdict.accuracy.reason == "the same weights, bit for bit"

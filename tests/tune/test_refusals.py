"""What a study refuses: in one line, with status 2, and without touching anything."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("optuna", reason="the search needs the extra: pip install 'perfsuite[tune]'")

from perfsuite.cli import main
from perfsuite.folder_lock import folder_locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tuned_files import Files


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command, and return the one line that it says."""
    capsys.readouterr()
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if "already" not in line]
    assert len(lines) == 1, err
    return lines[0].removeprefix("perfsuite: error: ")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"trials": "0"}, "--trials: '0' is not a number of trials"),
        ({"seeds": "x"}, "--seeds: 'x' is not a number of seeds"),
        ({"seed": "-1"}, "--seed: '-1' is not a seed"),
        ({"workers": "1e9"}, "--workers: '1e9' is not a number of workers"),
        ({"sampler": "cmaes"}, "--sampler: unknown name 'cmaes'; choose from tpe, random, grid"),
        ({"pruner": "x"}, "--pruner: unknown name 'x'; choose from median, none"),
        ({"score": "x"}, "--score: unknown name 'x'; choose from auto, loss, accuracy"),
        ({"memory_format": "x"}, "--memory-format: unknown name 'x'; choose from contiguous, channels_last"),
        ({"learning_rate": "1:0.1"}, "--learning-rate: '1:0.1' is no range; write LOW:HIGH"),
        ({"learning_rate": "0:1"}, "--learning-rate: '0' is not a learning rate"),
        ({"learning_rate": "nan"}, "--learning-rate: 'nan' is not a learning rate"),
        ({"learning_rate": "0.1,,1"}, "--learning-rate: '0.1,,1' has an empty name in it"),
        ({"momentum": "0.5:1"}, "--momentum: '1' is not a momentum; from 0 to 0.9999"),
        ({"weight_decay": "0:0.1"}, "--weight-decay: a range is searched by its logarithm and cannot begin at 0"),
        ({"batch_size": "8:16"}, "--batch-size: '8:16' is a range; give batch sizes separated by commas"),
        ({"batch_size": "8.5"}, "--batch-size: '8.5' is not a batch size"),
        ({"precisions": "fp32,fp8"}, "--precisions: unknown precision 'fp8'; choose from amp"),
        ({"precisions": "tf32"}, "tf32 is a format of NVIDIA GPUs"),
        ({"recipe": "short"}, "--recipe: unknown recipe 'short'; choose from thesis, smoke"),
        ({"recipe": "no.toml"}, "--recipe "),
        ({"model": "resnet17"}, "--model: "),
        ({"device": "tpu"}, "--device: unknown device 'tpu'"),
        ({"data": "images.zip"}, "--data "),
        ({"data": "no.npz"}, "{here}/no.npz: no such file; `perfsuite data download`"),
        ({"chart": "chart.jpg"}, "--chart chart.jpg: a figure is written as .svg, .png, .pdf"),
        ({"output": "tuned.json"}, "-o tuned.json: a recipe is written to a file named .toml"),
        (
            {"output": "smoke.toml"},
            "-o smoke.toml: a recipe is written to a file named .toml, but not thesis.toml or smoke.toml",
        ),
        ({"output": "no/tuned.toml"}, "-o no/tuned.toml: no such folder"),
    ],
)
def test_a_wrong_option_is_one_line_before_anything_is_done(
    changes: dict[str, str],
    complaint: str,
    arguments: Callable[..., list[str]],
    files: Files,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(files.folder)
    said = refusal(arguments(**changes), capsys)
    assert said.startswith(complaint.replace("{here}", str(files.folder)))
    assert not files.study().exists()


@pytest.fixture
def begun(tune: Callable[..., bytes]) -> bytes:
    return tune(trials=2)


def test_more_images_than_there_are_is_one_line(
    arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.recipe.write_text("num_train = 90\nnum_validation = 30\n")
    said = refusal(arguments(), capsys)
    assert said.startswith("90 images to train and 30 to validate on are asked for; there are 100")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"sampler": "random"}, 'sampler was "tpe" and is "random"'),
        ({"pruner": "none"}, 'pruner was "median" and is "none"'),
        ({"precisions": "fp32,amp"}, 'precisions was ["fp32"] and is ["fp32", "amp-bf16"]'),
        ({"learning_rate": "0.1:1"}, "ranges.learning_rate was [0.002, 0.2] and is [0.1, 1.0]"),
        ({"workers": 2}, "num_workers was 1 and is 2"),
        ({"score": "accuracy"}, 'score was "loss" and is "accuracy"'),
        ({"model": "resnet18"}, 'model was "own_networks.py:sound" and is "resnet18"'),
    ],
)
@pytest.mark.usefixtures("begun")
def test_another_study_in_the_folder_is_refused_by_what_differs(
    changes: dict[str, Any], complaint: str, arguments: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint in refusal(arguments(trials=2, **changes), capsys)


def test_a_study_of_other_images_is_refused_and_kept(
    begun: bytes, arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    from generated_images import generated_set

    from perfsuite.workloads.image_store import save_image_set

    other = files.folder / "other.npz"
    save_image_set(generated_set(seed=1), other)
    assert "contains another study: data_sha256 was " in refusal(arguments(data=other), capsys)
    assert (files.study() / "study.json").read_bytes() == begun


def test_another_recipe_is_refused_by_its_field(
    begun: bytes, arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    assert begun
    files.recipe.write_text(files.recipe.read_text().replace("epochs = 3", "epochs = 4"))
    assert "contains another study: recipe.epochs was 3 and is 4" in refusal(arguments(), capsys)


def journal_of(files: Files) -> Path:
    return files.study() / "optuna.journal"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"op_code":4', '"op_code":"x"'),
        lambda text: text.replace('"op_code"', '"code"'),
        lambda text: "not json\n" + text,
        lambda _text: "",
        lambda text: text.replace("own_networks", "x").replace('"loss":[', '"loss":[1.5,'),
        lambda text: text.replace('"state":"complete"', '"state":"pruned"'),
        lambda text: text.replace('"momentum":0.9,', '"momentum":0.91,'),
        lambda text: text.replace('"trial":{', '"trial":{"x":{"y":"' + "z" * 50_000 + '"},'),
        lambda text: text.replace('"number":1', '"number":0'),
        lambda text: "[" * 100_000 + "\n" + text,
    ],
)
def test_a_damaged_journal_is_one_line_or_changes_nothing(
    change: Callable[[str], str],
    begun: bytes,
    arguments: Callable[..., list[str]],
    files: Files,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = journal_of(files)
    text = path.read_text()
    changed = change(text)
    assert changed != text
    path.write_text(changed)
    capsys.readouterr()
    status = main(arguments(trials=3))
    assert status in {0, 2}
    if status == 2:
        err = capsys.readouterr().err
        assert err.count("\n") == 1, err
        assert "damaged" in err
        assert (files.study() / "study.json").read_bytes() == begun
    else:
        assert json.loads(begun)["trials"] == json.loads((files.study() / "study.json").read_text())["trials"][:2]


def test_half_a_line_at_the_end_is_what_a_killed_process_left(
    begun: bytes, tune: Callable[..., bytes], files: Files
) -> None:
    whole = tune("whole", trials=4)
    with journal_of(files).open("a") as stream:
        stream.write('{"op_code":4,"worker_id":"')
    assert begun != whole
    assert tune(trials=4) == whole


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"schema": "perfsuite-study-1"}', "[" * 100_000, '{"schema": 1e999}']
)
@pytest.mark.usefixtures("begun")
def test_a_damaged_record_is_one_line(
    content: str, arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    (files.study() / "study.json").write_text(content)
    refusal(arguments(), capsys)
    refusal(["tune", "--study", str(files.study()), "--show"], capsys)


def test_a_trial_that_the_journal_lacks_is_found(
    begun: bytes, arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    assert begun
    journal_of(files).unlink()
    assert "trial 0 of study.json is not in optuna.journal as it was" in refusal(arguments(), capsys)


def test_a_folder_of_somebody_else_is_left_as_it_is(
    arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.study().mkdir()
    (files.study() / "thesis.tex").write_text("mine")
    said = refusal(arguments(), capsys)
    assert "contains files (thesis.tex), but no study.json; name another folder with --study" in said
    assert [path.name for path in files.study().iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder_is_one_line(
    arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.study().write_text("mine")
    assert "cannot be used" in refusal(arguments(), capsys)


def test_two_commands_in_one_folder_is_one_line(
    arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    with folder_locked(files.study()):
        assert "in use by process" in refusal(arguments(), capsys)


@pytest.mark.parametrize("content", ["mine", "epochs = 3\n"])
def test_a_file_that_tune_did_not_write_is_never_replaced(
    content: str, arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    target = files.folder / "mine.toml"
    target.write_text(content)
    said = refusal([*arguments(), "-o", str(target)], capsys)
    assert said.endswith("exists, and perfsuite tune did not write it; name another file")
    assert target.read_text() == content
    assert not files.study().exists()


def test_a_recipe_of_another_study_is_not_replaced(
    arguments: Callable[..., list[str]], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    target = files.folder / "tuned.toml"
    assert main([*arguments(trials=1), "-o", str(target)]) == 0
    content = target.read_text()
    capsys.readouterr()
    assert main([*arguments("other", trials=1, learning_rate="0.1"), "-o", str(target)]) == 2
    assert "exists with another recipe; name another file, or remove it" in capsys.readouterr().err
    assert target.read_text() == content


def test_show_of_no_study_is_one_line(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(["tune", "--study", str(files.folder), "--show"], capsys)
    assert said == f"--study {files.folder}: contains no study"


def test_without_optuna_one_line_says_how_to_install_it(
    arguments: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        name for name in sys.modules if name.partition(".")[0] == "optuna" or name.startswith("perfsuite.tune")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = refusal(arguments(), capsys)
    assert said.startswith("this command needs optuna, which is not installed for ")
    assert "pip install 'optuna>=4,<5'" in said

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builders import make_content, make_entry, make_record

from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def good(write_result: Callable[..., Path]) -> str:
    return str(write_result(make_content([make_entry(make_record(), [0.1, 0.2, 0.3])])))


@pytest.mark.parametrize("fmt", ["terminal", "markdown", "csv", "json", "latex"])
def test_collect_prints_every_format(good: str, fmt: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", good, "--format", fmt]) == 0
    out, err = capsys.readouterr()
    assert "resnet18" in out
    assert err == ""


def test_collect_writes_to_a_file(good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "table.json"
    assert main(["collect", good, "--format", "json", "-o", str(target)]) == 0
    assert json.loads(target.read_text())[0]["model"] == "resnet18"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["collect", "missing.json"], "perfsuite: error: missing.json: no such file"),
        (
            ["collect", "{good}", "--table", "x"],
            "perfsuite: error: unknown table 'x'; choose from accuracy, confusion, epochs",
        ),
        (["collect", "{good}", "-o", "no/such/folder/x"], "perfsuite: error: no/such/folder/x: cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    good: str, arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.replace("{good}", good) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(complaint)
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["collect"], ["colect", "x"], ["collect", "x", "--format", "xml"]])
def test_a_wrong_command_line_is_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_memory_shows_the_study_s_cells_beside_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 6
    for row in rows:
        assert row["peak_bytes"] == pytest.approx(row["thesis_peak_bytes"], rel=0.015)
        assert (row["batch_size"], row["gradients"]) == (128, "kept")
        parts = ("parameters", "gradients", "optimizer", "activations", "autocast", "temporary", "other")
        assert sum(row[f"{part}_bytes"] for part in parts) == row["peak_bytes"]


@pytest.mark.parametrize("command", ["memory", "limits"])
def test_a_list_of_batch_sizes_is_a_row_each_and_a_column(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    cell = [command, "--model", "resnet18", "--precision", "fp32", "--batch-size", "2,4,2"]
    assert main([*cell, "--format", "json"]) == 0
    assert [row["batch_size"] for row in json.loads(capsys.readouterr().out)] == [2, 4]
    assert main([*cell, "--format", "csv"]) == 0
    assert main(cell) == 0
    assert " batch " in capsys.readouterr().out
    assert main([*cell[:-1], "2,x"]) == 2
    assert "--batch-size: 'x' is not a batch size" in capsys.readouterr().err


@pytest.mark.no_cover
def test_other_images_and_classes_have_no_figure_of_the_thesis(capsys: pytest.CaptureFixture[str]) -> None:
    cell = ["--model", "resnet18", "--precision", "fp32", "--batch-size", "128", "--format", "json"]
    for command, keys in (
        ("memory", ["thesis_peak_bytes"]),
        ("limits", ["thesis_training_time_s", "thesis_ratio"]),
    ):
        for images, is_of_the_thesis in (((), True), (("--image-size", "16"), False), (("--classes", "11"), False)):
            gradients = ("--gradients", "kept") if command == "memory" else ()
            assert main([command, *cell, *gradients, *images]) == 0
            (row,) = json.loads(capsys.readouterr().out)
            assert [row[key] is not None for key in keys] == [is_of_the_thesis] * len(keys)
        assert main([command, "--image-size", "9"]) == 2
        assert "--image-size: '9' is not an image size in pixels" in capsys.readouterr().err


@pytest.mark.no_cover
def test_larger_images_take_what_convolutions_of_that_size_take(capsys: pytest.CaptureFixture[str]) -> None:
    """1.81e9 multiply-accumulates an image forward, by torchvision's documentation; three times as many in a step."""
    cell = ["limits", "--model", "resnet18", "--precision", "fp32", "--image-size", "224"]
    assert main([*cell, "--classes", "1000", "--format", "json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    first_layer = 64 * 3 * 7 * 7 * 112 * 112  # of the images themselves no gradient is computed
    assert row["step_flops"] / 128 == pytest.approx(2 * (3 * 1.81e9 - first_layer), rel=0.005)
    assert main(cell) == 0
    text = capsys.readouterr().out
    assert "batch 128, 224x224 pixels" in text
    assert "thesis took" not in text


def test_memory_predicts_any_cell_and_the_largest_batch(capsys: pytest.CaptureFixture[str]) -> None:
    cell = ["memory", "--model", "resnet18", "--precision", "amp"]
    assert main([*cell, "--batch-size", "4", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["precision"], row["batch_size"], row["gradients"]) == ("amp-fp16", 4, "freed")
    assert row["thesis_peak_bytes"] is None
    assert main([*cell, "--capacity", "200MiB", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["largest_batch_size"] == row["batch_size"] > 4
    assert row["peak_bytes"] <= 200 * 1024**2
    assert main([*cell, "--capacity", "10MiB"]) == 0
    assert "not even one image fits" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "vgg"], "unknown model 'vgg'; choose from resnet101"),
        (["--model", "resnet18,"], "--model: 'resnet18,' has an empty name in it"),
        (["--precision", "fp8"], "unknown precision 'fp8'"),
        (["--batch-size", "0"], "--batch-size: '0' is not a batch size"),
        (["--batch-size", "9" * 5000], "--batch-size: '999"),
        (["--gpu", "t5"], "--gpu: unknown GPU 't5'; choose from gtx-1080-ti, titan-xp, p100-pcie"),
        (["--capacity", "much"], "--capacity: 'much' is an invalid size"),
    ],
)
def test_memory_refuses_a_bad_value_in_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["memory", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"perfsuite: error: {complaint}")
    assert err.count("\n") == 1


def test_help_imports_no_command() -> None:
    code = (
        "import sys\n"
        "from perfsuite.cli import COMMANDS, main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "assert not {'torch', 'pandas', 'numpy', 'rich', 'scipy'} & set(sys.modules)\n"
        "assert not {f'perfsuite.commands.{name}' for name in COMMANDS} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_help_of_every_command_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from perfsuite.cli import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try:\n"
        "        main([name, '--help'])\n"
        "    except SystemExit as ending:\n"
        "        assert ending.code in {0, None}, name\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_collecting_imports_no_torch(good: str) -> None:
    code = (
        f"import sys\nfrom perfsuite.cli import main\nmain(['collect', {good!r}])\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_module_stands_in_for_the_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "perfsuite", "--version"],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert result.stdout.startswith("perfsuite 0.")


def test_a_table_never_overwrites_what_it_is_made_of(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path(good).read_text()
    assert main(["collect", good, "-o", good]) == 2
    assert "is one of the files to be read" in capsys.readouterr().err
    assert Path(good).read_text() == before


@pytest.mark.parametrize("fmt", ["terminal", "markdown", "csv", "json"])
def test_characters_that_the_terminal_does_not_know_are_no_error(
    write_result: Callable[..., Path], tmp_path: Path, fmt: str
) -> None:
    content = '{"benchmarks": [{"fullname": "\\ud800 \\u540d", "stats": {"median": 1}}]}'
    path = write_result(content)
    for output in ([], ["-o", str(tmp_path / "out")]):
        subprocess.run(
            [sys.executable, "-m", "perfsuite", "collect", str(path), "--format", fmt, *output],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )


def test_a_reader_that_has_seen_enough_is_no_error(good: str) -> None:
    command = f"{sys.executable} -m perfsuite collect {good} --format json | head -n 1"
    result = subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, text=True)
    assert result.stderr == ""

from __future__ import annotations

import tomllib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest
from suite_run import REPOSITORY

from perfsuite.errors import InvalidChoiceError
from perfsuite.plugin import early
from perfsuite.plugin.options import read_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite_run import Run

DEFAULTS: dict[str, object] = {
    "perf_device": "auto",
    "perf_devices": None,
    "perf_world_size": "1",
    "perf_models": "resnet18,resnet34,resnet50",
    "perf_precisions": "fp32,amp",
    "perf_batch_size": None,
    "perf_image_size": None,
    "perf_classes": None,
    "perf_memory_format": "contiguous",
    "perf_gradients": "freed",
    "perf_compile": "off",
    "perf_cuda_graphs": "off",
    "perf_cudnn_benchmark": False,
    "perf_recipe": "thesis",
    "perf_seeds": "1",
    "perf_data": None,
    "perf_run_dir": None,
    "perf_restart": False,
    "perf_deterministic": False,
    "perf_no_profile": False,
    "perf_overhead_time": "60",
    "perf_quick": False,
    "perf_turn_time": None,
    "perf_preheat": None,
    "perf_world_sizes": None,
    "perf_global_batch_size": None,
    "perf_strategy": "ddp",
    "perf_gradient_compression": "none",
    "perf_rank_timeout": "300",
}


def test_the_defaults_are_the_study_s_matrix() -> None:
    options = read_options(DEFAULTS.__getitem__)
    assert options.models == ("resnet18", "resnet34", "resnet50")
    assert options.precisions == ("fp32", "amp")
    assert options.batch_sizes == ()


def test_lists_are_split_and_doubles_are_dropped() -> None:
    values = {**DEFAULTS, "perf_models": "resnet152, resnet18,resnet152", "perf_batch_size": "64,128"}
    options = read_options(values.__getitem__)
    assert options.models == ("resnet152", "resnet18")
    assert options.batch_sizes == (64, 128)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("perf_models", "vgg16", "--perf-models: unknown model 'vgg16'; choose from resnet101, resnet152, resnet18"),
        ("perf_models", "resnet18,,resnet50", "--perf-models: 'resnet18,,resnet50' has an empty name"),
        ("perf_precisions", "fp8", "--perf-precisions: unknown precision 'fp8'; choose from amp, amp-bf16"),
        ("perf_batch_size", "0", "--perf-batch-size: '0' is not a batch size; whole numbers from 1 to 65536"),
        ("perf_batch_size", "-4", "--perf-batch-size: '-4' is not a batch size"),
        ("perf_batch_size", "12.5", "--perf-batch-size: '12.5' is not a batch size"),
        ("perf_batch_size", "99999999", "--perf-batch-size: '99999999' is not a batch size"),
        ("perf_batch_size", "9" * 5000, "--perf-batch-size: '99999999999999999999' is not a batch size"),
        (
            "perf_image_size",
            "15",
            "--perf-image-size: '15' is not an image size in pixels; whole numbers from 16 to 1024",
        ),
        ("perf_image_size", "224x224", "--perf-image-size: '224x224' is not an image size"),
        ("perf_image_size", "32,", "--perf-image-size: '32,' has an empty name"),
        ("perf_classes", "1", "--perf-classes: '1' is not a number of classes; whole numbers from 2 to 100000"),
        ("perf_classes", "10,100", "--perf-classes: '10,100' is not a number of classes"),
        ("perf_memory_format", "nhwc", "--perf-memory-format: unknown memory format 'nhwc'; choose from channels_last"),
        ("perf_gradients", "none", "--perf-gradients: unknown state of gradients 'none'; choose from freed, kept"),
        (
            "perf_recipe",
            "fast",
            "--perf-recipe: unknown recipe 'fast'; choose from thesis, smoke, or name a .toml file",
        ),
        ("perf_overhead_time", "-1", "--perf-overhead-time: '-1' is not a time; whole seconds from 0 to 86400 are"),
        ("perf_overhead_time", "1.5", "--perf-overhead-time: '1.5' is not a time"),
        ("perf_seeds", "0", "--perf-seeds: '0' is not a number of seeds"),
        ("perf_seeds", "many", "--perf-seeds: 'many' is not a number of seeds"),
        ("perf_device", "tpu", "--perf-device: unknown device 'tpu'; choose from auto, cuda, cuda:N, cpu"),
        ("perf_device", "cuda:x", "--perf-device: unknown device 'cuda:x'; choose from auto, cuda, cuda:N, cpu"),
        ("perf_device", "cpu:1", "--perf-device: unknown device 'cpu:1'"),
        ("perf_devices", "0,cpu", "--perf-devices: 0,cpu has both GPUs and the CPU in it"),
        ("perf_world_size", "7", "--perf-world-size 7: the recipe's batch of 128 images cannot be shared evenly by 7"),
        ("perf_data", "nothing.npz", "--perf-data: nothing.npz: no such file or folder; `perfsuite data download`"),
        ("perf_data", __file__, f"--perf-data: {__file__}: neither a folder nor an archive; .zip, .tar, .tar.gz and"),
        ("perf_data", ".", "--perf-data: .: no images in it; {train,test}/<class>/*.png or .jpg, or {train,val}"),
    ],
)
def test_a_bad_value_is_one_line_that_names_option_value_and_choices(name: str, value: str, message: str) -> None:
    with pytest.raises(InvalidChoiceError) as caught:
        read_options({**DEFAULTS, name: value}.__getitem__)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_pytest_shows_a_bad_value_in_one_line_and_stops(run_suite: Callable[..., Run]) -> None:
    run = run_suite("--perf-precisions=fp8")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    run.result.stderr.fnmatch_lines(["ERROR: --perf-precisions: unknown precision 'fp8'; choose from amp, *"])
    assert len(run.result.stderr.str().strip().splitlines()) == 1


def test_a_run_without_pytest_benchmark_says_what_is_missing(run_suite: Callable[..., Run]) -> None:
    run = run_suite("-p", "no:benchmark", quick=False)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: perfsuite needs the plugin pytest-benchmark" in run.text


INSTALLED = any(entry.value == early.__name__ for entry in entry_points(group="pytest11"))
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
EARLY = () if INSTALLED else ("-p", early.__name__)
"""What loads the plugin as an installed perfsuite does; pytest refuses one plugin by two names."""


@pytest.mark.parametrize("option", ["--perf-recipe", "--perf-data", "--perf-run-dir"])
@pytest.mark.parametrize("loaded", [EARLY, ("benchmarks",)], ids=["installed", "from a checkout with a path of tests"])
def test_a_path_elsewhere_in_a_word_of_its_own_ends_in_one_line_that_says_how_to_write_it(
    run_suite: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory, option: str, loaded: tuple[str, ...]
) -> None:
    path = tmp_path_factory.mktemp("elsewhere") / "x.toml"
    path.write_bytes(EMPTY_ZIP if option == "--perf-data" else b"epochs = 2")
    run = run_suite(*loaded, option, str(path), quick=False)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in run.text.splitlines() if line.startswith("ERROR"))
    assert line.endswith(f"write {option}={path}")
    assert "unrecognized" not in run.text
    collected = run_suite(*EARLY, f"{option}={path}", "--collect-only", "-q", "-k", "nothing")
    assert collected.result.ret == pytest.ExitCode.NO_TESTS_COLLECTED, collected.text


def test_a_path_below_the_working_folder_may_be_a_word_of_its_own(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    (suite_folder.path / "x.toml").write_text("epochs = 2")
    for path in ("x.toml", str(suite_folder.path / "x.toml")):
        run = run_suite(*EARLY, "--perf-recipe", path, "--collect-only", "-q", "-k", "nothing")
        assert run.result.ret == pytest.ExitCode.NO_TESTS_COLLECTED, run.text


def test_an_installed_perfsuite_is_asked_before_any_conftest() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert early.__name__ in project["entry-points"]["pytest11"].values()

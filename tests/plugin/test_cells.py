from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from suite_run import REPOSITORY

from perfsuite.measure import device as device_module
from perfsuite.measure.nvml import NvmlGpu, NvmlReading
from perfsuite.records.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite_run import Run

REAL = ("-k", "resnet18 and forward")


def test_the_default_matrix_is_three_models_two_precisions_three_phases(run_suite: Callable[..., Run]) -> None:
    run = run_suite("--collect-only", "-q", "--perf-device=cpu", quick=False)
    cells = [line for line in run.text.splitlines() if "::" in line]
    assert len(cells) == 18
    assert "benchmarks/test_step.py::test_train_step[resnet50-amp-bf16-b8]" in cells
    assert run.files == []


def test_options_span_the_matrix(run_suite: Callable[..., Run]) -> None:
    run = run_suite(
        "--collect-only",
        "-q",
        *("--perf-models=resnet18", "--perf-precisions=fp32", "--perf-batch-size=1,4"),
        *(
            "--perf-memory-format=contiguous,channels_last",
            "--perf-gradients=kept",
            "--perf-compile=default",
            "-k",
            "forward",
        ),
    )
    names = [line.partition("[")[2] for line in run.text.splitlines() if "::" in line]
    assert names == [
        "resnet18-fp32-b1-kept-compiled]",
        "resnet18-fp32-b1-channels_last-kept-compiled]",
        "resnet18-fp32-b4-kept-compiled]",
        "resnet18-fp32-b4-channels_last-kept-compiled]",
    ]


def test_images_and_classes_are_part_of_the_matrix_and_of_the_record(run_suite: Callable[..., Run]) -> None:
    own = ("--perf-models=resnet18", "--perf-precisions=fp32", "--perf-image-size=16,64", "--perf-classes=7")
    run = run_suite(*own, "-k", "forward")
    assert run.names == ["test_forward[resnet18-fp32-b2-16px-7classes]", "test_forward[resnet18-fp32-b2-64px-7classes]"]
    workloads = [one["extra_info"]["perfsuite"]["workload"] for one in run.content["benchmarks"]]
    assert [(one["image_size"], one["num_classes"]) for one in workloads] == [(16, 7), (64, 7)]


@pytest.mark.parametrize("marker", ["full_training", "input_pipeline"])
def test_full_trainings_have_the_size_of_their_images_and_say_so(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester, marker: str
) -> None:
    for name in ("test_full_training.py", "test_interleaved.py"):
        text = (REPOSITORY / "benchmarks" / name).read_text()
        (suite_folder.path / "benchmarks" / name).write_text(text)
    run = run_suite("-m", marker, "--perf-image-size=64", "--collect-only", "-q")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "--perf-image-size, --perf-classes: full trainings and -m numerics take size and classes of their images"
        in run.text
    )
    run = run_suite("-m", f"step or {marker}", "--perf-image-size=64", "--collect-only", "-q")
    names = [line for line in run.text.splitlines() if "::" in line]
    assert {name.partition("::")[0] for name in names if "64px" in name} == {"benchmarks/test_step.py"}
    assert any("64px" not in name for name in names)


def test_a_run_leaves_its_results_and_shows_what_amp_gives(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*REAL)
    assert run.result.ret == pytest.ExitCode.OK
    assert run.names == ["test_forward[resnet18-fp32-b2]", "test_forward[resnet18-amp-bf16-b2]"]
    benchmark = run.content["benchmarks"][0]
    assert benchmark["params"]["model"] == "resnet18"
    assert benchmark["group"] == "resnet18 forward"
    assert "UNSERIALIZABLE" not in run.files[0].read_text()
    assert benchmark["options"]["timer"] == "perfsuite.measure.clock.DeviceClock"
    assert len(benchmark["stats"]["data"]) == benchmark["stats"]["rounds"] >= 2
    assert run.content["machine_info"]["perfsuite"]["torch"] == torch.__version__
    assert run.content["perfsuite"] == {"schema_version": SCHEMA_VERSION, "complete": True, "outcomes": []}
    for expected in (
        "1/2] forward resnet18-fp32-b2",
        "amp-bf16 against fp32, batch 2",
        "Results: results/",
        "Show again:",
    ):
        assert expected in run.text
    assert "min_rounds" not in run.text.partition("collected")[2]  # pytest-benchmark's own table stays away


def test_the_file_is_named_after_time_device_and_torch(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*REAL, "--perf-precisions=fp32")
    time, device, version = run.files[0].stem.split("_")
    assert len(time) == len("20260105T100000Z")
    assert time.endswith("Z")
    assert device == device.lower()
    assert version == f"torch-{torch.__version__}"


def test_one_precision_alone_gives_the_table_of_steps(run_suite: Callable[..., Run]) -> None:
    assert "Training steps, batch 2" in run_suite(*REAL, "--perf-precisions=fp32").text


def test_pytest_benchmark_s_own_table_comes_when_it_is_asked_for(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*REAL, "--perf-precisions=fp32", "--benchmark-columns=min,rounds")
    assert "Name (time in" in run.text


def test_options_of_pytest_benchmark_beat_our_defaults(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*REAL, "--perf-precisions=fp32", "--benchmark-min-time=0.001")
    options = run.content["benchmarks"][0]["options"]
    assert (options["min_rounds"], options["max_time"], options["min_time"]) == (2, 0.01, 0.001)
    assert options.get("precision") is None  # the suite's own rule takes correlated rounds into account


def test_options_in_the_environment_beat_our_defaults(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--benchmark-min-rounds=3 --benchmark-max-time 0.01")
    run = run_suite(*REAL, "--perf-precisions=fp32", "--perf-batch-size=2", "--perf-device=cpu", quick=False)
    assert run.content["benchmarks"][0]["options"]["min_rounds"] == 3


def test_our_defaults_stand_where_nothing_is_said(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*REAL, "--perf-precisions=fp32", "--perf-batch-size=1", "--perf-device=cpu", quick=False)
    options = run.content["benchmarks"][0]["options"]
    assert (options["min_rounds"], options["max_time"]) == (20, 0.5)
    assert run.content["benchmarks"][0]["stats"]["rounds"] >= 20


def test_another_timer_is_refused_by_name_with_the_reason(run_suite: Callable[..., Run]) -> None:
    run = run_suite("--benchmark-timer=time.time")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --benchmark-timer cannot be used" in run.text
    assert run.files == []


def test_disabled_benchmarks_run_once_and_leave_no_file(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*REAL, "--benchmark-disable")
    assert run.result.ret == pytest.ExitCode.OK
    assert run.files == []
    assert "ran once, not timed" in run.text


def test_skipped_benchmarks_stand_in_the_file_as_skipped(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*REAL, "--benchmark-skip")
    assert run.names == []
    assert {outcome for _, outcome in run.outcomes} == {"skipped"}


def test_profiling_and_saving_by_pytest_benchmark_still_work(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    run = run_suite(*REAL, "--perf-precisions=fp32", "--benchmark-cprofile=tottime", "--benchmark-save=kept")
    assert "cProfile (time in s)" in run.text
    assert len(list(suite_folder.path.glob(".benchmarks/*/*_kept.json"))) == 1
    assert run.names == ["test_forward[resnet18-fp32-b2]"]


def test_options_in_a_file_beat_our_defaults(run_suite: Callable[..., Run], suite_folder: pytest.Pytester) -> None:
    (suite_folder.path / "args.txt").write_text("--benchmark-min-rounds=4\n--benchmark-max-time=0.01\n")
    run = run_suite(
        "@args.txt", *REAL, "--perf-precisions=fp32", "--perf-batch-size=2", "--perf-device=cpu", quick=False
    )
    assert run.content["benchmarks"][0]["options"]["min_rounds"] == 4


def test_comparing_with_a_saved_run_of_this_machine_warns_of_nothing(run_suite: Callable[..., Run]) -> None:
    arguments = (*REAL, "--perf-precisions=fp32", "--benchmark-storage=store")
    run_suite(*arguments, "--benchmark-autosave")
    run = run_suite(*arguments, "--benchmark-compare")
    assert run.result.ret == pytest.ExitCode.OK
    assert "Comparing against benchmarks from" in run.text
    assert "machine_info is different" not in run.text


def test_a_regression_that_pytest_benchmark_finds_does_not_hide_the_summary(
    run_suite: Callable[..., Run], suite_folder: pytest.Pytester
) -> None:
    arguments = (*REAL, "--perf-precisions=fp32")
    run_suite(*arguments, "--benchmark-save=first")
    saved = next(suite_folder.path.glob(".benchmarks/*/0001_first.json"))
    content = json.loads(saved.read_text())
    content["benchmarks"][0]["stats"]["min"] = 1e-9
    saved.write_text(json.dumps(content))
    run = run_suite(*arguments, "--benchmark-compare", "--benchmark-compare-fail=min:5%")
    assert "Performance has regressed" in run.text
    assert "Results: results/" in run.text


def test_a_gpu_that_torch_cannot_use_stops_the_run_with_one_line(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = NvmlGpu(
        name="Tesla T4",
        uuid=None,
        memory_bytes=None,
        power_limit_watts=None,
        max_sm_clock_mhz=None,
        max_memory_clock_mhz=None,
    )
    reading = NvmlReading(gpus=(gpu,), driver="470.82", cuda="11.4", reason=None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(device_module, "read_nvml", lambda: reading)
    run = run_suite(quick=False)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: NVML sees Tesla T4 (driver 470.82) but torch" in run.text
    assert run.files == []


def test_other_tests_are_left_alone_by_the_plugin(suite_folder: pytest.Pytester) -> None:
    suite_folder.makepyfile(test_other="def test_it():\n    pass\n")
    result = suite_folder.runpytest_inprocess("test_other.py")
    assert result.ret == pytest.ExitCode.OK
    assert not (suite_folder.path / "results").exists()
    assert "perfsuite" not in result.stdout.str().partition("collected")[2]


def test_a_workload_without_a_phase_is_an_error_of_the_test(suite_folder: pytest.Pytester) -> None:
    (suite_folder.path / "benchmarks" / "test_own.py").write_text("def test_it(workload):\n    pass\n")
    result = suite_folder.runpytest_inprocess("benchmarks/test_own.py", "--perf-device=cpu", "-k", "resnet18 and fp32")
    assert "needs @pytest.mark.step(phase=...)" in result.stdout.str() + result.stderr.str()


def test_the_plugin_does_not_import_torch_or_pandas_before_it_is_needed() -> None:
    code = (
        "import sys, pytest\n"
        "pytest.main(['--help', '-p', 'perfsuite.plugin'])\n"
        "assert not {'torch', 'pandas', 'perfsuite.workloads'} & set(sys.modules), 'imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


OTHERS_TAKE_HALF = """
import pytest
from perfsuite.measure import cpu_load, telemetry

@pytest.fixture(autouse=True)
def half_taken(monkeypatch):
    ticks = 0
    def read_cpu(*_):
        nonlocal ticks
        ticks += 50
        rows = [f"cpu{core} {ticks} 0 0 {ticks} 0 0 0 0" for core in cpu_load.own_cores()]
        return cpu_load.CpuReading(stat="\\n".join(rows), own_s=0.0)
    for module in (cpu_load, telemetry):
        monkeypatch.setattr(module, "read_cpu", read_cpu)
    yield
"""


def test_a_cell_measured_under_background_load_says_so_in_its_own_row(
    run_suite: Callable[..., Run], add_conftest: Callable[[str], None]
) -> None:
    add_conftest(OTHERS_TAKE_HALF)
    run = run_suite("-k", "resnet18 and forward and fp32")
    rows = [line for line in run.text.splitlines() if line.startswith(("[1/1] forward", "resnet18  fp32"))]
    assert [("background load" in row) for row in rows] == [True, True], rows
    record = run.content["benchmarks"][0]["extra_info"]["perfsuite"]
    assert record["telemetry"]["background_cpu_ratio"] == 0.5
    assert any(finding.startswith("background load: other processes took 50%") for finding in record["findings"])

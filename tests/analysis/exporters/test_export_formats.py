"""Each format is read by what it is for, or checked by the rules of what it is for."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from exported_files import HOSTILE, cells, hostile
from foreign_files import write_foreign

from perfsuite.analysis.exporters.exported_run import read_run
from perfsuite.analysis.exporters.otava import FORMULA_STARTS
from perfsuite.analysis.exporters.registry import export_folder, export_text
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.analysis.exporters.exported_run import ExportedRun

NUMBER = {"type": "number"}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}

# Interface BenchmarkResult in src/extract.ts of github-action-benchmark; extractRangeInfo.ts rescales only ± ranges.
GITHUB = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["name", "unit", "value"],
        "properties": {
            **{name: {"type": "string"} for name in ("name", "unit", "range", "extra")},
            "value": NUMBER,
        },
        "additionalProperties": False,
    },
}

# https://bencher.dev/bmf.json, and lengths of bencher_valid: stricter, as nothing else may be there.
BENCHER = {
    "type": "object",
    "propertyNames": {"minLength": 1, "pattern": ".+"},
    "additionalProperties": {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z]+(-[a-z]+)*$", "maxLength": 64},
        "additionalProperties": {
            "type": "object",
            "required": ["value"],
            "properties": {"value": NUMBER, "lower_value": NUMBER, "upper_value": NUMBER},
            "additionalProperties": False,
        },
    },
}


def columns(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**properties, "extra_info": TEXTS}, "additionalProperties": False}


# Columns and types of clickhouse_db_schema/oss_ci_benchmark_v3/schema.sql in pytorch/test-infra.
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
PYTORCH = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["benchmark", "model", "metric"],
        "properties": {
            "benchmark": {**columns(name=TEXT, mode=TEXT, dtype=TEXT), "required": ["name"]},
            "model": {
                **columns(name=TEXT, type=TEXT, backend=TEXT, origins={"type": "array", "items": TEXT}),
                "required": ["name"],
            },
            "metric": {
                **columns(
                    name=TEXT,
                    benchmark_values={
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "number", "minimum": -3.4028235e38, "maximum": 3.4028235e38},
                    },
                    target_value=NUMBER,
                ),
                "required": ["name", "benchmark_values"],
            },
            "runners": {
                "type": "array",
                "items": columns(
                    name=TEXT,
                    type=TEXT,
                    cpu_info=TEXT,
                    cpu_count=COUNT,
                    mem_info=TEXT,
                    avail_mem_in_gb=COUNT,
                    gpu_info=TEXT,
                    gpu_count=COUNT,
                    gpu_mem_info=TEXT,
                    avail_gpu_mem_in_gb=COUNT,
                ),
            },
            "dependencies": {
                "type": "object",
                "additionalProperties": columns(repo=TEXT, branch=TEXT, sha=TEXT, version=TEXT),
            },
        },
        "additionalProperties": False,
    },
}


def read_strictly(text: str, schema: dict[str, Any]) -> Any:
    """Return JSON that a browser reads as well: no NaN, nothing outside of Unicode, and of that schema."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(text.encode("utf-8").decode("utf-8"), parse_constant=refuse)
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft7Validator(schema).validate(found)
    return found


def shown(name: str) -> str:
    return f"tests/test_it.py::{name}".encode("utf-8", "replace").decode()


@pytest.mark.parametrize(("name", "metrics"), [("github-smaller", ["time", "peak"]), ("github-bigger", ["images"])])
def test_github_has_a_file_for_each_direction(tmp_path: Path, name: str, metrics: list[str]) -> None:
    found = read_strictly(export_text(name, [cells(tmp_path)]), GITHUB)
    assert {entry["name"].rsplit(" ", 1)[1].partition("_")[0] for entry in found} == set(metrics)
    by_name = {entry["name"]: entry for entry in found}
    if name == "github-bigger":
        fastest = by_name["resnet18 amp-fp16 train_step b128 images_per_second"]
        assert (fastest["value"], fastest["unit"]) == (pytest.approx(1280), "images/s")
    else:
        slowest = by_name["resnet18 fp32 train_step b128 time_median_s"]
        assert (slowest["value"], slowest["unit"], slowest["range"]) == (0.2, "s", "0.19 to 0.22")
        assert "torch 2.13.0+cu130" in slowest["extra"]


def test_github_and_bencher_keep_every_name_and_refuse_files_without_values(tmp_path: Path) -> None:
    run = hostile(tmp_path)
    found = read_strictly(export_text("github-smaller", [run]), GITHUB)
    assert [entry["name"] for entry in found] == [f"{shown(name)} time_median_s" for name in HOSTILE]
    benchmarks = read_strictly(export_text("bencher", [run]), BENCHER)
    assert len(benchmarks) == len(HOSTILE)
    assert set(benchmarks) >= {shown(name) for name in HOSTILE[:10]}
    assert all(len(name.encode()) <= 1024 for name in benchmarks)
    ignored = ("_bencher_ignore", "BencherIgnore", "-bencher-ignore")
    assert not any(name.endswith(ignored) for name in benchmarks)
    with pytest.raises(ResultFileError, match="no throughput or accuracy; nothing was written"):
        export_text("github-bigger", [run])


def test_bencher_has_the_quartiles_of_one_run_and_the_extremes_of_several(tmp_path: Path) -> None:
    runs = [cells(tmp_path, f"{number}.json", scale) for number, scale in enumerate((1.0, 1.1, 1.5))]
    name = "resnet18 amp-fp16 train_step b128"
    one = read_strictly(export_text("bencher", runs[:1]), BENCHER)[name]
    assert one["time-median-s"] == {
        "value": 0.1,
        "lower_value": pytest.approx(0.095),
        "upper_value": pytest.approx(0.11),
    }
    assert one["images-per-second"]["lower_value"] == pytest.approx(128 / 0.11)
    assert one["peak-allocated-bytes"] == {"value": 700 * 1024**2}
    several = read_strictly(export_text("bencher", runs), BENCHER)[name]["time-median-s"]
    assert list(several.values()) == pytest.approx([0.11, 0.1, 0.15])


def test_two_machines_stay_two_in_a_snapshot(tmp_path: Path) -> None:
    files = [
        write_foreign(tmp_path / f"{host}.json", {"test_a": {"median": time_s}}, machine={"node": host})
        for host, time_s in (("one", 1.0), ("two", 2.0))
    ]
    found = read_strictly(export_text("bencher", [read_run(path) for path in files]), BENCHER)
    values = {name: measures["time-median-s"]["value"] for name, measures in found.items()}
    assert values == {
        "tests/test_it.py::test_a on EPYC in one": 1.0,
        "tests/test_it.py::test_a on EPYC in two": 2.0,
    }


def test_pytorch_has_a_record_a_metric_with_a_value_a_run(tmp_path: Path) -> None:
    runs = [cells(tmp_path, f"{number}.json", scale) for number, scale in enumerate((1.0, 1.1))]
    found = read_strictly(export_text("pytorch", [*runs, hostile(tmp_path)]), PYTORCH)
    (record,) = (
        one for one in found if one["benchmark"].get("dtype") == "float16" and one["metric"]["name"] == "time_median_s"
    )
    assert record["metric"]["benchmark_values"] == pytest.approx([0.1, 0.11])
    assert record["metric"]["extra_info"] == {"unit": "s"}
    assert record["benchmark"]["mode"] == "training"
    assert record["model"] == {"name": "resnet18", "type": "model", "origins": ["torchvision"], "backend": "eager"}
    assert record["dependencies"]["torch"] == {"repo": "pytorch/pytorch", "version": "2.13.0+cu130"}
    assert record["runners"][0]["type"] == "Tesla T4 in host"
    names = [one["model"]["name"] for one in found if one["benchmark"]["name"] == "pytest-benchmark"]
    assert names == [shown(name) for name in HOSTILE]


def samples_of(text: str) -> dict[tuple[str, str], float]:
    """Return the samples as both parsers of Prometheus's own library read them, by name and benchmark."""
    pytest.importorskip("prometheus_client")
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
    from prometheus_client.parser import text_string_to_metric_families as read_text

    found: list[dict[tuple[str, str], float]] = []
    for read in (read_openmetrics, read_text):
        samples = [sample for family in read(text) for sample in family.samples]
        keys = [(sample.name, sample.labels.get("benchmark", "")) for sample in samples]
        assert len({(sample.name, *sorted(sample.labels.items())) for sample in samples}) == len(samples)
        assert all(sample.timestamp is None and math.isfinite(sample.value) for sample in samples)
        found.append({key: sample.value for key, sample in zip(keys, samples, strict=True)})
    assert found[0] == found[1]
    return found[0]


def test_openmetrics_has_the_newest_values_and_ends_as_it_must(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    old = write_foreign(tmp_path / "old.json", {"test_a": {"median": 1.0}, "test_b": {"median": 3.0}})
    content = json.loads(old.read_text())
    content["datetime"] = "2026-02-05T10:00:00+00:00"
    content["benchmarks"] = content["benchmarks"][:1]
    content["benchmarks"][0]["stats"]["median"] = 2.0
    new = tmp_path / "new.json"
    new.write_text(json.dumps(content))
    text = export_text("openmetrics", [read_run(new), read_run(old)])
    assert text.endswith("\n# EOF\n")
    found = samples_of(text)
    assert found["perfsuite_time_median_seconds", "tests/test_it.py::test_a"] == 2.0
    assert found["perfsuite_time_median_seconds", "tests/test_it.py::test_b"] == 3.0
    assert found["perfsuite_run_started_seconds", ""] == 1770285600.0


def test_openmetrics_has_every_metric_with_its_unit_and_keeps_hostile_names_apart(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    found = samples_of(export_text("openmetrics", [cells(tmp_path), hostile(tmp_path)]))
    name = "resnet18 amp-fp16 train_step b128"
    assert found["perfsuite_time_median_seconds", name] == 0.1
    assert found["perfsuite_time_q3_seconds", name] == pytest.approx(0.11)
    assert found["perfsuite_throughput_images_per_second", name] == pytest.approx(1280)
    assert found["perfsuite_peak_allocated_bytes", name] == 700 * 1024**2
    names = [benchmark for metric, benchmark in found if metric == "perfsuite_time_median_seconds"]
    assert len(names) == 2 + len(HOSTILE)
    assert shown(HOSTILE[0]) in names
    assert all(label.isprintable() for label in names)


def test_mlflow_reads_back_a_run_a_file_and_a_second_export_adds_none(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    from perfsuite.analysis.exporters.mlflow_store import _settings

    store = tmp_path / "mlruns"
    runs = [cells(tmp_path, "night 1.json"), hostile(tmp_path)]
    (first, _) = export_folder("mlflow", runs, store)
    assert first == f"{store}: 2 new runs in the experiment perfsuite"
    (again, _) = export_folder("mlflow", [cells(tmp_path, "copy.json"), *runs[1:]], store)
    assert again == f"{store}: 0 new runs in the experiment perfsuite; 2 runs were there already"
    with _settings():
        client = MlflowClient(tracking_uri=store.as_uri(), registry_uri=store.as_uri())
        experiment = client.get_experiment_by_name("perfsuite")
        assert experiment is not None
        found = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    own, foreign = found["night 1.json"], found["hostile.json"]
    assert own.info.status == "FINISHED"
    assert own.info.start_time == 1767607200000
    assert own.data.metrics["resnet18 fp32 train_step b128/time_median_s"] == 0.2
    assert own.data.metrics["resnet18 fp32 train_step b128/time_median_s.high"] == pytest.approx(0.22)
    assert own.data.params["machine"] == "Tesla T4 in host"
    assert own.data.params["torch"] == "2.13.0+cu130"
    assert len([key for key in foreign.data.metrics if key.endswith("/time_median_s")]) == len(HOSTILE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.json", "hostile.json", "mlruns", "night 1.json"]


def test_a_run_of_mlflow_that_an_interruption_left_behind_is_made_again(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    from perfsuite.analysis.exporters import mlflow_store

    store, run = tmp_path / "mlruns", cells(tmp_path)
    with mlflow_store._settings():
        client = MlflowClient(tracking_uri=store.as_uri(), registry_uri=store.as_uri())
        experiment = client.create_experiment(mlflow_store.EXPERIMENT)
        left = client.create_run(experiment, tags={mlflow_store.DIGEST_TAG: run.digest}).info.run_id
    for expected in ("1 new run", "0 new runs"):
        (line, _) = export_folder("mlflow", [run], store)
        assert f": {expected} in the experiment" in line
    with mlflow_store._settings():
        (found,) = client.search_runs([experiment])
    assert found.info.run_id != left
    assert len(found.data.metrics) == 14


def otava_series(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Return the series of each test as CsvImporter and create_csv_test_config of apache-otava 0.8 read them."""
    yaml = pytest.importorskip("yaml")
    found: dict[str, dict[str, list[float]]] = {}
    for test, config in yaml.safe_load((folder / "otava.yaml").read_text())["tests"].items():
        assert config["type"] == "csv"
        text = (folder / config["file"]).read_text()
        headers, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=",", quotechar='"')
        assert len(set(headers)) == len(headers)
        assert "branch" not in headers
        assert all(len(row) == len(headers) for row in rows)
        assert config["time_column"] in headers
        assert set(config["attributes"]) <= set(headers)
        times = [row[headers.index(config["time_column"])] for row in rows]
        assert times == sorted(times)
        assert all(int(metric["direction"]) in {1, -1} for metric in config["metrics"].values())
        found[test] = {
            name: [float(row[headers.index(metric["column"])]) for row in rows]
            for name, metric in config["metrics"].items()
        }
    return found


def test_otava_has_a_row_a_run_in_the_order_of_time_and_no_series_has_gaps(tmp_path: Path) -> None:
    from history_builders import write_night

    times = [{"a": 1.0, "b": 2.0}, {"a": 1.1}, {"a": 1.2, "b": 2.2}]
    runs: list[ExportedRun] = [read_run(write_night(tmp_path, night, found)) for night, found in enumerate(times)]
    lines = export_folder("otava", [runs[2], *runs[:2]], tmp_path / "otava")
    assert lines[0].endswith("3 runs, 2 tests")
    found = otava_series(tmp_path / "otava")
    name = "tests/test_it.py::{} time_median_s"
    assert found == {
        "perfsuite": {name.format("a"): [1.0, 1.1, 1.2]},
        "perfsuite-2": {name.format("b"): [2.0, 2.2]},
    }


def test_otava_keeps_hostile_names_apart_and_a_spreadsheet_computes_none(tmp_path: Path) -> None:
    run = hostile(tmp_path)
    export_folder("otava", [run], tmp_path / "otava")
    (series,) = otava_series(tmp_path / "otava").values()
    assert len(series) == len(HOSTILE)
    assert all(name.isprintable() and not name.startswith(FORMULA_STARTS) for name in series)

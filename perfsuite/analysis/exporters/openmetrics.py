"""OpenMetrics text, as Prometheus reads it. Source: OpenMetrics 1.0; the text format of Prometheus, 0.0.4.

The textfile collector of node_exporter reads Prometheus's own text format, in which every line of this text is valid
too: only gauges are used, and no sample has a time of its own, which that collector refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.exporters.exported_run import THROUGHPUT, distinct, newest_first, require
from perfsuite.analysis.history.run_values import TIME
from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client.core import GaugeMetricFamily, Metric

    from perfsuite.analysis.exporters.exported_run import ExportedRun

    Labels = tuple[str, str]

NAMES = {
    TIME: ("perfsuite_time_median", "seconds", "Median time of an iteration."),
    THROUGHPUT: ("perfsuite_throughput_images_per_second", "", "Images, or samples of other networks, per second."),
    "peak_allocated_bytes": ("perfsuite_peak_allocated", "bytes", "Peak of the memory that PyTorch allocated."),
    "energy_per_image_joules": ("perfsuite_energy_per_image", "joules", "Energy of the GPU per image."),
    "test_accuracy": ("perfsuite_test_accuracy", "ratio", "Correct test images after a full training."),
    "training_time_s": ("perfsuite_training_time", "seconds", "Time of a full training."),
}
"""Name, unit, which becomes the end of the name, and help of each metric."""

QUARTILES = (("perfsuite_time_q1", "First"), ("perfsuite_time_q3", "Third"))


def openmetrics_text(runs: Sequence[ExportedRun]) -> str:
    """Return the newest value of each machine, benchmark and metric."""
    from prometheus_client.openmetrics import exposition

    found = _newest(runs)
    require(found, "values that have a history")
    generate: Any = exposition.generate_latest  # without types
    return str(generate(_Families(found)).decode("utf-8"))


def _newest(runs: Sequence[ExportedRun]) -> dict[tuple[Labels, str], tuple[ExportedRun, int]]:
    """Return by machine, benchmark and metric: the run, and where in its values it stands."""
    found: dict[tuple[Labels, str], tuple[ExportedRun, int]] = {}
    for one in newest_first(runs):
        for index, value in enumerate(one.values):
            labels = (_label(one.run.machine), _label(value.benchmark))
            found.setdefault((labels, value.metric), (one, index))
    return found


class _Families:
    """What `generate_latest` asks for its metrics."""

    def __init__(self, found: dict[tuple[Labels, str], tuple[ExportedRun, int]]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        yield from _value_families(self._found)
        yield from _run_families({one.digest: one for one, _ in self._found.values()}.values())


def _value_families(found: dict[tuple[Labels, str], tuple[ExportedRun, int]]) -> Iterator[Metric]:
    for metric, (name, unit, about) in NAMES.items():
        family = _gauge(name, unit, about)
        for (labels, key), (one, index) in found.items():
            if key == metric:
                family.add_metric(labels, one.values[index].value)
        if family.samples:
            yield family
    for number, (name, which) in enumerate(QUARTILES):
        family = _gauge(name, "seconds", f"{which} quartile of the times of an iteration.")
        for (labels, key), (one, index) in found.items():
            quartile = (one.values[index].low, one.values[index].high)[number]
            if key == TIME and quartile is not None:
                family.add_metric(labels, quartile)
        if family.samples:
            yield family


def _gauge(name: str, unit: str, about: str) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, about, labels=("machine", "benchmark"), unit=unit)


def _run_families(runs: Iterable[ExportedRun]) -> Iterator[Metric]:
    """Yield when the newest run of each machine began, and its versions as labels: join them by the machine."""
    from prometheus_client.core import GaugeMetricFamily

    newest: dict[str, ExportedRun] = {}
    for one in newest_first(list(runs)):
        newest.setdefault(_label(one.run.machine), one)
    started = GaugeMetricFamily("perfsuite_run_started_seconds", "When it began, since 1970.", labels=("machine",))
    places = ("torch", "CUDA", "driver", "commit")
    about = "Versions of the newest run; always 1."
    versions = GaugeMetricFamily(
        "perfsuite_run_versions", about, labels=("machine", *(name.lower() for name in places))
    )
    for machine, one in newest.items():
        if one.is_dated:
            started.add_metric((machine,), one.run.started_s)
        versions.add_metric((machine, *(_label(one.run.place.get(name, "")) for name in places)), 1)
    yield from (family for family in (started, versions) if family.samples)


def _label(text: str) -> str:
    """Return the value of a label without what breaks a line or acts on a terminal."""
    return distinct(printable(text), text)

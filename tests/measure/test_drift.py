from __future__ import annotations

import random

from perfsuite.measure.drift import DeviceHistory, drift_finding, few_times_finding
from perfsuite.measure.rounds import more_rounds
from perfsuite.records.telemetry import Telemetry


def limited(**shares: float) -> Telemetry:
    return Telemetry(
        num_samples=10, seconds=1.0, throttle_ratio={name.replace("_", " "): shares[name] for name in shares}
    )


def test_rounds_that_become_longer_are_told_and_scatter_is_not() -> None:
    generator = random.Random(5)  # noqa: S311 - nothing here is secret
    scattered = [0.1 * (1 + generator.gauss(0, 0.01)) for _ in range(30)]
    assert drift_finding(scattered, 0.005) is None
    rising = [0.1 * (1 + 0.002 * index) for index in range(30)]
    finding = drift_finding(rising, 0.005)
    assert finding is not None
    assert finding.startswith("the last third of the rounds took 4.0% more time than the first")
    assert drift_finding([1.0, 2.0], 0.005) is None


def test_few_times_that_are_apart_are_told_and_those_that_are_alike_are_not() -> None:
    assert few_times_finding([1.0, 1.01, 1.0, 1.01], 0.02, of="epochs") is None
    assert few_times_finding([1.0, 1.1] * 5, 0.02, of="epochs") is None  # enough to look for a drift
    apart = few_times_finding([1.0, 1.05, 1.06, 1.06], 0.02, of="epochs")
    assert apart == "times of the epochs are up to 6.0% apart, and 4 are too few to tell drift from scatter"
    one = few_times_finding([1.0], 0.02, of="epochs")
    assert one is not None
    assert one.startswith("only one of the epochs")


def test_a_gpu_that_heats_up_matters_only_while_its_clock_is_limited() -> None:
    history = DeviceHistory()
    for seconds in range(0, 40, 10):
        history.note_temperature(float(seconds), 50.0 + seconds / 5)
    assert history.heating_finding(limited()) is None
    finding = history.heating_finding(limited(power_cap=0.9))
    assert finding is not None
    assert "50 to 56 degrees Celsius in 30 s" in finding


def test_a_temperature_of_long_ago_is_forgotten() -> None:
    history = DeviceHistory()
    for seconds, celsius in ((0.0, 40.0), (100.0, 79.0), (150.0, 80.0)):
        history.note_temperature(seconds, celsius)
    assert history.heating_finding(limited(power_cap=1.0)) is None


class Stats(dict[str, object]):
    def update(self, duration: float) -> None:  # type: ignore[override]
        self["data"].append(duration / 2)  # type: ignore[attr-defined]


def test_rounds_go_on_until_their_mean_is_known_or_their_time_is_spent() -> None:
    time = 0.0
    durations = iter([0.5, 1.5] * 6 + [1.0] * 1000)

    def run() -> None:
        nonlocal time
        time += next(durations)

    def rounds(data: list[float], max_time_s: float) -> int:
        stats = Stats(iterations=2, data=data)
        more_rounds(run, stats, lambda: time, margin_ratio=0.01, confidence=0.99, max_time_s=max_time_s)
        return len(data)

    assert rounds([1.0] * 12, 100.0) == 12
    drifting = [1.0 + 0.05 * (index // 4) for index in range(12)]  # neighbours are alike
    assert rounds(list(drifting), 30.0) == 15

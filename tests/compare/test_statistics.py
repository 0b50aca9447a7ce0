"""Intervals of means, and who is best: what they hold, and what they say where there is little to say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from require import require

from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.comparison import Comparison, Cost, Result, Track
from denoise_wrapper.compare.statistics import (
    MOST,
    SHARE,
    Verdict,
    differences,
    mean_interval,
    paired_interval,
    verdicts,
)

NAN = math.nan


def draws(count: int, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).gamma(2.0, size=count)


def compared(measures: dict[str, dict[str, list[float]]], costs: dict[str, Cost] | None = None) -> Comparison:
    """A comparison of the values given: by result (the first is that of the noisy clips), measure and clip."""
    count = len(next(iter(next(iter(measures.values())).values())))
    clips = tuple(Clip(str(at), Path(f"{at}.wav"), None, float(at % 2), 16000, 16000) for at in range(count))
    results = [
        Result(
            name,
            name,
            tuple(
                Track(clip, None, {measure: of[at] for measure, of in values.items()}) for at, clip in enumerate(clips)
            ),
            cost=(costs or {}).get(name),
        )
        for name, values in measures.items()
    ]
    return Comparison(clips, tuple(results), "file", False, "2026-01-01T00:00:00+00:00", "a processor", ("set",))


def verdict(comparison: Comparison, measure: str, clips: list[int] | None = None) -> Verdict:
    (best,) = [verdict for verdict in verdicts(comparison, clips) if verdict.measure == measure]
    return best


@pytest.mark.parametrize("count", [5, 12, 30, 200])
def test_an_interval_is_that_of_another_bootstrap(count: int) -> None:
    stats = require("scipy.stats")
    values = draws(count)
    interval = mean_interval(values)
    other = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=7).confidence_interval
    assert interval.mean == pytest.approx(values.mean())
    assert interval.clips == count
    # Both are drawn: their ends differ by chance, by some hundredths of the width.
    close = 0.04 * (other.high - other.low)
    assert interval.low == pytest.approx(other.low, abs=close)
    assert interval.high == pytest.approx(other.high, abs=close)


@pytest.mark.parametrize(("count", "share"), [(2, 0.50), (5, 0.84), (10, 0.91), (30, 0.94)])
def test_the_true_mean_lies_in_as_many_intervals_as_is_said(count: int, share: float) -> None:
    trials, rng = 1000, np.random.default_rng(3)
    intervals = [mean_interval(rng.standard_normal(count)) for _ in range(trials)]
    held = sum(interval.low <= 0.0 <= interval.high for interval in intervals) / trials
    assert held == pytest.approx(share, abs=4.0 * math.sqrt(share * (1.0 - share) / trials))


def test_of_very_many_clips_the_interval_has_no_step() -> None:
    few, many = mean_interval(draws(MOST)), mean_interval(draws(MOST + 1))
    assert many.clips == MOST + 1
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.05)
    assert SHARE == 0.95  # as the number of standard deviations supposes


def test_an_interval_is_the_same_each_time() -> None:
    assert mean_interval(draws(9)) == mean_interval(draws(9))


def test_values_that_are_not_known_are_left_out() -> None:
    assert mean_interval([1.0, NAN, 2.0, 4.0, math.inf]) == mean_interval([1.0, 2.0, 4.0])


def test_of_equal_values_the_interval_is_that_value() -> None:
    interval = mean_interval([0.1] * 7)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.1, 0.1, 0.1), abs=1e-15)
    assert interval.apart
    assert not mean_interval([0.0] * 7).apart


@pytest.mark.parametrize(("values", "mean"), [([], NAN), ([NAN], NAN), ([3.0, NAN], 3.0)])
def test_of_less_than_two_clips_there_is_no_interval(values: list[float], mean: float) -> None:
    interval = mean_interval(values)
    assert interval.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert not interval.apart


def test_pairs_tell_apart_what_means_do_not() -> None:
    hard = 10.0 * draws(12)  # what the clips differ by
    first, second = hard + 0.5 + 0.1 * draws(12, 2), hard
    assert mean_interval(first).low < mean_interval(second).mean < mean_interval(first).high
    difference = paired_interval(first, second)
    assert difference.apart
    assert difference.low < 0.7 < difference.high
    assert paired_interval(second, first).mean == -difference.mean


def test_pairs_are_of_the_clips_that_both_have() -> None:
    assert paired_interval([1.0, 2.0, NAN, 4.0], [0.0, NAN, 1.0, 2.0]) == mean_interval([1.0, 2.0])


def test_differences_are_of_all_pairs_in_their_order() -> None:
    values = {"noisy": [1.0, 1.0, 2.0], "a": [2.0, 3.0, 3.0], "b": [1.0, 1.0, 1.0]}
    pairs = differences(compared({name: {"PESQ": of} for name, of in values.items()}), "PESQ")
    assert list(pairs) == [("noisy", "a"), ("noisy", "b"), ("a", "b")]
    assert pairs["a", "b"] == paired_interval(values["a"], values["b"])
    some = differences(compared({name: {"PESQ": of} for name, of in values.items()}), "PESQ", [0, 2])
    assert some["noisy", "a"] == mean_interval([-1.0, -1.0])


def test_the_best_is_told_with_its_lead_and_its_gain() -> None:
    comparison = compared({"noisy": {"PESQ": [1.0] * 5}, "a": {"PESQ": [2.0] * 5}, "b": {"PESQ": [2.5] * 5}})
    best = verdict(comparison, "PESQ")
    assert (best.best, best.second, best.alike, best.clips) == ("b", "a", (), 5)
    assert best.difference == mean_interval([0.5] * 5)
    assert best.gain == mean_interval([1.5] * 5)


def test_the_noisy_clips_are_no_candidate_but_may_be_better() -> None:
    best = verdict(compared({"noisy": {"STOI": [0.9] * 5}, "a": {"STOI": [0.8, 0.7, 0.8, 0.7, 0.8]}}), "STOI")
    assert (best.best, best.second, best.difference, best.alike) == ("a", None, None, ())
    assert best.gain is not None
    assert best.gain.high < 0.0


@pytest.mark.parametrize(("measure", "best"), [("PESQ", "b"), ("LFLSD", "a"), ("PAUSES", "a"), ("SPEECH", "a")])
def test_the_best_is_the_highest_the_lowest_or_the_nearest_to_zero(measure: str, best: str) -> None:
    comparison = compared({"noisy": {measure: [0.0] * 5}, "a": {measure: [-1.0] * 5}, "b": {measure: [2.0] * 5}})
    assert verdict(comparison, measure).best == best


def test_a_level_that_is_off_both_ways_is_not_at_zero() -> None:
    levels = {"noisy": [0.0] * 6, "steady": [-1.0] * 6, "wild": [5.0, -5.0] * 3}
    comparison = compared({name: {"SPEECH": of} for name, of in levels.items()})
    best = verdict(comparison, "SPEECH")
    assert (best.best, best.alike) == ("steady", ())
    assert best.difference == mean_interval([-4.0] * 6)
    assert differences(comparison, "SPEECH")["steady", "wild"] == best.difference


def test_who_is_not_told_apart_from_the_best_is_alike() -> None:
    even = {"noisy": [0.0] * 6, "a": [2.0, 3.0] * 3, "b": [3.1, 2.0] * 3, "c": [1.0, 1.1] * 3}
    best = verdict(compared({name: {"OVRL": of} for name, of in even.items()}), "OVRL")
    assert (best.best, best.second, best.alike) == ("b", "a", ("a",))


def test_a_difference_too_small_to_be_shown_is_none() -> None:
    values = [2.0 + 0.1 * number for number in range(10)]
    for more, alike in ((0.0004, ("b",)), (0.0006, ())):
        of = {"noisy": [1.0] * 10, "a": [value + more for value in values], "b": values}
        comparison = compared({name: {"PESQ": each} for name, each in of.items()})
        assert verdict(comparison, "PESQ").alike == alike
        assert differences(comparison, "PESQ")["a", "b"].apart is not bool(alike)


@pytest.mark.parametrize(("count", "alike"), [(1, ("a",)), (2, ("a",)), (4, ("a",)), (5, ())])
def test_on_few_clips_nobody_is_told_apart(count: int, alike: tuple[str, ...]) -> None:
    values = {"noisy": [1.0] * count, "a": [2.0] * count, "b": [3.0] * count}
    best = verdict(compared({name: {"PESQ": of} for name, of in values.items()}), "PESQ")
    assert (best.best, best.second, best.alike, best.clips) == ("b", "a", alike, count)
    assert best.difference is not None
    assert best.difference.mean == 1.0


def test_candidates_are_judged_on_the_clips_that_all_have() -> None:
    values = {"noisy": [1.0, 1.0, NAN], "a": [2.0, 2.0, 9.0], "b": [3.0, 3.0, NAN], "broken": [NAN] * 3}
    best = verdict(compared({name: {"PESQ": of} for name, of in values.items()}), "PESQ")
    assert (best.best, best.second, best.clips) == ("b", "a", 2)
    assert best.difference == mean_interval([1.0, 1.0])


def test_candidates_without_a_clip_in_common_have_no_best() -> None:
    best = verdict(
        compared({"noisy": {"PESQ": [1.0, 1.0]}, "a": {"PESQ": [2.0, NAN]}, "b": {"PESQ": [NAN, 3.0]}}), "PESQ"
    )
    assert (best.best, best.second, best.difference, best.clips) == (None, None, None, 0)


def test_a_verdict_may_be_of_some_clips() -> None:
    comparison = compared({"noisy": {"PESQ": [1.0] * 3}, "a": {"PESQ": [2.0, 2.0, 9.0]}, "b": {"PESQ": [3.0] * 3}})
    assert verdict(comparison, "PESQ").best == "a"
    assert verdict(comparison, "PESQ", [0, 1]).best == "b"


def test_what_has_no_value_or_no_better_way_has_no_verdict() -> None:
    values = {"PESQ": [1.0, 2.0], "RMS": [-20.0, -20.0], "HFLSD": [NAN, NAN]}
    best = verdicts(compared({"noisy": values, "a": values}))
    assert [verdict.measure for verdict in best] == ["PESQ"]


def test_a_comparison_without_a_candidate_has_no_verdicts() -> None:
    assert verdicts(compared({"noisy": {"PESQ": [1.0, 2.0]}})) == []


def test_costs_come_last_and_have_no_interval() -> None:
    values = {"PESQ": [1.0, 2.0]}
    comparison = compared(
        dict.fromkeys(("noisy", "a", "b", "c", "files"), values),
        {
            "a": Cost(latency_ms=10.0, memory_mb=5.0),
            "b": Cost(latency_ms=10.0, memory_mb=3.0),
            "c": Cost(latency_ms=24.0, memory_mb=4.0),
        },
    )
    quality, latency, memory = verdicts(comparison)
    assert quality.measure == "PESQ"
    assert latency == Verdict("latency_ms", "a", "b", None, None, ("b",), 0)
    assert memory == Verdict("memory_mb", "b", "c", None, None, (), 0)


@pytest.mark.fault
@pytest.mark.parametrize("count", [2, 3, 5, 7, 2000])
def test_a_mean_is_within_its_interval_though_rounding_puts_it_aside(count: int) -> None:
    for seed in range(200):
        interval = mean_interval([float(np.random.default_rng(seed).standard_normal())] * count)
        assert interval.low <= interval.mean <= interval.high
        assert interval.high - interval.low < 1e-12

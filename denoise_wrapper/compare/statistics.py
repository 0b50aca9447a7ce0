"""Statistics of a comparison: intervals of means from resampled clips, and who is best at what."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from denoise_wrapper.compare.comparison import MEASURES, Comparison, Result
from denoise_wrapper.compare.measure.measures import COSTS, HIGHER, NEITHER, QUALITY, ZERO, Measure

Float64 = NDArray[np.float64]

RESAMPLES = 10_000
SEED = 1
SHARE = 0.95  # of intervals that hold the true mean, were there clips without end to draw from
FEW = 5  # of fewer clips an interval is too short to tell anything apart, see `mean_interval`
MOST = 1000  # clips that are resampled; of more the means are as good as normally distributed
NORMAL = 1.959964  # standard deviations either way that hold 95 % of a normal distribution


@dataclass(frozen=True)
class Interval:
    """A mean over clips and the interval that holds it, in 95 of 100 cases. NaN: not known, of fewer than two.

    clips: how many it is the mean of. least: a mean of less, either way, makes no difference to anybody.
    """

    mean: float
    low: float
    high: float
    clips: int
    least: float = dataclasses.field(default=0.0, compare=False)

    @property
    def apart(self) -> bool:
        """True if the mean is told apart from zero, which is not in the interval; of fewer clips than FEW never."""
        return self.clips >= FEW and abs(self.mean) >= self.least and (self.low > 0.0 or self.high < 0.0)

    def __neg__(self) -> Interval:
        """The interval of the second minus the first."""
        return Interval(-self.mean, -self.high, -self.low, self.clips, self.least)


@dataclass(frozen=True)
class Verdict:
    """The candidate that is best at a measure or a cost. Differences have the unit of the measure.

    best, second: of the candidates (the noisy clips are none) that with the best mean, and the next, over the clips
    that all candidates have which have any; None where there is none. clips: how many these are.
    difference: best minus second, clip by clip; None without a second and for a cost. alike: candidates that are not
    told apart from the best, as the interval of the difference holds zero, it is too small to be shown, or clips are
    few; or of equal cost.
    gain: best minus the noisy clips, which may be better than any candidate; None if they have no value, and for a
    measure that is best at zero, which they have by themselves. Such a measure is compared by the distances from it.
    """

    measure: str
    best: str | None
    second: str | None
    difference: Interval | None
    gain: Interval | None
    alike: tuple[str, ...]
    clips: int


def mean_interval(values: ArrayLike) -> Interval:
    """The mean of a measure over clips, NaN left out, and how far it may be from that of other clips of their kind.

    The percentile bootstrap (Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979):
    clips are drawn with repetition, as many as there are, 10 000 times, and 95 % of the means lie in the interval.
    The draws are the same each time, for as many clips. Of few clips the interval is too short: of normally
    distributed values the true mean lies in 94 % of intervals of 30 clips, 91 % of 10, 84 % of 5, and 50 % of 2.
    """
    known = _known(values)
    count = len(known)
    if not count:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(known.mean())
    if count == 1:
        return Interval(mean, math.nan, math.nan, 1)
    if count > MOST:
        half = NORMAL * float(known.std()) / math.sqrt(count)
        return Interval(mean, mean - half, mean + half, count)
    # About the mean: if all values are alike, so are the means, to the last digit.
    off = _resamples(count) @ (known - mean)
    low, high = np.quantile(off, [0.5 - 0.5 * SHARE, 0.5 + 0.5 * SHARE])
    low, high = min(0.0, low), max(0.0, high)  # which rounding may turn, where all values are alike
    return Interval(mean, mean + float(low), mean + float(high), count)


def paired_interval(first: ArrayLike, second: ArrayLike, least: float = 0.0) -> Interval:
    """The mean difference, first minus second, and its interval, over the clips that both have: each (clips,).

    least: the smallest difference that matters.

    What a clip makes easy or hard for both drops out, so this tells apart what two intervals of means do not.
    """
    interval = mean_interval(np.asarray(first, np.float64) - np.asarray(second, np.float64))
    return dataclasses.replace(interval, least=least)


def ahead(difference: Interval, measure: Measure) -> Interval:
    """A difference so that more of it is better."""
    return difference if measure.better == HIGHER else -difference


def _known(values: ArrayLike) -> Float64:
    array = np.asarray(values, np.float64)
    return np.asarray(array[np.isfinite(array)])


@functools.lru_cache(maxsize=8)
def _resamples(count: int) -> Float64:
    """The share that each clip has in each mean of clips drawn with repetition: (RESAMPLES, count)."""
    drawn = np.random.default_rng(SEED).integers(count, size=(RESAMPLES, count))
    places = drawn + count * np.arange(RESAMPLES)[:, None]
    return np.bincount(places.ravel(), minlength=RESAMPLES * count).reshape(RESAMPLES, count) / count


def differences(
    comparison: Comparison, measure: str, clips: Sequence[int] | None = None
) -> dict[tuple[str, str], Interval]:
    """For each two results, in their order, the first's measure minus the second's over clips (None: all).

    Of a measure that is best at zero, that of the distances from it.
    """
    values = {result.name: _distances(result, measure, clips) for result in comparison.results}
    return {
        (first, second): paired_interval(values[first], values[second], QUALITY[measure].least)
        for first, second in itertools.combinations(values, 2)
    }


def _distances(result: Result, measure: str, clips: Sequence[int] | None) -> Float64:
    """The values of a measure; of one that is best at zero, how far they are from it."""
    values = result.values(measure)
    if clips is not None:
        values = values[list(clips)]
    return np.abs(values) if QUALITY[measure].better == ZERO else values


def verdicts(comparison: Comparison, clips: Sequence[int] | None = None) -> list[Verdict]:
    """Verdicts on each measure that has a better way and a value, over clips (None: all), then at each cost."""
    wanted = [measure for measure in MEASURES if QUALITY[measure].better != NEITHER]
    quality = [_verdict(comparison, measure, clips) for measure in wanted]
    return [verdict for verdict in (*quality, *(_cost_verdict(comparison, cost) for cost in COSTS)) if verdict]


def _verdict(comparison: Comparison, measure: str, clips: Sequence[int] | None) -> Verdict | None:
    known = {result.name: _distances(result, measure, clips) for result in comparison.candidates}
    known = {name: values for name, values in known.items() if np.isfinite(values).any()}
    if not known:
        return None
    common = np.isfinite(np.stack(list(known.values()))).all(axis=0)
    if not common.any():
        return Verdict(measure, None, None, None, None, (), 0)
    known = {name: values[common] for name, values in known.items()}
    best, *others = sorted(known, key=lambda name: QUALITY[measure].cost(float(known[name].mean())))
    least = QUALITY[measure].least
    leads = {name: paired_interval(known[best], known[name], least) for name in others}
    gain = paired_interval(known[best], _distances(comparison.noisy, measure, clips)[common], least)
    return Verdict(
        measure,
        best,
        others[0] if others else None,
        leads[others[0]] if others else None,
        gain if gain.clips and QUALITY[measure].better != ZERO else None,
        tuple(name for name in others if not leads[name].apart),
        int(common.sum()),
    )


def _cost_verdict(comparison: Comparison, cost: str) -> Verdict | None:
    costs = {result.name: getattr(result.cost, cost, math.nan) for result in comparison.candidates}
    costs = {name: value for name, value in costs.items() if not math.isnan(value)}
    if not costs:
        return None
    best, *others = sorted(costs, key=lambda name: COSTS[cost].cost(costs[name]))
    alike = tuple(name for name in others if costs[name] == costs[best])
    return Verdict(cost, best, others[0] if others else None, None, None, alike, 0)

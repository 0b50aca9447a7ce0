"""Results in plain sentences: numbers with their intervals, the best at each measure, and what stays open."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator

from denoise_wrapper.compare.comparison import Comparison, Result, Track
from denoise_wrapper.compare.headline import headline
from denoise_wrapper.compare.measure.measures import COSTS, QUALITY, Measure
from denoise_wrapper.compare.statistics import FEW, Interval, Verdict, ahead, mean_interval
from denoise_wrapper.wording import count, listed

MANY = 30  # clips from which intervals are about as wide as they should be
_COST_WORDS = {
    "latency_ms": "has the least latency", "load_ms": "opens fastest", "file_factor": "cleans files fastest",
    "buffer_factor": "cleans live buffers fastest", "memory_mb": "takes the least memory",
}  # fmt: skip


def number(value: float, measure: Measure, signed: bool = False) -> str:
    """A value with its unit, the minus as a minus."""
    unit = f"\u00a0{measure.unit}" if measure.unit else ""
    return digits(value, measure, signed) + unit


def digits(value: float, measure: Measure, signed: bool = False) -> str:
    """A value without its unit."""
    text = f"{value:{'+' if signed else ''}.{measure.digits}f}"
    return (text[1:] if float(text) == 0.0 and text[0] in "-+" else text).replace("-", "\u2212")


def bounds(interval: Interval, measure: Measure, signed: bool = False) -> str:
    """The ends of an interval, "1.234 to 1.345"; nothing if they are not known."""
    if math.isnan(interval.low):
        return ""
    return f"{digits(interval.low, measure, signed)} to {digits(interval.high, measure, signed)}"


def lead(difference: Interval | None, measure: Measure) -> str:
    """Say how much better or worse something is, with the interval; "" where there is nothing to compare with."""
    if difference is None:
        return ""
    measure, better = measure.of_differences, ahead(difference, measure)
    way = "better" if better.mean >= 0.0 else "worse"
    size = better if better.mean >= 0.0 else -better
    if math.isnan(better.low):
        return f"{number(size.mean, measure)} {way}, on {count(better.clips, 'clip')}"
    if not better.apart:
        return f"not told apart: {number(better.mean, measure, True)} ({bounds(better, measure, True)})"
    return f"{number(size.mean, measure)} {way} ({bounds(size, measure)})"


def sentences(comparison: Comparison, verdicts: list[Verdict]) -> list[tuple[str, str]]:
    """Sentences on the best candidates, their leads and what stays open: (subject, rest) each."""
    first = headline(comparison)
    quality = [verdict for verdict in verdicts if verdict.measure in QUALITY and verdict.best is not None]
    if not quality:
        return [("No verdict:", "no candidate could be measured; the reasons are below.")]
    lines = [("In short:", f"{first}.")] if first else []
    lines += _wins(quality)
    if len(comparison.results) == 2:
        lines += _alone(quality)
    if first and len(comparison.clips) < FEW:  # which it says: of so few, nothing is told apart from anything
        return [*lines, *_costs(comparison, verdicts)]
    return [*lines, *_ties(quality), *_no_gain(quality), *_costs(comparison, verdicts), *_doubts(comparison)]


def _wins(quality: list[Verdict]) -> Iterator[tuple[str, str]]:
    """Candidates that are best and told apart from all others, the one that wins most first."""
    wins: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for verdict in quality:
        if verdict.best is None or verdict.second is None or verdict.difference is None or verdict.alike:
            continue
        measure = QUALITY[verdict.measure].of_differences
        better = ahead(verdict.difference, measure)
        text = f"{measure.label} by {number(better.mean, measure)} ({bounds(better, measure)})"
        wins[verdict.best][verdict.second].append(text)
    for who, won in sorted(wins.items(), key=lambda item: -sum(map(len, item[1].values()))):
        yield who, f"is best at {'; at '.join(f'{listed(texts)} (than {second})' for second, texts in won.items())}."


def _ties(quality: list[Verdict]) -> Iterator[tuple[str, str]]:
    """Measures at which the best are not told apart, by the candidates in the tie."""
    by_whom: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for verdict in quality:
        if verdict.alike and verdict.best is not None:
            by_whom[verdict.best, *verdict.alike].append(QUALITY[verdict.measure].label)
    ties = [f"{listed(names)} at {listed(labels)}" for names, labels in by_whom.items()]
    if ties:
        yield "Not told apart", f"are {'; '.join(ties)}. Of each, the first has the best mean."


def _alone(quality: list[Verdict]) -> Iterator[tuple[str, str]]:
    """Gains of the only candidate."""
    gains = [f"{QUALITY[v.measure].label} {lead(v.gain, QUALITY[v.measure])}" for v in quality if v.gain is not None]
    if gains and quality[0].best is not None:
        yield quality[0].best, f"against the noisy clips: {'; '.join(gains)}."


def _no_gain(quality: list[Verdict]) -> Iterator[tuple[str, str]]:
    """Measures at which even the best is no better than the noisy clips."""
    same, worse = [], []
    for verdict in quality:
        measure = QUALITY[verdict.measure]
        if verdict.gain is None or math.isnan(verdict.gain.low):
            continue
        if not verdict.gain.apart:
            same.append(f"{measure.label} ({verdict.best})")
        elif ahead(verdict.gain, measure).mean < 0.0:
            worse.append(f"{measure.label} ({verdict.best}: {lead(verdict.gain, measure)})")
    if same:
        yield "No gain is certain", f"at {listed(same)}: even the best is not told apart from the noisy clips."
    if worse:
        yield "Worse than the noisy clips", f"is even the best at {listed(worse)}."


def _costs(comparison: Comparison, verdicts: list[Verdict]) -> Iterator[tuple[str, str]]:
    """Candidates that cost least, in one sentence, where more than one was measured."""
    parts = []
    for verdict in verdicts:
        if verdict.measure not in _COST_WORDS or verdict.second is None:
            continue
        result = next(result for result in comparison.results if result.name == verdict.best)
        value = getattr(result.cost, verdict.measure)
        shared = f", as {listed(verdict.alike)}" if verdict.alike else ""
        text = number(value, COSTS[verdict.measure])
        if verdict.measure.endswith("_factor"):
            text = f"{1.0 / value:.0f} times faster than real time" if value else text
        parts.append(f"{verdict.best} {_COST_WORDS[verdict.measure]} ({text}{shared})")
    if parts:
        yield "Cost:", f"{'; '.join(parts)}."


def _doubts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    clips = len(comparison.clips)
    if clips < FEW:
        yield (
            "A caution:",
            f"{count(clips, 'clip')} can tell nothing apart; it takes {FEW} at least, and {MANY} tell more.",
        )
    elif clips < MANY:
        yield "A caution:", f"of as few as {clips} clips the intervals are a little too short."


def why_missing(result: Result, name: str, places: Iterable[int]) -> str:
    """Reasons why a result has no value of a measure on these clips, or that it does not apply."""
    reasons = {reason: None for at in places if (reason := _why(result.tracks[at], name))}
    return "; ".join(reasons) or "does not apply"


def _why(track: Track, name: str) -> str | None:
    return track.error or track.reasons.get(name)


def mean_of(comparison: Comparison, result: Result, name: str, places: list[int] | None = None) -> Interval:
    """The mean of a measure over clips (None: all), with its interval."""
    values = result.values(name)
    return mean_interval(values if places is None else values[places])

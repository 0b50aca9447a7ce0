"""What a comparison found, as a table for people, as CSV and as plain values for JSON."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from denoise_wrapper import __version__
from denoise_wrapper.compare.comparison import MEASURES, Comparison, Result, Track
from denoise_wrapper.compare.measures import COSTS, LOWER, QUALITY, Measure
from denoise_wrapper.compare.statistics import FEW, Interval, Verdict, ahead, differences, mean_interval, verdicts
from denoise_wrapper.compare.tables import DASH, SHOWN
from denoise_wrapper.compare.wording import count, listed

CSV_COLUMNS = (
    "kind", "candidate", "against", "clip", "snr_db", "group", "measure", "unit", "value", "low", "high", "clips",
    "note",
)  # fmt: skip
# What is told of a track and of a candidate beside their measures.
OF_TRACKS = {"delay_ms": "ms", "extra": "frames", "gain_db": "dB", "loudness_db": "dB"}
DELAY = Measure("delay", "ms", 1, LOWER, "by which the results lag, taken away before they are measured")


def format_table(comparison: Comparison) -> str:
    """The candidates' means over the clips, then what they cost, then who is best at what, then what went wrong."""
    candidates = comparison.results[1:]
    how = "by a live stream" if comparison.mode == "stream" else "as whole files"
    matched = ", made equally loud" if comparison.level_matched else ""
    clips = count(len(comparison.clips), "clip")
    lines = [f"{count(len(candidates), 'candidate')} on {clips}, cleaned {how}{matched}; means:"]
    lines += _rows(QUALITY, {result.name: _means(comparison, result) for result in comparison.results})
    costs = {result.name: _costs(result) for result in candidates if not result.error}
    if costs:
        lines += ["", f"costs, on one thread of {comparison.processor}:"]
        lines += _rows({"delay": DELAY} | {cost.label: cost for cost in COSTS.values()}, costs)
    found = verdicts(comparison)
    if found:
        lines += ["", *(_verdict_line(comparison, verdict) for verdict in found)]
    wrong = list(problems(comparison))
    return "\n".join([*lines, "", *wrong] if wrong else lines)


def _means(comparison: Comparison, result: Result) -> dict[str, float]:
    return {measure: comparison.mean(result, measure) for measure in MEASURES}


def _costs(result: Result) -> dict[str, float]:
    costs = {} if result.cost is None else {measure.label: _cost(result, name) for name, measure in COSTS.items()}
    return {"delay": result.delay_ms, **costs}


def _cost(result: Result, name: str) -> float:
    return math.nan if result.cost is None else float(getattr(result.cost, name))


def _rows(measures: Mapping[str, Measure], values: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A line of headings, one of units if any has one, one for each name; columns without a value are left out."""
    columns = [[""] * 2 + list(values)]
    for heading, measure in measures.items():
        column = [row.get(heading, math.nan) for row in values.values()]
        if not all(map(math.isnan, column)):
            columns.append([heading, measure.unit, *(_number(value, measure) for value in column)])
    widths = [max(map(len, column)) for column in columns]
    names = [name.ljust(widths[0]) for name in columns[0]]
    cells = [[cell.rjust(width) for cell in column] for column, width in zip(columns[1:], widths[1:], strict=True)]
    lines = ["  ".join(row).rstrip() for row in zip(names, *cells, strict=True)]
    return [line for line in lines if line]


def _number(value: float, measure: Measure) -> str:
    return DASH if math.isnan(value) else f"{round(value, measure.digits) + 0.0:.{measure.digits}f}"


def _verdict_line(comparison: Comparison, verdict: Verdict) -> str:
    """Who is best and by how much, in words: "PESQ: a, by 0.031 [0.010, 0.052] before b"."""
    if verdict.measure in COSTS:
        return _cost_line(comparison, verdict)
    measure = QUALITY[verdict.measure]
    if verdict.best is None:
        return f"{measure.label}: no clip was measured for all candidates"
    text = f"{measure.label}: {verdict.best}"
    if verdict.difference is not None:
        text += f", by {_lead(ahead(verdict.difference, measure), measure)} before {verdict.second}"
    if verdict.clips < FEW:
        few = count(verdict.clips, "clip")
        return f"{text}; {few} {'is' if verdict.clips == 1 else 'are'} too few to tell"
    gain = verdict.gain and ahead(verdict.gain, measure)
    alike = [*verdict.alike, *(["the noisy clips"] if gain and not gain.apart else [])]
    if alike:
        text += f"; not told apart from {listed(alike)}"
    if gain and gain.apart and gain.mean < 0.0:
        text += f"; worse than the noisy clips, by {_lead(-gain, measure)}"
    return text


def _lead(lead: Interval, measure: Measure) -> str:
    """By how much something is better, with the interval and the unit."""
    ends = "" if math.isnan(lead.low) else f" [{_number(lead.low, measure)}, {_number(lead.high, measure)}]"
    return f"{_number(lead.mean, measure)}{ends} {measure.of_differences.unit}".rstrip()


def _cost_line(comparison: Comparison, verdict: Verdict) -> str:
    measure = COSTS[verdict.measure]
    costs = {result.name: _cost(result, verdict.measure) for result in comparison.results}

    def told(name: str) -> str:
        return f"{_number(costs[name], measure)} {measure.unit}".rstrip()

    assert verdict.best is not None
    best = ", ".join([verdict.best, *verdict.alike])
    after = "" if verdict.second is None or verdict.alike else f"; next {verdict.second}, {told(verdict.second)}"
    return f"{measure.label}: {best}, {told(verdict.best)}{after}"


def problems(comparison: Comparison) -> Iterator[str]:
    """What `Comparison.problems` tells, alike ones in one line."""
    yield from comparison.skipped
    where: dict[str, list[str]] = defaultdict(list)
    for clip in comparison.clips:
        if clip.problem:
            where[clip.problem].append(clip.id)
    for result in comparison.results:
        if result.error:
            where[result.error].append(result.name)
            continue
        if result.cost is not None and result.cost.error:
            where[f"its cost was not measured: {result.cost.error}"].append(result.name)
        for track in result.tracks:
            for problem in track_problems(track):
                where[problem].append(f"{result.name} on {track.clip.id}")
    for problem, names in where.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"{', '.join(names[:SHOWN])}{more}: {problem}"


def track_problems(track: Track) -> Iterator[str]:
    """What is wrong with one track, in words, and which measures it has not: a line for each reason."""
    yield from track.problems
    if track.error:
        yield track.error
    missing: dict[str, list[str]] = defaultdict(list)
    for measure, reason in track.reasons.items():
        if reason != track.clip.problem:
            missing[reason].append(QUALITY[measure].label)
    yield from (f"no {', '.join(labels)}: {reason}" for reason, labels in missing.items())


def write_csv(comparison: Comparison, file: TextIO) -> None:
    """A row for each value, by its kind; what is not known, or does not apply, stays empty.

    "clip": a measure of what a candidate made of a clip, and its delay, extra frames and gains. "mean": of a measure
    over the clips of a group, "0 dB" or "all", with the interval and how many clips it is of. "difference": the paired
    one of two candidates, the first minus the other, as `differences` has it. "cost": of a candidate.
    note: why a value is missing, or what is wrong with it.
    """
    writer = csv.DictWriter(file, CSV_COLUMNS)
    writer.writeheader()
    writer.writerows(_csv_rows(comparison))


def _csv_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for result in comparison.results:
        for track in result.tracks:
            yield from _track_rows(result, track)
    for group, places in comparison.groups().items():
        for result in comparison.results:
            for measure, interval in _intervals(result, places).items():
                head = {"kind": "mean", "candidate": result.name, "group": group}
                yield {**head, **_csv_measure(measure), **_csv_interval(interval)}
    for group, places in comparison.groups().items():
        for measure, first, second, interval in _differences(comparison, places):
            head = {"kind": "difference", "candidate": first, "against": second, "group": group}
            unit = QUALITY[measure].of_differences.unit
            yield {**head, "measure": measure, "unit": unit, **_csv_interval(interval)}
    for result in comparison.results[1:]:
        head = {"kind": "cost", "candidate": result.name}
        delay = "" if result.error else _csv_value(result.delay_ms)
        yield {**head, "measure": "delay_ms", "unit": DELAY.unit, "value": delay, "note": result.error}
        for name, cost in COSTS.items() if result.cost is not None else ():
            value, note = _csv_value(_cost(result, name)), result.cost.error if result.cost else ""
            yield {**head, "measure": name, "unit": cost.unit, "value": value, "note": note}


def _track_rows(result: Result, track: Track) -> Iterator[dict[str, Any]]:
    ratio = "" if track.clip.snr_db is None else f"{track.clip.snr_db:g}"
    head = {"kind": "clip", "candidate": result.name, "clip": track.clip.id, "snr_db": ratio}
    for measure in MEASURES:
        note = track.error or track.reasons.get(measure, "")
        yield {**head, **_csv_measure(measure), "value": _csv_value(track.value(measure)), "note": note}
    for name, unit in OF_TRACKS.items():
        value = "" if track.error else _csv_value(getattr(track, name))
        note = "; ".join(track.problems) if name == "extra" else ""
        yield {**head, "measure": name, "unit": unit, "value": value, "note": note}


def _csv_measure(measure: str) -> dict[str, str]:
    return {"measure": measure, "unit": QUALITY[measure].unit}


def _csv_interval(interval: Interval) -> dict[str, Any]:
    ends = {"value": interval.mean, "low": interval.low, "high": interval.high}
    return {**{name: _csv_value(value) for name, value in ends.items()}, "clips": interval.clips}


def _csv_value(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _intervals(result: Result, places: Sequence[int]) -> dict[str, Interval]:
    """The mean of each measure that has a value, over some clips."""
    found = {measure: mean_interval(result.values(measure)[list(places)]) for measure in MEASURES}
    return {measure: interval for measure, interval in found.items() if interval.clips}


def _differences(comparison: Comparison, places: Sequence[int]) -> Iterator[tuple[str, str, str, Interval]]:
    """(measure, first, second, interval) of all that can be told."""
    for measure in MEASURES:
        for (first, second), interval in differences(comparison, measure, places).items():
            if interval.clips:
                yield measure, first, second, interval


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """All of it as JSON can hold it: null for what is not known, six digits; the tracks' files are not named."""
    groups = comparison.groups()
    names = ("version", "date", "processor", "mode", "level_matched", "inputs", "skipped")
    known = {**vars(comparison), "version": __version__}
    return {
        **{name: _plain(known[name]) for name in names},
        "measures": _plain({name: dataclasses.asdict(measure) for name, measure in {**QUALITY, **COSTS}.items()}),
        "clips": [_plain({**vars(clip), "seconds": clip.seconds}) for clip in comparison.clips],
        "results": [_result_dict(result) for result in comparison.results],
        "groups": {name: [comparison.clips[at].id for at in places] for name, places in groups.items()},
        "means": {
            name: {result.name: _interval_dicts(_intervals(result, places)) for result in comparison.results}
            for name, places in groups.items()
        },
        "differences": {
            name: [
                {"measure": measure, "first": first, "second": second, **_plain(vars(interval))}
                for measure, first, second, interval in _differences(comparison, places)
            ]
            for name, places in groups.items()
        },
        "verdicts": [_plain(dataclasses.asdict(verdict)) for verdict in verdicts(comparison)],
        "problems": list(comparison.problems()),
    }


def _result_dict(result: Result) -> dict[str, Any]:
    left_out = ("tracks", "cost")
    return {
        **{name: _plain(value) for name, value in vars(result).items() if name not in left_out},
        "cost": None if result.cost is None else _plain(vars(result.cost)),
        "tracks": [
            {
                "clip": track.clip.id,
                **{
                    name: _plain(value)
                    for name, value in vars(track).items()
                    if name not in ("clip", "audio", "values")
                },
                "values": {measure: _plain(track.value(measure)) for measure in MEASURES},
            }
            for track in result.tracks
        ],
    }


def _interval_dicts(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {measure: _plain(vars(interval)) for measure, interval in intervals.items()}


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, Iterable) and not isinstance(value, str) else value

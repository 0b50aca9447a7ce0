"""Numbers of a comparison, a set or a behaviour as CSV, and as plain values for JSON."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from denoise_wrapper import __version__
from denoise_wrapper.compare.behaviour import FIGURES, Behaviour
from denoise_wrapper.compare.comparison import MEASURES, Comparison, Result, Track
from denoise_wrapper.compare.measure.measures import COSTS, QUALITY
from denoise_wrapper.compare.statistics import Interval, differences, mean_interval, verdicts
from denoise_wrapper.compare.tables import DELAY, cost_of
from denoise_wrapper.wording import visible

VALUE_COLUMNS = (
    "kind", "candidate", "against", "clip", "snr_db", "group", "measure", "unit", "value", "low", "high", "clips",
    "note",
)  # fmt: skip
CLIP_COLUMNS = ("set", "name", "clip", "snr_db", *MEASURES, "delay_ms", "lost_samples", "not_measured")
BEHAVIOUR_COLUMNS = ("set", "name", "clip", "figure", "value", "bar", "met", "not_measured")
OF_TRACKS = {"delay_ms": "ms", "extra": "frames", "gain_db": "dB", "loudness_db": "dB"}  # beside their measures


def write_values(comparison: Comparison, file: TextIO) -> None:
    """Write a row for each value, by its kind; what is not known, or does not apply, stays empty.

    "clip": a measure of what a candidate made of a clip, and its delay, extra frames and gains. "mean": of a measure
    over the clips of a group, "0 dB" or "all", with the interval and how many clips it is of. "difference": the paired
    one of two candidates, the first minus the other, as `differences` has it. "cost": of a candidate.
    note: why a value is missing, or what is wrong with it.
    """
    writer = csv.writer(file)
    writer.writerow(VALUE_COLUMNS)
    writer.writerows(_cells(row.get(column) for column in VALUE_COLUMNS) for row in _value_rows(comparison))


def _cells(row: Iterable[Any]) -> list[Any]:
    """Cells of a table, whose texts may hold the name of a file, which need not be text."""
    return [visible(cell, keep="\n") if isinstance(cell, str) else cell for cell in row]


def _value_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for result in comparison.results:
        for track in result.tracks:
            yield from _track_rows(result, track)
    for group, places in comparison.groups().items():
        for result in comparison.results:
            for measure, interval in _intervals(result, places).items():
                head = {"kind": "mean", "candidate": result.name, "group": group}
                yield {**head, **_measure_cells(measure), **_interval_cells(interval)}
    for group, places in comparison.groups().items():
        for measure, first, second, interval in _differences(comparison, places):
            head = {"kind": "difference", "candidate": first, "against": second, "group": group}
            unit = QUALITY[measure].of_differences.unit
            yield {**head, "measure": measure, "unit": unit, **_interval_cells(interval)}
    for result in comparison.candidates:
        head = {"kind": "cost", "candidate": result.name}
        delay = "" if result.error else _value_cell(result.delay_ms)
        yield {**head, "measure": "delay_ms", "unit": DELAY.unit, "value": delay, "note": result.error}
        for name, cost in COSTS.items() if result.cost is not None else ():
            value, note = _value_cell(cost_of(result, name)), result.cost.error if result.cost else ""
            yield {**head, "measure": name, "unit": cost.unit, "value": value, "note": note}


def _track_rows(result: Result, track: Track) -> Iterator[dict[str, Any]]:
    head = {"kind": "clip", "candidate": result.name, "clip": track.clip.id, "snr_db": _ratio_cell(track)}
    for measure in MEASURES:
        note = track.error or track.reasons.get(measure, "")
        yield {**head, **_measure_cells(measure), "value": _value_cell(track.value(measure)), "note": note}
    for name, unit in OF_TRACKS.items():
        value = "" if track.error else _value_cell(getattr(track, name))
        note = "; ".join(track.problems) if name == "extra" else ""
        yield {**head, "measure": name, "unit": unit, "value": value, "note": note}


def _ratio_cell(track: Track) -> str:
    return "" if track.clip.snr_db is None else f"{track.clip.snr_db:g}"


def _measure_cells(measure: str) -> dict[str, str]:
    return {"measure": measure, "unit": QUALITY[measure].unit}


def _interval_cells(interval: Interval) -> dict[str, Any]:
    ends = {"value": interval.mean, "low": interval.low, "high": interval.high}
    return {**{name: _value_cell(value) for name, value in ends.items()}, "clips": interval.clips}


def _value_cell(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _intervals(result: Result, places: Sequence[int]) -> dict[str, Interval]:
    """The mean of each measure that has a value, over some clips."""
    means = {measure: mean_interval(result.values(measure)[list(places)]) for measure in MEASURES}
    return {measure: interval for measure, interval in means.items() if interval.clips}


def _differences(comparison: Comparison, places: Sequence[int]) -> Iterator[tuple[str, str, str, Interval]]:
    """(measure, first, second, interval) of all that have a value."""
    for measure in MEASURES:
        for (first, second), interval in differences(comparison, measure, places).items():
            if interval.clips:
                yield measure, first, second, interval


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """A comparison as JSON can hold it: null for what is not known, six digits; the tracks' files are not named."""
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
        "differences": _difference_dicts(comparison),
        "verdicts": [_plain(dataclasses.asdict(verdict)) for verdict in verdicts(comparison)],
        "problems": list(comparison.problems()),
    }


def _result_dict(result: Result) -> dict[str, Any]:
    return {
        **{name: _plain(value) for name, value in vars(result).items() if name not in ("tracks", "cost")},
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


def _difference_dicts(comparison: Comparison) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [
            {"measure": measure, "first": first, "second": second, **_plain(vars(interval))}
            for measure, first, second, interval in _differences(comparison, places)
        ]
        for name, places in comparison.groups().items()
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


# A set: a row a clip.


def write_clips(comparison: Comparison, file: TextIO) -> None:
    """Write a row for each clip of each result, then one for each mean; what is not known stays empty.

    The column clip of a mean is "mean of 0 dB", or "mean" of all clips.
    """
    writer = csv.writer(file)
    writer.writerow(CLIP_COLUMNS)
    for result in comparison.results:
        writer.writerows(map(_cells, _clip_rows(comparison, result)))


def _clip_rows(comparison: Comparison, result: Result) -> Iterator[list[Any]]:
    head = [Path(comparison.inputs[0]).resolve().name, result.name]
    for track in result.tracks:
        values = [_fixed_cell(track.value(measure)) for measure in MEASURES]
        delay = "" if track.delay_ms is None else f"{track.delay_ms:.4g}"
        reasons = track.error or "; ".join(f"{measure}: {reason}" for measure, reason in track.reasons.items())
        lost = "" if track.lost is None else track.lost
        yield [*head, track.clip.id, _ratio_cell(track), *values, delay, lost, reasons]
    for name, places in comparison.groups().items():
        ratio, clip = ("", "mean") if name == "all" else (name.removesuffix(" dB"), f"mean of {name}")
        values = [_fixed_cell(comparison.mean(result, measure, places)) for measure in MEASURES]
        yield [*head, clip, ratio, *values, "", "", ""]


def _fixed_cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def set_to_dict(comparison: Comparison) -> dict[str, Any]:
    """The first result on a set as JSON can hold it; of two the second is in "against", and "differences" are of both.

    null for what is not known, six digits after the point. More would be no digits to rely on: sums of floats come out
    one way or another with their place in memory.
    """
    first, *others = (_set_result(comparison, result) for result in comparison.results)
    return {**first, **({"against": others[0], "differences": _difference_dicts(comparison)} if others else {})}


def _set_result(comparison: Comparison, result: Result) -> dict[str, Any]:
    return {
        **_head(comparison.inputs[0], result),
        "delay_ms": result.delay_ms,
        "means": {
            "mean" if name == "all" else name: _rounded({m: comparison.mean(result, m, places) for m in MEASURES})
            for name, places in comparison.groups().items()
        },
        "clips": [
            {
                "id": track.clip.id,
                "snr_db": track.clip.snr_db,
                **_rounded({measure: track.value(measure) for measure in MEASURES}),
                "delay_ms": track.delay_ms,
                "lost_samples": track.lost,
                "error": track.error,
                "not_measured": track.reasons,
            }
            for track in result.tracks
        ],
    }


def _head(folder: str | Path, result: Result | Behaviour) -> dict[str, Any]:
    """The set, the denoiser's name, its model and its settings."""
    return {
        "version": __version__,
        "set": str(Path(folder)),
        "name": result.name,
        "model_sha256": result.model_sha256,
        "settings": _plain(result.settings),
    }


def _rounded(row: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 6) for name, value in row.items()}


# A behaviour.


def write_behaviour(result: Behaviour, file: TextIO) -> None:
    """Write a row for each value of each clip, each onset one, then for each figure; what is not known stays empty."""
    writer = csv.writer(file)
    writer.writerow(BEHAVIOUR_COLUMNS)
    head = [result.folder.resolve().name, result.name]
    for clip in result.clips:
        values = [*clip.values.items(), *(("onset_db", float(change)) for change in clip.onsets_db)]
        rows = [[*head, clip.clip.id, name, _fixed_cell(value), "", "", ""] for name, value in values]
        if clip.error:
            rows.append([*head, clip.clip.id, "", "", "", "", clip.error])
        writer.writerows(map(_cells, rows))
    for name, value in result.figures.items():
        bar, met = FIGURES[name].bar, FIGURES[name].met(value)
        cells = ["" if bar is None else bar, "" if met is None else str(met).lower()]
        writer.writerow([*head, "", name, _fixed_cell(value), *cells, ""])


def behaviour_to_dict(result: Behaviour) -> dict[str, Any]:
    """A behaviour as JSON can hold it, as `set_to_dict` does."""
    return {
        **_head(result.folder, result),
        "figures": _rounded(result.figures),
        "bars": {
            name: {"bar": figure.bar, "least": figure.least, "met": figure.met(result.figures[name])}
            for name, figure in FIGURES.items()
            if figure.bar is not None
        },
        "clips": [
            {
                "id": clip.clip.id,
                **_rounded(clip.values),
                "onsets_db": [round(float(change), 6) for change in clip.onsets_db],
                "noisy_onsets_db": [round(float(change), 6) for change in clip.noisy_onsets_db],
                "error": clip.error,
            }
            for clip in result.clips
        ],
    }

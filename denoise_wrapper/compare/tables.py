"""What was measured on a set, as a table for people, as CSV and as plain values for JSON."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, TextIO

from denoise_wrapper import __version__
from denoise_wrapper.compare.behaviour import FIGURES, Behaviour, ClipBehaviour
from denoise_wrapper.compare.evaluate import ClipResult, Evaluation
from denoise_wrapper.compare.measure.metrics import METRICS, RATE

BEHAVIOUR_COLUMNS = ("set", "name", "clip", "figure", "value", "bar", "met", "not_measured")
CSV_COLUMNS = ("set", "name", "clip", "snr_db", *METRICS, "delay_ms", "lost_samples", "not_measured")
SHOWN = 6  # clips named in a note
DASH = "-"


def format_table(result: Evaluation, each_clip: bool = False) -> str:
    """A line about the set, one of headings, one for each mean (before them for each clip if so asked), and notes."""
    lost = max((clip.measures.lost for clip in result.clips if clip.measures is not None), default=0)
    tail = f", {1000 * lost / RATE:.1f} ms lost at the end of one" if lost else ""
    head = f"{result.name} on {result.folder}: {len(result.clips)} clips, delay {result.delay_ms:.1f} ms{tail}"
    rows = result.means()
    if each_clip:
        rows = {**{clip.clip.id: {name: clip.value(name) for name in METRICS} for clip in result.clips}, **rows}
    width = max(6, *(len(name) for name in rows))
    lines = [head, " " * width + "".join(f"{name:>8}" for name in METRICS)]
    lines += [f"{name:<{width}}" + "".join(_cell(row[metric]) for metric in METRICS) for name, row in rows.items()]
    return "\n".join([*lines, *_notes(result)])


def _cell(value: float) -> str:
    return f"{DASH if math.isnan(value) else format(value, '.3f'):>8}"


def _notes(result: Evaluation) -> Iterator[str]:
    """Why some metrics of some clips are not in the means, alike ones in one line."""
    clips: dict[tuple[str, str], list[str]] = defaultdict(list)
    for clip in result.clips:
        reasons: dict[str, list[str]] = defaultdict(list)
        for metric, reason in ({"all": clip.error} if clip.error else _reasons(clip)).items():
            reasons[reason].append(metric)
        for reason, metrics in reasons.items():
            clips[", ".join(metrics), reason].append(clip.clip.id)
    for (listed, reason), names in clips.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"not measured, {listed} of {', '.join(names[:SHOWN])}{more}: {reason}"


def _reasons(clip: ClipResult) -> dict[str, str]:
    return {} if clip.measures is None else clip.measures.reasons


def write_csv(result: Evaluation, file: TextIO, *others: Evaluation) -> None:
    """A row for each clip, then one for each mean, whose name is in the column clip; what is not known stays empty.

    others: evaluations whose rows come after these.
    """
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for evaluation in (result, *others):
        writer.writerows(_csv_rows(evaluation))


def _csv_rows(result: Evaluation) -> Iterator[list[Any]]:
    head = [result.folder.resolve().name, result.name]
    for clip in result.clips:
        values = [_csv_value(clip.value(metric)) for metric in METRICS]
        delay = "" if clip.delay is None else f"{1000 * clip.delay / RATE:.4g}"
        lost = "" if clip.measures is None else clip.measures.lost
        reasons = clip.error or "; ".join(f"{metric}: {reason}" for metric, reason in _reasons(clip).items())
        ratio = "" if clip.clip.snr_db is None else f"{clip.clip.snr_db:g}"
        yield [*head, clip.clip.id, ratio, *values, delay, lost, reasons]
    for name, row in result.means().items():
        ratio = name.removesuffix(" dB") if name != "mean" else ""
        values = [_csv_value(row[metric]) for metric in METRICS]
        yield [*head, "mean" if name == "mean" else f"mean of {name}", ratio, *values, "", "", ""]


def _csv_value(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _json_head(result: Evaluation | Behaviour) -> dict[str, Any]:
    """What was measured, and of what."""
    return {
        "version": __version__,
        "set": str(result.folder),
        "name": result.name,
        "model_sha256": result.model_sha256,
        "settings": _json_settings(result.settings),
    }


def to_dict(result: Evaluation) -> dict[str, Any]:
    """All of it as JSON can hold it: null for what is not known, six digits after the point.

    More would be no digits to rely on: sums of floats come out one way or another with their place in memory.
    """
    return {
        **_json_head(result),
        "delay_ms": result.delay_ms,
        "means": {name: _json_values(row) for name, row in result.means().items()},
        "clips": [
            {
                "id": clip.clip.id,
                "snr_db": clip.clip.snr_db,
                **_json_values({metric: clip.value(metric) for metric in METRICS}),
                "delay_ms": None if clip.delay is None else 1000 * clip.delay / RATE,
                "lost_samples": None if clip.measures is None else clip.measures.lost,
                "error": clip.error,
                "not_measured": _reasons(clip),
            }
            for clip in result.clips
        ],
    }


def _json_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """No limit at all is null there too."""
    return {name: None if value == math.inf else value for name, value in settings.items()}


def _json_values(row: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 6) for name, value in row.items()}


def format_behaviour(result: Behaviour, each_clip: bool = False) -> str:
    """A line about the set, one for each figure with its bar (before them for each clip if so asked), and notes."""
    lines = [f"{result.name} on {result.folder}: {len(result.clips)} clips"]
    for clip in result.clips if each_clip else ():
        values = ", ".join(f"{name} {_cell(value).strip()}" for name, value in clip.values.items())
        onsets = " ".join(f"{change:.1f}" for change in clip.onsets_db) or DASH
        lines.append(f"{clip.clip.id}: {values}, onsets (dB) {onsets}")
    for name, value in result.figures.items():
        figure = FIGURES[name]
        bar = "" if figure.bar is None else f"{'>=' if figure.least else '<='} {figure.bar:g}"
        missed = "  MISSED" if figure.met(value) is False else ""
        lines.append(f"{name:<16}{_cell(value)}  {bar:<8}{figure.what}{missed}")
    return "\n".join([*lines, *(f"not measured, all of {clip.clip.id}: {clip.error}" for clip in _unmeasured(result))])


def _unmeasured(result: Behaviour) -> list[ClipBehaviour]:
    return [clip for clip in result.clips if clip.error]


def write_behaviour_csv(result: Behaviour, file: TextIO) -> None:
    """A row for each value of each clip, each onset one, then for each figure; what is not known stays empty."""
    writer = csv.writer(file)
    writer.writerow(BEHAVIOUR_COLUMNS)
    head = [result.folder.resolve().name, result.name]
    for clip in result.clips:
        values = [*clip.values.items(), *(("onset_db", float(change)) for change in clip.onsets_db)]
        writer.writerows([*head, clip.clip.id, name, _csv_value(value), "", "", ""] for name, value in values)
        if clip.error:
            writer.writerow([*head, clip.clip.id, "", "", "", "", clip.error])
    for name, value in result.figures.items():
        bar, met = FIGURES[name].bar, FIGURES[name].met(value)
        writer.writerow(
            [
                *head,
                "",
                name,
                _csv_value(value),
                "" if bar is None else bar,
                "" if met is None else str(met).lower(),
                "",
            ]
        )


def behaviour_to_dict(result: Behaviour) -> dict[str, Any]:
    """All of it as JSON can hold it, as `to_dict` does."""
    return {
        **_json_head(result),
        "figures": _json_values(result.figures),
        "bars": {
            name: {"bar": figure.bar, "least": figure.least, "met": figure.met(result.figures[name])}
            for name, figure in FIGURES.items()
            if figure.bar is not None
        },
        "clips": [
            {
                "id": clip.clip.id,
                **_json_values(clip.values),
                "onsets_db": [round(float(change), 6) for change in clip.onsets_db],
                "noisy_onsets_db": [round(float(change), 6) for change in clip.noisy_onsets_db],
                "error": clip.error,
            }
            for clip in result.clips
        ],
    }

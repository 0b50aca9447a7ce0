"""Tables for people: a comparison with its verdicts, a set with its means, a denoiser's behaviour with its bars."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from denoise_wrapper.compare.behaviour import FIGURES, Behaviour
from denoise_wrapper.compare.comparison import MEASURES, Comparison, Result
from denoise_wrapper.compare.headline import headline
from denoise_wrapper.compare.measure.measures import COSTS, HIGHER, LOWER, NEITHER, QUALITY, ZERO, Measure
from denoise_wrapper.compare.measure.metrics import METRICS, RATE
from denoise_wrapper.compare.statistics import FEW, Interval, Verdict, ahead, paired_interval, verdicts
from denoise_wrapper.wording import count, few, listed

OF_SETS = (*METRICS, "SPEECH")  # measures in the table of a set
SHOWN = 6  # clips named in a line about what went wrong
LEAST = 1e-5  # that is better: sums of floats come out one way or another with their place in memory
DASH = "-"
ARROWS = {HIGHER: " ↑", LOWER: " ↓", ZERO: " →0", NEITHER: ""}
DELAY = Measure("lag", "ms", 1, LOWER, "by which the results lag, taken away before they are measured")


def format_comparison(comparison: Comparison) -> str:
    """The candidates' means over the clips, then what they cost, then who is best at what, then what went wrong."""
    candidates = comparison.candidates
    how = "by a live stream" if comparison.mode == "stream" else "as whole files"
    matched = ", made equally loud" if comparison.level_matched else ""
    clips = count(len(comparison.clips), "clip")
    verdict = headline(comparison)
    lines = [verdict, ""] if verdict else []
    lines += [f"{count(len(candidates), 'candidate')} on {clips}, cleaned {how}{matched}; means:"]
    lines += _rows(QUALITY, {result.name: _means(comparison, result) for result in comparison.results})
    costs = {result.name: _costs(result) for result in candidates if not result.error}
    if costs:
        lines += ["", f"costs, on one thread of {comparison.processor}:"]
        lines += _rows({"lag": DELAY} | {cost.label: cost for cost in COSTS.values()}, costs)
    found = verdicts(comparison)
    best = [_verdict_line(verdict) for verdict in found if verdict.measure not in COSTS]
    best += _cost_lines([verdict for verdict in found if verdict.measure in COSTS])
    if candidates and len(comparison.clips) < FEW:
        best.append(f"{clips}: too few to tell anything apart; it takes {FEW}")
    wrong = list(problems(comparison))
    return "\n".join([*lines, *([""] if best else []), *best, *([""] if wrong else []), *wrong])


def _means(comparison: Comparison, result: Result) -> dict[str, float]:
    return {measure: comparison.mean(result, measure) for measure in MEASURES}


def _costs(result: Result) -> dict[str, float]:
    costs = {} if result.cost is None else {measure.label: cost_of(result, name) for name, measure in COSTS.items()}
    return {"lag": result.delay_ms, **costs}


def cost_of(result: Result, name: str) -> float:
    """One cost of a candidate, NaN if it was not measured."""
    return math.nan if result.cost is None else float(getattr(result.cost, name))


def _rows(measures: Mapping[str, Measure], values: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A line of headings with arrows for which way is better, one of units if any has one, one for each name.

    Columns without a value are left out.
    """
    columns = [[""] * 2 + list(values)]
    for heading, measure in measures.items():
        column = [row.get(heading, math.nan) for row in values.values()]
        if not all(map(math.isnan, column)):
            columns.append(
                [f"{heading}{ARROWS[measure.better]}", measure.unit, *(_number(value, measure) for value in column)]
            )
    widths = [max(map(len, column)) for column in columns]
    names = [name.ljust(widths[0]) for name in columns[0]]
    cells = [[cell.rjust(width) for cell in column] for column, width in zip(columns[1:], widths[1:], strict=True)]
    lines = ["  ".join(row).rstrip() for row in zip(names, *cells, strict=True)]
    return [line for line in lines if line]


def _number(value: float, measure: Measure) -> str:
    return DASH if math.isnan(value) else f"{round(value, measure.digits) + 0.0:.{measure.digits}f}"


def _verdict_line(verdict: Verdict) -> str:
    """The best and by how much, in words: "PESQ: a, 0.031 [0.010, 0.052] better than b"."""
    measure = QUALITY[verdict.measure]
    if verdict.best is None:
        return f"{measure.label}: no clip was measured for all candidates"
    text = f"{measure.label}: {verdict.best}"
    if verdict.difference is not None:
        lead = _lead(ahead(verdict.difference, measure), measure)
        if verdict.clips >= FEW and verdict.second in verdict.alike:
            text += f", which may be chance: {lead} better than {verdict.second}"
        else:
            text += f", {lead} better than {verdict.second}"
    if verdict.clips < FEW:
        return text
    gain = verdict.gain and ahead(verdict.gain, measure)
    others = [name for name in verdict.alike if name != verdict.second]
    alike = [*others, *(["the noisy clips"] if gain and not gain.apart else [])]
    if alike:
        text += f"; not told apart from {listed(alike)}"
    if gain and gain.apart and gain.mean < 0.0:
        text += f"; worse than the noisy clips, by {_lead(-gain, measure)}"
    return text


def _lead(lead: Interval, measure: Measure) -> str:
    """Say how much better something is, with the interval and the unit."""
    ends = "" if math.isnan(lead.low) else f" [{_number(lead.low, measure)}, {_number(lead.high, measure)}]"
    return f"{_number(lead.mean, measure)}{ends} {measure.of_differences.unit}".rstrip()


def _cost_lines(costs: list[Verdict]) -> list[str]:
    """Who costs least at what, in one line: "least cost: a in latency and memory; b in load"; none of one candidate.

    The costs themselves stand in their table.
    """
    least: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for verdict in costs:
        if verdict.best is not None and verdict.second is not None:
            least[verdict.best, *verdict.alike].append(COSTS[verdict.measure].label)
    parts = [f"{listed(names)} in {listed(labels)}" for names, labels in least.items()]
    return [f"least cost: {'; '.join(parts)}"] if parts else []


def problems(comparison: Comparison) -> Iterator[str]:
    """Lines of `Comparison.problems`, alike ones in one."""
    places: dict[str, list[str]] = defaultdict(list)
    for where, what in comparison.faults():
        if where:
            places[what].append(where)
        else:
            yield what
    for what, names in places.items():
        yield f"{few(names, SHOWN)}: {what}"


def format_set(comparison: Comparison, each_clip: bool = False) -> str:
    """The means of each result on a set; then two results side by side; then what went wrong.

    each_clip: whether the clips are there too.
    """
    lines = [line for result in comparison.results for line in _set_lines(comparison, result, each_clip)]
    if len(comparison.results) == 2:
        lines.append(format_pair(comparison))
    return "\n".join([*lines, *problems(comparison)])


def _set_lines(comparison: Comparison, result: Result, each_clip: bool) -> Iterator[str]:
    """A line about the set, one of headings, one for each mean, before them for each clip if so asked."""
    lost = max((track.lost for track in result.tracks if track.lost is not None), default=0)
    tail = f", {1000 * lost / RATE:.1f} ms lost at the end of one" if lost else ""
    clips = count(len(comparison.clips), "clip")
    yield f"{result.name} on {Path(comparison.inputs[0])}: {clips}, lag {result.delay_ms:.1f} ms{tail}"
    rows = {track.clip.id: [track.value(name) for name in OF_SETS] for track in result.tracks if each_clip}
    for name, places in comparison.groups().items():
        rows["mean" if name == "all" else name] = [comparison.mean(result, measure, places) for measure in OF_SETS]
    width = max(6, *map(len, rows))
    yield " " * width + "".join(f"{name:>8}" for name in OF_SETS)
    for name, row in rows.items():
        yield f"{name:<{width}}" + "".join(map(_cell, row))


def _cell(value: float) -> str:
    return f"{DASH if math.isnan(value) else format(value, '.3f'):>8}"


def _change_cell(value: float) -> str:
    return f"{DASH if math.isnan(value) else format(round(value, 3) + 0.0, '+.3f'):>8}"


def format_pair(comparison: Comparison) -> str:
    """The means of two results, by how much the first has more, from where to where that may lie, and where it wins.

    All are over the clips that both were judged on. The ends are those of the 95 % interval of the difference.
    """
    first, second = comparison.results
    names = (first.name, second.name, "difference", "from", "to", "better on")
    columns = []
    for name in OF_SETS:
        pairs = np.stack([first.values(name), second.values(name)])
        pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
        interval = paired_interval(*pairs)
        means = [_cell(values.mean()) if len(values) else _cell(math.nan) for values in pairs]
        ends = [_change_cell(value) for value in (interval.mean, interval.low, interval.high)]
        cost = QUALITY[name].cost
        better = sum(cost(theirs) - cost(ours) > LEAST for ours, theirs in pairs.T.tolist())
        columns.append([f"{name:>8}", *means, *ends, f"{f'{better}/{pairs.shape[1]}' if pairs.size else DASH:>8}"])
    width = max(map(len, names))
    lines = [
        f"{name:<{width}}" + "".join(cells)
        for name, cells in zip(("", *names), zip(*columns, strict=True), strict=True)
    ]
    return "\n".join([f"{first.name} against {second.name} on {Path(comparison.inputs[0])}", *lines])


def format_behaviour(result: Behaviour, each_clip: bool = False) -> str:
    """A line about the set, one a figure with its bar (before them one a clip if so asked), and what failed."""
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
    return "\n".join(
        [*lines, *(f"not measured, all of {clip.clip.id}: {clip.error}" for clip in result.clips if clip.error)]
    )

"""The report's tables, as plain values for its template: captions, columns, rows of cells."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, field

from denoise_wrapper.compare.comparison import MEASURES, Comparison, Result
from denoise_wrapper.compare.measure.measures import COSTS, HIGHER, LOWER, QUALITY, ZERO, Measure
from denoise_wrapper.compare.report import words
from denoise_wrapper.compare.statistics import Verdict, differences, verdicts
from denoise_wrapper.wording import count

_BETTER = {HIGHER: "↑ higher is better", LOWER: "↓ lower is better", ZERO: "best at 0"}
_DELAY = Measure("delay", "ms", 1, "neither", "by which the results lagged; taken away before they were measured")


@dataclass(frozen=True)
class Cell:
    """Cell of a table.

    text: the value, "" if there is none, and then note says why. mark: "best", "alike", "apart" or "".
    """

    text: str
    interval: str = ""
    mark: str = ""
    note: str = ""


@dataclass(frozen=True)
class Column:
    """Column of a table. label: its heading. note: below that. what: in a few words."""

    label: str
    note: str
    what: str


@dataclass(frozen=True)
class Row:
    """Row of a table. error: why there is nothing of it at all; then it has no cells."""

    name: str
    cells: list[Cell] = field(default_factory=list)
    note: str = ""
    error: str | None = None


@dataclass(frozen=True)
class Table:
    """Table of the page. corner: what the rows are."""

    caption: str
    corner: str
    columns: list[Column]
    rows: list[Row]


@dataclass(frozen=True)
class Winner:
    """A measure's line in the table of who is best: ready words."""

    label: str
    what: str
    best: str
    ahead: str
    gain: str
    alike: str


def winners(comparison: Comparison, ranking: list[Verdict]) -> list[Winner]:
    """A line for each measure of quality of which a candidate has a value."""
    rows = []
    for verdict in ranking:
        if verdict.measure not in QUALITY:
            continue
        measure = QUALITY[verdict.measure]
        if verdict.best is None:
            nobody = "no clip was judged for all candidates"
            rows.append(Winner(measure.label, measure.what, nobody, "", "", ""))
            continue
        (result,) = (result for result in comparison.candidates if result.name == verdict.best)
        mean = words.mean_of(comparison, result, verdict.measure)
        next_one = "there is no other"
        if verdict.second is not None:
            next_one = f"{verdict.second}: {words.lead(verdict.difference, measure)}"
        rows.append(
            Winner(
                measure.label,
                f"{measure.what}; {_BETTER[measure.better]}",
                f"{verdict.best}, {words.number(mean.mean, measure)}",
                next_one,
                words.lead(verdict.gain, measure) or "not known",
                ", ".join(verdict.alike) or "none",
            )
        )
    return rows


def means(comparison: Comparison, places: list[int], ranking: list[Verdict], caption: str) -> Table:
    """The means of each result over these clips, with intervals. found: the verdicts over the same clips."""
    shown = [name for name in MEASURES if any(_has(result, name, places) for result in comparison.results)]
    counts = {name: _usual_count(comparison, name, places) for name in shown}
    columns = []
    for name in shown:
        of = "" if counts[name] == len(places) else count(counts[name], "clip")
        columns.append(_column(QUALITY[name], of))
    rows = []
    for number, result in enumerate(comparison.results):
        note = "" if number else "as it came"
        if result.error:
            rows.append(Row(result.name, error=f"there is nothing of it: {result.error}"))
            continue
        cells = [_mean_cell(comparison, result, name, places, counts[name], ranking) for name in shown]
        rows.append(Row(result.name, cells, note))
    return Table(caption, "candidate", columns, rows)


def _column(measure: Measure, of: str = "") -> Column:
    """of: how many clips it is told of, "" if that goes without saying."""
    return Column(measure.label, ", ".join(filter(None, [measure.unit, _BETTER.get(measure.better), of])), measure.what)


def _has(result: Result, name: str, places: list[int]) -> bool:
    return not bool(all(math.isnan(result.tracks[at].value(name)) for at in places))


def _usual_count(comparison: Comparison, name: str, places: list[int]) -> int:
    """Number of clips of which most results have a value; of those that have any."""
    counts = [sum(not math.isnan(result.tracks[at].value(name)) for at in places) for result in comparison.results]
    return max(Counter(filter(None, counts)).items(), key=lambda item: (item[1], item[0]))[0]


def _mean_cell(
    comparison: Comparison, result: Result, name: str, places: list[int], usual: int, ranking: list[Verdict]
) -> Cell:
    measure = QUALITY[name]
    interval = words.mean_of(comparison, result, name, places)
    if not interval.clips:
        return Cell("", note=words.why_missing(result, name, places))
    note = "" if interval.clips == usual else f"of {count(interval.clips, 'clip')}"
    bounds = words.bounds(interval, measure)
    return Cell(
        words.digits(interval.mean, measure), f"[{bounds}]" if bounds else "", _mark(result, name, ranking), note
    )


def _mark(result: Result, name: str, ranking: list[Verdict]) -> str:
    for verdict in ranking:
        if verdict.measure == name:
            return "best" if verdict.best == result.name else "alike" if result.name in verdict.alike else ""
    return ""


def groups(comparison: Comparison) -> list[Table]:
    """The means at each signal-to-noise ratio."""
    tables = []
    for name, places in comparison.groups().items():
        if name != "all":
            caption = f"Clips of {name}: means of {count(len(places), 'clip')} and their 95 % intervals"
            tables.append(means(comparison, places, verdicts(comparison, places), caption))
    return tables


def pairs(comparison: Comparison) -> Table:
    """The difference of each two results in each measure, over all clips that both have."""
    known = {name: differences(comparison, name) for name in MEASURES if QUALITY[name].better in _BETTER}
    known = {name: each for name, each in known.items() if any(interval.clips for interval in each.values())}
    columns = [_column(QUALITY[name].of_differences) for name in known]
    rows = []
    for first, second in next(iter(known.values()), {}):
        cells = []
        for name, each in known.items():
            interval, measure = each[first, second], QUALITY[name].of_differences
            if not interval.clips:
                cells.append(Cell("", note="no clip that both have"))
                continue
            bounds = words.bounds(interval, measure, signed=True)
            mark = "apart" if interval.apart else ""
            cells.append(Cell(words.digits(interval.mean, measure, signed=True), f"[{bounds}]" if bounds else "", mark))
        if any(cell.text for cell in cells):
            rows.append(Row(f"{first} \u2212 {second}", cells))
    return Table("Differences of each two: means over clips and their 95 % intervals", "pair", columns, rows)


def costs(comparison: Comparison, ranking: list[Verdict]) -> Table:
    """Costs of each candidate, with the delay and the length of its results."""
    candidates = comparison.candidates
    shown = [n for n in COSTS if any(r.cost is not None and not math.isnan(asdict(r.cost)[n]) for r in candidates)]
    columns = [_column(COSTS[name]) for name in shown]
    columns += [Column(_DELAY.label, "ms, taken out", _DELAY.what), Column("length", "", "against that of the clip")]
    rows = []
    for result in candidates:
        if result.error:
            rows.append(Row(result.name, error=f"there is nothing of it: {result.error}"))
            continue
        cells = [_cost_cell(result, name, ranking) for name in shown]
        cells += [Cell(words.digits(result.delay_ms, _DELAY)), Cell(_length(result))]
        rows.append(Row(result.name, cells))
    return Table("What each candidate costs on one thread, and how its results came back", "candidate", columns, rows)


def _cost_cell(result: Result, name: str, ranking: list[Verdict]) -> Cell:
    if result.cost is None:
        return Cell("", note="cleaned by another program")
    value = asdict(result.cost)[name]
    if math.isnan(value):
        return Cell("", note=result.cost.error or "not measured")
    note = f"{1.0 / value:.0f} \u00d7 real time" if name == "file_factor" and value else ""
    mark = "best" if _mark(result, name, ranking) else ""  # what costs as much is as good
    return Cell(words.digits(value, COSTS[name]), note, mark)


def _length(result: Result) -> str:
    """Difference in length between the results and the clips, in words."""
    extra = [1000.0 * track.extra / track.clip.rate for track in result.tracks if track.extra]
    if not extra:
        return "as the clips"
    most = max(extra, key=abs)
    way = "longer" if most > 0 else "shorter"
    return f"up to {abs(most):.1f} ms {way}, {count(len(extra), 'clip')}"

"""What was measured, as plots: PNG files to keep, and pictures for the page in its light and its dark colours."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from denoise_wrapper.compare.comparison import Comparison
from denoise_wrapper.compare.measures import COSTS, NEITHER, QUALITY, Measure
from denoise_wrapper.compare.report import images, words
from denoise_wrapper.compare.statistics import Interval, mean_interval, paired_interval

# Colours that the colour-blind tell apart (Okabe and Ito), on white and on black; and a marker each.
_COLOURS = {
    False: ("#0072b2", "#c04a00", "#007a5a", "#a8447e", "#8a6d00", "#3a8fc0", "#5a4fcf", "#6b6b6b", "#000000"),
    True: ("#56b4e9", "#e69f00", "#2fc79a", "#e08fc0", "#f0e442", "#8fc7ff", "#b0a6ff", "#b5b5b5", "#ffffff"),
}
_MARKERS = "osD^vPXh*"
_STYLE = {
    False: {"ink": "#1c2024", "faint": "#5f6770", "grid": "#d5d9de", "paper": "#ffffff"},
    True: {"ink": "#e8eaed", "faint": "#a9b1ba", "grid": "#3a4149", "paper": "#14181c"},
}
SIZE = (5.4, 3.9)  # inches; small, so that its text can be read on a phone
_DPI = 160
OF_COST = ("PESQ", "OVRL")  # what is set against costs, as far as it was measured; else what was measured first
AGAINST = ("file_factor", "latency_ms")


@dataclass(frozen=True)
class Plot:
    """A plot. name: of its file. alt: what it shows, in words and numbers. draw: puts it on axes, dark or light."""

    name: str
    title: str
    alt: str
    draw: Callable[[Any, bool], None]


def write_png(plot: Plot, path: Path) -> None:
    """The plot on white."""
    _figure(plot, dark=False, title=True).savefig(path, format="png", dpi=_DPI)


def picture(plot: Plot, dark: bool) -> bytes:
    """The plot as a WebP picture of few colours, without its title, which the page tells."""
    from PIL import Image

    file = io.BytesIO()
    _figure(plot, dark, title=False).savefig(file, format="png", dpi=_DPI)
    small = io.BytesIO()
    Image.open(file).convert("RGB").quantize(48).convert("RGB").save(small, "WEBP", lossless=True, method=4)
    return small.getvalue()


def pixels() -> tuple[int, int]:
    """Width and height of a plot's pictures."""
    return round(SIZE[0] * _DPI), round(SIZE[1] * _DPI)


def _figure(plot: Plot, dark: bool, title: bool) -> Any:
    import matplotlib.figure
    from matplotlib import rc_context

    style = _STYLE[dark]
    colours: Any = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), style["ink"])
    papers: Any = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), style["paper"])
    lines: Any = {
        "axes.edgecolor": style["faint"],
        "grid.color": style["grid"],
        "axes.grid": True,
        "axes.axisbelow": True,
    }
    sizes: Any = {"font.size": 11.0, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}
    with rc_context({**colours, **papers, **lines, **sizes}):
        figure = matplotlib.figure.Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        plot.draw(axes, dark)
        if title:
            axes.set_title(plot.title, fontsize=11.0)
        figure.draw_without_rendering()  # places all of it while the colours hold
    return figure


def cost_plots(comparison: Comparison) -> Iterator[Plot]:
    """Quality against what it costs: a plot for each of two measures and each of two costs, where there is either."""
    known = _measured(comparison)
    measures = [name for name in OF_COST if name in known] or known[:1]
    for name in measures:
        for cost in AGAINST:
            points = {
                result.name: (asdict(result.cost)[cost], mean_interval(result.values(name)))
                for result in comparison.results[1:]
                if result.cost is not None
            }
            points = {who: p for who, p in points.items() if not math.isnan(p[0]) and p[1].clips}
            if points:
                yield _cost_plot(comparison, name, cost, points)


def _cost_plot(comparison: Comparison, name: str, cost: str, points: dict[str, tuple[float, Interval]]) -> Plot:
    measure, price = QUALITY[name], COSTS[cost]
    noisy = mean_interval(comparison.results[0].values(name))
    names = _names(comparison)

    def draw(axes: Any, dark: bool) -> None:
        if noisy.clips:
            axes.axhline(noisy.mean, color=_STYLE[dark]["faint"], linestyle="--", linewidth=1.2)
            axes.annotate("noisy", (0.99, noisy.mean), xycoords=("axes fraction", "data"), ha="right", va="bottom")
        if cost != "latency_ms":
            _log_ticks(axes)
        axes.margins(x=0.2, y=0.15)
        taken: list[float] = []
        for who, (where, interval) in points.items():
            look = _look(names.index(who), dark)
            axes.errorbar(
                [where], [interval.mean], _error_bar(interval), label=who, markersize=8.0, linestyle="none",
                transform=_aside(axes, taken.count(where)), **look,
            )  # fmt: skip
            taken.append(where)
            ends = interval.mean + _error_bar(interval) * [[-1.0], [1.0]]
            axes.update_datalim([(where, end) for end in ends.ravel()])
        axes.autoscale_view()
        axes.set_xlabel(axis_label(price))
        axes.set_ylabel(axis_label(measure))
        _legend(axes)

    told = "; ".join(
        f"{who}: {price.label} {words.number(price_of_it, price)}, {measure.label} {_told(interval, measure)}"
        for who, (price_of_it, interval) in points.items()
    )
    start = f" Noisy: {_told(noisy, measure)}." if noisy.clips else ""
    title = f"{measure.label} against {price.label}"
    return Plot(f"{name}-against-{cost}", title, f"{title}, mean and 95 % interval. {told}.{start}", draw)


def ratio_plots(comparison: Comparison) -> Iterator[Plot]:
    """Each measure by the clips' signal-to-noise ratio, where there are some of these."""
    groups = {name: places for name, places in comparison.groups().items() if name != "all"}
    for name in _measured(comparison) if len(groups) > 1 else ():
        means = {
            result.name: [mean_interval(result.values(name)[places]) for places in groups.values()]
            for result in comparison.results
        }
        means = {who: row for who, row in means.items() if any(interval.clips for interval in row)}
        yield _ratio_plot(comparison, name, list(groups), means)


def _ratio_plot(comparison: Comparison, name: str, groups: list[str], means: dict[str, list[Interval]]) -> Plot:
    measure, names = QUALITY[name], _names(comparison)

    def draw(axes: Any, dark: bool) -> None:
        for number, (who, row) in enumerate(means.items()):
            places = np.arange(len(groups)) + 0.08 * (number - 0.5 * (len(means) - 1))
            bars = np.concatenate([_error_bar(interval) for interval in row], axis=1)
            line = "--" if who == names[0] else "-"
            axes.errorbar(
                places, [i.mean for i in row], bars, label=who, linestyle=line, **_look(names.index(who), dark)
            )
        axes.set_xticks(range(len(groups)), groups)
        axes.set_xlabel("signal-to-noise ratio of the clip")
        axes.set_ylabel(axis_label(measure))
        _legend(axes)

    told = "; ".join(
        f"{who}: "
        + ", ".join(f"{_told(i, measure)} at {group}" for group, i in zip(groups, row, strict=True) if i.clips)
        for who, row in means.items()
    )
    title = f"{measure.label} by signal-to-noise ratio"
    return Plot(f"{name}-by-ratio", title, f"{title}, mean and 95 % interval. {told}.", draw)


def gain_plots(comparison: Comparison) -> Iterator[Plot]:
    """What each candidate changes on each clip, for each measure of which the noisy clips have values too."""
    noisy = comparison.results[0]
    for name in _measured(comparison):
        before = noisy.values(name)
        gains = {result.name: result.values(name) - before for result in comparison.results[1:]}
        gains = {who: values for who, values in gains.items() if np.isfinite(values).any()}
        if gains:
            intervals = {
                result.name: paired_interval(result.values(name), before)
                for result in comparison.results[1:]
                if result.name in gains
            }
            yield _gain_plot(comparison, name, gains, intervals)


def _gain_plot(
    comparison: Comparison, name: str, gains: dict[str, np.ndarray[Any, Any]], intervals: dict[str, Interval]
) -> Plot:
    measure, names = QUALITY[name], _names(comparison)
    change = words.of_differences(measure)

    def draw(axes: Any, dark: bool) -> None:
        axes.axvline(0.0, color=_STYLE[dark]["faint"], linewidth=1.2)
        for row, (who, values) in enumerate(gains.items()):
            look, known = _look(names.index(who), dark), values[np.isfinite(values)]
            spread = np.random.default_rng(row).uniform(-0.22, 0.22, len(known))
            axes.plot(known, row + 0.12 + spread, ".", color=look["color"], alpha=0.55, markersize=7.0)
            bar = _error_bar(intervals[who])
            axes.errorbar([intervals[who].mean], [row - 0.3], xerr=bar, markersize=7.0, **look)
        axes.set_yticks(range(len(gains)), [_short(who) for who in gains])
        axes.set_ylim(len(gains) - 0.4, -0.6)
        axes.set_xlabel(f"change of {axis_label(change)}")

    told = "; ".join(f"{who}: {_told(interval, change, signed=True)}" for who, interval in intervals.items())
    title = f"Change of {measure.label} against the noisy clips"
    alt = f"{title}: a dot for each clip, and above the dots their mean with its 95 % interval. {told}."
    return Plot(f"{name}-change", title, alt, draw)


def axis_label(measure: Measure) -> str:
    """What stands at an axis: the name, the unit, and which way is better."""
    unit = f", {measure.unit}" if measure.unit else ""
    better = {"higher": " (higher is better)", "lower": " (lower is better)", "zero": " (best at 0)"}
    return measure.label + unit + better.get(measure.better, "")


def _measured(comparison: Comparison) -> list[str]:
    """The measures that have a better way, and a value."""
    return [
        name
        for name, measure in QUALITY.items()
        if measure.better != NEITHER and any(np.isfinite(result.values(name)).any() for result in comparison.results)
    ]


def _names(comparison: Comparison) -> list[str]:
    return [result.name for result in comparison.results]


def _look(number: int, dark: bool) -> dict[str, Any]:
    """Colour and marker of a result, by its place: the noisy clips come first and are grey."""
    if not number:
        return {"color": _STYLE[dark]["faint"], "marker": ".", "capsize": 3.0}
    colours = _COLOURS[dark]
    at = (number - 1) % len(colours)
    return {"color": colours[at], "marker": _MARKERS[at], "capsize": 3.0}


def _aside(axes: Any, steps: int) -> Any:
    """Where a point goes that is one of several at the same cost: so many widths of a marker to the right."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transData + ScaledTranslation(steps * 9.0 / 72.0, 0.0, axes.figure.dpi_scale_trans)


def _log_ticks(axes: Any) -> None:
    """A logarithmic axis of costs, with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _legend(axes: Any) -> None:
    axes.legend(frameon=False, fontsize=9.5, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18))


def _short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _error_bar(interval: Interval) -> np.ndarray[Any, Any]:
    """How far the interval reaches below and above its mean: (2, 1); nothing where it is not known."""
    return np.nan_to_num([[interval.mean - interval.low], [interval.high - interval.mean]])


def _told(interval: Interval, measure: Measure, signed: bool = False) -> str:
    text, inside = words.number(interval.mean, measure, signed), words.bounds(interval, measure, signed)
    return f"{text} ({inside})" if inside else text


def draw_clip(
    path: Path, name: str, labels: Sequence[str], rate: int, seconds: float, pictures: images.Pictures
) -> None:
    """The spectrograms and waveforms of a clip's tracks, one above the other on one time axis, as a PNG file."""
    import matplotlib.figure
    from matplotlib import rc_context

    places = list(pictures.levels_db)
    inches = 0.9 + 1.9 * max(1, len(places))
    with rc_context({"font.size": 9.0, "text.parse_math": False}):
        figure = matplotlib.figure.Figure(figsize=(10.0, inches))
        figure.suptitle(name, y=1.0 - 0.15 / inches, va="top", fontsize=11.0)
        ends = {"left": 0.075, "right": 0.9, "top": 1.0 - 0.55 / inches, "bottom": 0.5 / inches}
        grid = figure.add_gridspec(max(1, len(places)), 1, hspace=0.22, **ends)
        for row, at in enumerate(places):
            parts: Any = grid[row].subgridspec(2, 1, height_ratios=[3, 1], hspace=0.06).subplots()
            upper, lower = parts
            shown = _draw_levels(upper, pictures, at, rate, seconds)
            _draw_wave(lower, pictures, at, seconds)
            upper.set_title(labels[at], loc="left", fontsize=9.0, pad=2.0)
            if row < len(places) - 1:
                lower.tick_params(labelbottom=False)
            else:
                lower.set_xlabel("seconds")
        if places:
            bar = figure.colorbar(shown, cax=figure.add_axes((0.915, 1.0 - 3.0 / inches, 0.012, 2.45 / inches)))
            bar.set_label("dB from the loudest spot")
        figure.savefig(path, format="png", dpi=100)


def _draw_levels(axes: Any, pictures: images.Pictures, at: int, rate: int, seconds: float) -> Any:
    shown = axes.imshow(
        pictures.levels_db[at] - pictures.top_db,
        cmap=images.COLOURS, vmin=-images.RANGE_DB, vmax=0.0, aspect="auto", extent=(0.0, seconds, 0.0, 1.0),
    )  # fmt: skip
    ticks = images.ticks_hz(rate)
    axes.set_yticks([images.height_of(hz, rate) for hz in ticks], [images.format_hz(hz) for hz in ticks])
    axes.tick_params(labelbottom=False)
    return shown


def _draw_wave(axes: Any, pictures: images.Pictures, at: int, seconds: float) -> None:
    low, high = pictures.extremes[at]
    edges = np.linspace(0.0, seconds, len(low) + 1)
    axes.fill_between(edges[:-1], low, high, step="post", color="#0072b2", linewidth=0.5)
    reach = 1.05 * (pictures.peak or 1.0)
    axes.set_xlim(0.0, seconds)
    axes.set_ylim(-reach, reach)

"""Plots of what was measured: PNG files to keep, and pictures for the page in its light and its dark colours."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.compare.comparison import Comparison
from denoise_wrapper.compare.measure.measures import COSTS, NEITHER, QUALITY, Measure
from denoise_wrapper.compare.report import images, words
from denoise_wrapper.compare.statistics import Interval, mean_interval

Float64 = NDArray[np.float64]
Points = dict[str, tuple[float, Interval]]  # of each candidate, its cost and its quality
Means = dict[str, list[Interval]]  # of each result, for each group of clips
Gains = dict[str, Float64]  # of each candidate, for each clip that both it and the noisy one have a value for

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
PRICES = ("file_factor", "latency_ms")


@dataclass(frozen=True)
class Plot:
    """A plot. name: of its file. alt: what it shows, in words and numbers. draw: puts it on axes, dark or light."""

    name: str
    title: str
    alt: str
    draw: Callable[[Any, bool], None]


@dataclass(frozen=True)
class DrawnPlot:
    """A plot as the page has it: WebP pictures in light and in dark colours, width by height pixels."""

    title: str
    alt: str
    light: bytes
    dark: bytes
    width: int
    height: int


@dataclass(frozen=True)
class PlotJob:
    """A plot to be drawn. figure: the PNG file to write."""

    plot: Plot
    figure: Path

    def draw(self) -> DrawnPlot:
        """The plot in both colours; and its figure, on white and with its title."""
        self.figure.write_bytes(_png(self.plot, dark=False, title=True))
        width, height = (round(inches * _DPI) for inches in SIZE)
        light, dark = (_to_webp(_png(self.plot, dark, title=False)) for dark in (False, True))
        return DrawnPlot(self.plot.title, self.plot.alt, light, dark, width, height)


def _to_webp(png: bytes) -> bytes:
    """A picture with fewer colours, as WebP."""
    from PIL import Image

    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(48).convert("RGB").save(file, "WEBP", lossless=True, method=4)
    return file.getvalue()


def _png(plot: Plot, dark: bool, title: bool) -> bytes:
    """The plot as a picture. title: whether it stands in the picture."""
    import matplotlib.figure
    from matplotlib import rc_context

    style, file = _STYLE[dark], io.BytesIO()
    colours: Any = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), style["ink"])
    papers: Any = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), style["paper"])
    lines: Any = {"axes.edgecolor": style["faint"], "grid.color": style["grid"], "axes.grid": True}
    sizes: Any = {"font.size": 11.0, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}
    with rc_context({**colours, **papers, **lines, **sizes, "axes.axisbelow": True}):
        figure = matplotlib.figure.Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        plot.draw(axes, dark)
        if title:
            axes.set_title(plot.title, fontsize=11.0)
        figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()


def cost_plots(comparison: Comparison) -> Iterator[Plot]:
    """Quality against what it costs: a plot for each of two measures and each of two costs, where there is either."""
    known = _measured(comparison)
    measures = [name for name in OF_COST if name in known] or known[:1]
    for name in measures:
        for cost in PRICES:
            points = {
                result.name: (asdict(result.cost)[cost], mean_interval(result.values(name)))
                for result in comparison.candidates
                if result.cost is not None
            }
            points = {who: p for who, p in points.items() if not math.isnan(p[0]) and p[1].clips}
            if points:
                yield _cost_plot(comparison, name, cost, points)


def _cost_plot(comparison: Comparison, name: str, cost: str, points: Points) -> Plot:
    measure, price = QUALITY[name], COSTS[cost]
    noisy = mean_interval(comparison.noisy.values(name))
    values = "; ".join(
        f"{who}: {price.label} {words.number(value, price)}, {measure.label} {_in_words(interval, measure)}"
        for who, (value, interval) in points.items()
    )
    start = f" Noisy: {_in_words(noisy, measure)}." if noisy.clips else ""
    title = f"{measure.label} against {price.label}"
    draw = partial(_draw_costs, name, cost, points, noisy, _names(comparison))
    return Plot(f"{name}-against-{cost}", title, f"{title}, mean and 95 % interval. {values}.{start}", draw)


def _draw_costs(name: str, cost: str, points: Points, noisy: Interval, names: list[str], axes: Any, dark: bool) -> None:
    if noisy.clips:
        axes.axhline(noisy.mean, color=_STYLE[dark]["faint"], linestyle="--", linewidth=1.2)
        axes.annotate("noisy", (0.99, noisy.mean), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    if cost != "latency_ms":
        _log_ticks(axes)
    axes.margins(x=0.2, y=0.15)
    used: list[float] = []
    for who, (where, interval) in points.items():
        look = _look(names.index(who), dark)
        axes.errorbar(
            [where], [interval.mean], _error_bar(interval), label=_short(who), markersize=8.0, linestyle="none",
            transform=_aside(axes, used.count(where)), **look,
        )  # fmt: skip
        used.append(where)
        ends = interval.mean + _error_bar(interval) * [[-1.0], [1.0]]
        axes.update_datalim([(where, end) for end in ends.ravel()])
    axes.autoscale_view()
    axes.set_xlabel(axis_label(COSTS[cost]))
    axes.set_ylabel(axis_label(QUALITY[name]))
    _legend(axes)


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


def _ratio_plot(comparison: Comparison, name: str, groups: list[str], means: Means) -> Plot:
    measure = QUALITY[name]
    values = "; ".join(
        f"{who}: "
        + ", ".join(f"{_in_words(i, measure)} at {group}" for group, i in zip(groups, row, strict=True) if i.clips)
        for who, row in means.items()
    )
    title = f"{measure.label} by signal-to-noise ratio"
    draw = partial(_draw_ratios, name, groups, means, _names(comparison))
    return Plot(f"{name}-by-ratio", title, f"{title}, mean and 95 % interval. {values}.", draw)


def _draw_ratios(name: str, groups: list[str], means: Means, names: list[str], axes: Any, dark: bool) -> None:
    for number, (who, row) in enumerate(means.items()):
        places = np.arange(len(groups)) + 0.08 * (number - 0.5 * (len(means) - 1))  # so that no bar hides another
        bars = np.concatenate([_error_bar(interval) for interval in row], axis=1)
        line = "--" if who == names[0] else "-"
        axes.errorbar(
            places, [i.mean for i in row], bars, label=_short(who), linestyle=line, **_look(names.index(who), dark)
        )
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlabel("signal-to-noise ratio of the clip")
    axes.set_ylabel(axis_label(QUALITY[name]))
    _legend(axes)


def gain_plots(comparison: Comparison) -> Iterator[Plot]:
    """The change by each candidate on each clip, for each measure of which the noisy clips have values too."""
    for name in _measured(comparison):
        gains = {result.name: result.values(name) - comparison.noisy.values(name) for result in comparison.candidates}
        gains = {who: values[np.isfinite(values)] for who, values in gains.items() if np.isfinite(values).any()}
        if gains:
            yield _gain_plot(comparison, name, gains)


def _gain_plot(comparison: Comparison, name: str, gains: Gains) -> Plot:
    change = QUALITY[name].of_differences
    means = {who: mean_interval(values) for who, values in gains.items()}
    values = "; ".join(f"{who}: {_in_words(interval, change, signed=True)}" for who, interval in means.items())
    title = f"Change of {change.label} against the noisy clips"
    alt = f"{title}: a dot for each clip, and above the dots their mean with its 95 % interval. {values}."
    return Plot(f"{name}-change", title, alt, partial(_draw_gains, change, gains, means, _names(comparison)))


def _draw_gains(
    change: Measure, gains: Gains, means: dict[str, Interval], names: list[str], axes: Any, dark: bool
) -> None:
    axes.axvline(0.0, color=_STYLE[dark]["faint"], linewidth=1.2)
    for row, (who, values) in enumerate(gains.items()):
        look = _look(names.index(who), dark)
        spread = np.random.default_rng(row).uniform(-0.22, 0.22, len(values))
        axes.plot(values, row + 0.12 + spread, ".", color=look["color"], alpha=0.55, markersize=7.0)
        axes.errorbar([means[who].mean], [row - 0.3], xerr=_error_bar(means[who]), markersize=7.0, **look)
    axes.set_yticks(range(len(gains)), [_short(who) for who in gains])
    axes.set_ylim(len(gains) - 0.4, -0.6)
    axes.set_xlabel(f"change of {axis_label(change)}")


def axis_label(measure: Measure) -> str:
    """The label of an axis: the name, the unit, and which way is better."""
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
    """The place of a point that is one of several at the same cost: so many widths of a marker to the right."""
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


def _short(name: str, most: int = 20) -> str:
    """A name that fits; of a long one both ends, for they differ where the middle may not."""
    half = most // 2
    return name if len(name) <= most else f"{name[: half - 1]}…{name[-half:]}"


def _error_bar(interval: Interval) -> Float64:
    """The reach of the interval below and above its mean: (2, 1); 0 where it is not known."""
    return np.nan_to_num([[interval.mean - interval.low], [interval.high - interval.mean]])


def _in_words(interval: Interval, measure: Measure, signed: bool = False) -> str:
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

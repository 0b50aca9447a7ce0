"""The picture: ours and others', on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.results import Table

OURS, OTHERS = "#1f6fb4", "#b0b0b0"
PANELS = (("peer ", "A whole clip"), ("peer live ", "A live call"))


def draw(tables: Iterable[Table], path: Path) -> bool:
    """Writes the picture; returns whether there was anything to draw."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    facts = {name: value for table in tables for name, value in table.facts.items() if table.section == "peers"}
    live = _named(facts, PANELS[1][0])
    panels = [(title, heights) for title, heights in ((PANELS[0][1], _whole(facts)), (PANELS[1][1], live)) if heights]
    if not panels:
        return False
    sizes = [len(heights) for _, heights in panels]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(9, 0.34 * sum(sizes) + 1.1 * len(panels)), height_ratios=sizes, squeeze=False,
        sharex=True, layout="constrained", facecolor="white",
    )  # fmt: skip
    for axis, (title, heights) in zip(axes[:, 0], panels, strict=True):
        _bars(axis, title, heights)
    values = [value for _, heights in panels for value in heights.values()]
    axes[0, 0].set_xlim(min(values) / 2, max(values) * 4)  # of all panels; room for what is written beside the bars
    axes[0, 0].xaxis.set_major_formatter("{x:g}")
    axes[-1, 0].set_xlabel("microseconds of one core for 10 ms of audio (logarithmic); left is faster")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True


def _named(facts: dict[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in facts.items() if name.startswith(prefix)}


def _whole(facts: dict[str, float]) -> dict[str, float]:
    whole, live = PANELS[0][0], PANELS[1][0]
    return _named({name: value for name, value in facts.items() if not name.startswith(live)}, whole)


def _bars(axis: Any, title: str, heights: dict[str, float]) -> None:
    """The slowest at the bottom."""
    names = sorted(heights, key=lambda name: -heights[name])
    values = [heights[name] for name in names]
    colours = [OURS if name.startswith("ours") else OTHERS for name in names]
    bars = axis.barh([name.removeprefix("ours: ") for name in names], values, color=colours, height=0.7)
    axis.bar_label(bars, [f"{value:.3g} us, {1e4 / value:.0f} x" for value in values], padding=4, fontsize=9)
    axis.set_xscale("log")
    axis.set_title(f"{title} (blue: this package)", loc="left", fontsize=11)
    axis.grid(axis="x", which="major", color="#e6e6e6")
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)

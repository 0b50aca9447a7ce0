"""Two denoisers on one set, side by side: each is measured for itself, and then clip is compared with clip."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from denoise_wrapper.backends import backend_names
from denoise_wrapper.compare.evaluate import UNPROCESSED, Evaluation, Path_, evaluate
from denoise_wrapper.compare.measure.metrics import METRICS
from denoise_wrapper.compare.measures import QUALITY
from denoise_wrapper.compare.pools import Report
from denoise_wrapper.denoiser import Denoiser

STANDARD = "standard"  # the model that is compiled in
LEAST = 1e-5  # that is better: sums of floats come out one way or another with their place in memory
DASH = "-"


def measure_other(
    folder: Path_, other: Sequence[str], jobs: int = 1, progress: Report | None = None, only: str | None = None
) -> Evaluation:
    """Measure a set as something else cleans it, and call the result by its name.

    other: "standard", the name of a backend, or "noisy" for no cleaning; else a model of the backend rnnoise, or both
    models of a DTLN at 16 kHz. only: see `evaluate`. Raises as `evaluate` and Denoiser do.
    """
    result = evaluate(folder, open_other(other), only=only, jobs=jobs, progress=progress)
    return dataclasses.replace(result, name=label(other))


def open_other(other: Sequence[str]) -> Denoiser | None:
    """The denoiser that words on a command line mean; None for no cleaning."""
    if len(other) > 1:
        return Denoiser("dtln-16k", model=tuple(other))
    (name,) = other
    if name == UNPROCESSED:
        return None
    if name == STANDARD:
        return Denoiser("rnnoise")
    return Denoiser(name) if name in backend_names() else Denoiser("rnnoise", model=name)


def label(other: Sequence[str]) -> str:
    """What to call it in a table."""
    return Path(other[0]).stem if Path(other[0]).suffix else other[0]


def format_comparison(result: Evaluation, other: Evaluation) -> str:
    """The means of two evaluations of one set, by how much the first has more, and on how many clips it is better.

    The means are over the clips that both were judged on.
    """
    names = (result.name, other.name, "difference", "better on")
    width = max(map(len, names))
    columns = []
    for metric in METRICS:
        pairs = [(one.value(metric), two.value(metric)) for one, two in zip(result.clips, other.clips, strict=True)]
        pairs = [pair for pair in pairs if not any(map(math.isnan, pair))]
        if not pairs:
            columns.append((metric, DASH, DASH, DASH, DASH))
            continue
        first, second = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
        cost = QUALITY[metric].cost
        better = sum(cost(two) - cost(one) > LEAST for one, two in pairs)
        cells = f"{first:.3f}", f"{second:.3f}", f"{round(first - second, 3) + 0.0:+.3f}", f"{better}/{len(pairs)}"
        columns.append((metric, *cells))
    rows = zip(("", *names), zip(*columns, strict=True), strict=True)
    lines = [f"{name:<{width}}" + "".join(f"{cell:>8}" for cell in cells) for name, cells in rows]
    return "\n".join([f"{result.name} against {other.name} on {result.folder}", *lines])

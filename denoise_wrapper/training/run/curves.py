"""Pictures of how trainings went, for model cards."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.figure  # here, so that it is not missed at the end of a long training

from denoise_wrapper.atomic import atomic_path

WINDOW = 20  # lines of the log; the curves of the training are means over so many


def draw_course(stages: Sequence[tuple[str, float, str]], labels: Mapping[str, str], target: Path) -> None:
    """A PNG: some columns of the logs over the hours of audio, in all stages, in training and in validation.

    stages: of each run its name, the hours of mixtures in it, and its log, CSV with a column hours, or "" where it is
    not known any more. labels: which columns, and what they are called; validations are in those named
    validation_COLUMN.
    """
    figure = matplotlib.figure.Figure(figsize=(4.5 * len(labels), 3.4), layout="constrained")
    for axes, (column, label) in zip(figure.subplots(1, len(labels), squeeze=False)[0], labels.items(), strict=True):
        before, seen = 0.0, []
        for name, total, log in stages:
            rows = [row for row in csv.DictReader(log.splitlines()) if row.get(column)]
            hours, values = ([float(row[key]) for row in rows] for key in ("hours", column))
            smooth = [sum(values[max(0, end - WINDOW) : end]) / min(end, WINDOW) for end in range(1, len(values) + 1)]
            learned, tried = (f"{name}, {side}" if rows else None for side in ("training", "validation"))
            axes.plot([before + hour for hour in hours], smooth, label=learned)
            checked = [row for row in rows if row.get(f"validation_{column}")]
            checks = [float(row[f"validation_{column}"]) for row in checked]
            axes.plot([before + float(row["hours"]) for row in checked], checks, label=tried)
            before += total
            seen += smooth[len(smooth) // 10 :] + checks[len(checks) // 10 :]
        axes.set(xlabel="hours of audio", ylabel=label)
        if len(set(seen)) > 1:
            margin = 0.05 * (max(seen) - min(seen))
            axes.set_ylim(min(seen) - margin, max(seen) + margin)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    with atomic_path(target, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=80, format="png")

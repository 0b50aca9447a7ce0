"""Rows of features as other programs write them, to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from denoise_wrapper.training.rnnoise.feature_files import WIDTHS
from denoise_wrapper.training.rnnoise.features import LAYOUTS


def made_rows(family: str, count: int, seed: int = 1) -> np.ndarray:
    """Rows as a feature file has them: features of any size, gains of -1 to 1, labels of 0 to 1."""
    rng = np.random.default_rng(seed)
    layout = LAYOUTS[family]
    rows = rng.standard_normal((count, WIDTHS[family])).astype(np.float32)
    rows[:, layout.gains] = rng.uniform(-1.0, 1.0, (count, layout.bands))
    rows[:, -1] = rng.choice((0.0, 0.5, 1.0), count)
    return rows


def bare(path: Path, rows: np.ndarray, cut: int = 0) -> Path:
    data = rows.astype("<f4").tobytes()
    path.write_bytes(data[: len(data) - cut])
    return path

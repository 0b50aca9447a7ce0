"""Feature files of mixtures, by the engine's own front end; and feature files of one form as another."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.backends.features import FeatureExtractor
from denoise_wrapper.backends.native import FRAME
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.mix.mixing import Mix
from denoise_wrapper.training.rnnoise.config import RNNoiseConfig
from denoise_wrapper.training.rnnoise.feature_files import (
    SEQUENCE,
    WIDTHS,
    FeatureWriter,
    blocks,
    check_rows,
    layout_of,
    open_rows,
    validation_sequences,
)
from denoise_wrapper.training.rnnoise.features import (
    RATE,
    SIDES,
    check_finite,
    extract_mix,
    open_mixers,
    start_worker,
    worker_mixers,
)

Float32 = NDArray[np.float32]
SEQUENCE_S = SEQUENCE * FRAME / RATE  # which a clip is long here


def extract_features(config: RNNoiseConfig, target: Path, rows: int | None = None, overwrite: bool = False) -> int:
    """Mix as the settings say, in clips of one sequence each, and write their features to a feature file.

    rows: how many; None: as many as [features] hours make. The last tenth is of the voices and noises that are kept for
    validation. Returns how many rows were written. Raises DataError, FileError; nothing half-written is left.
    """
    rows = count_rows(config, rows)
    config = dataclasses.replace(config, mix=dataclasses.replace(config.mix, clip_s=SEQUENCE_S))
    family = config.network.family
    with atomic_path(target, overwrite) as part, FeatureWriter(part, target.suffix, family, rows) as writer:
        for clip in extracted_clips(config, rows):
            writer.write(clip[: rows - writer.done])
    return rows


def count_rows(config: RNNoiseConfig, rows: int | None) -> int:
    """Rows that are asked for; None: as many as [features] hours make. Raises ConfigError if they are too few."""
    rows = round(config.features.hours * 3600.0 * RATE / FRAME) if rows is None else rows
    if rows < 2 * SEQUENCE:
        raise ConfigError(f"a feature file has at least {2 * SEQUENCE} rows (40 s), not {rows}; ask for more")
    return rows


def extracted_clips(config: RNNoiseConfig, rows: int) -> Iterator[Float32]:
    """The rows of each sequence that is begun in so many rows, by as many processes as asked for."""
    count = math.ceil(rows / SEQUENCE)
    whole = rows // SEQUENCE
    kept = whole - validation_sequences(whole)
    sides = [("train", index) if index < kept else ("validation", index - kept) for index in range(count)]
    jobs = [(*side, config.network.family) for side in sides]
    worker_mixers.update(zip(SIDES, open_mixers(config), strict=True))  # decodes once, before the workers all want to
    if config.features.processes == 1:
        yield from tracked(map(clip_rows, jobs), count, "extracting")
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(config.features.processes, count), start_worker, (config,)) as pool:
        yield from tracked(pool.imap(clip_rows, jobs), count, "extracting")


def clip_rows(job: tuple[str, int, str]) -> Float32:
    """The rows of one clip: float32 (SEQUENCE, columns). job: its side, its number there, and the family."""
    side, index, family = job
    return mix_rows(worker_mixers[side].clip(index), family)


def mix_rows(mix: Mix, family: str) -> Float32:
    """A clip as rows of a feature file, float32 (frames, 87 or 98): see `feature_files`."""
    layout = layout_of(family)
    extracted, _ = extract_mix(mix, layout)
    parts = [extracted.features, extracted.gains, mix.voice[:, None]]
    if family == "classic":
        samples = len(extracted.features) * FRAME
        noise = mix.noisy[:samples] - mix.clean[:samples]
        parts.insert(2, np.log10(FeatureExtractor(family).extract(noise, noise).energy + np.float32(0.01)))
    return check_finite(np.concatenate(parts, axis=1).astype(np.float32))


def convert_features(source: Path, target: Path, family: str | None = None, overwrite: bool = False) -> tuple[int, str]:
    """Write a feature file in the other form, .f32 or .h5; returns how many rows, and of which family they are.

    family: None tells it by the width. Raises FileError, DataError.
    """
    rows = open_rows(source, family)
    family = family or next(name for name, width in WIDTHS.items() if width == rows.shape[1])
    check_rows(rows, source, family)
    with atomic_path(target, overwrite) as part, FeatureWriter(part, target.suffix, family, len(rows)) as writer:
        for _, block in blocks(rows):
            writer.write(block)
    return len(rows), family

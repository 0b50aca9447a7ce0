"""Whole files, or their beginnings, as arrays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from denoise_wrapper.audio import Array, Float32, to_float
from denoise_wrapper.errors import AudioError
from denoise_wrapper.files.soundfiles import open_source


def read_file(path: str | os.PathLike[str], seconds: float | None = None) -> tuple[Array, int]:
    """Read a file, (frames, channels) of the type that its samples have, and its rate in Hz.

    seconds: the most that is read; None for all. Raises FileError.
    """
    with contextlib.ExitStack() as stack:
        source = open_source(Path(path), stack)
        most = None if seconds is None else round(seconds * source.rate)
        blocks = list(_first(source.blocks(source.rate), most))
        return (np.concatenate(blocks) if blocks else np.empty((0, source.channels), np.float32)), source.rate


def read_floats(path: str | os.PathLike[str], seconds: float | None = None) -> tuple[Float32, int]:
    """Read a file as `read_file` does, as float32 with full scale 1. Raises FileError or AudioError."""
    samples, rate = read_file(path, seconds)
    try:
        return to_float(samples), rate
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error


def _first(blocks: Iterable[Array], frames: int | None) -> Iterator[Array]:
    """Blocks (n, channels) up to so many frames, all for None; no more is read than these hold."""
    for block in blocks:
        yield block[:frames]
        if frames is not None:
            frames = max(0, frames - len(block))
            if not frames:
                return

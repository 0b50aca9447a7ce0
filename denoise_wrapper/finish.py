"""Steps after a file was cleaned: what was taken away, as a file of its own, and the loudness of the rest."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from denoise_wrapper.audio import Array, from_float, to_float
from denoise_wrapper.errors import AudioError, ConfigError, needs_package
from denoise_wrapper.files.transform import open_source, read_file, transform_file
from denoise_wrapper.files.watch import Watch
from denoise_wrapper.filing import BLOCK_S

Path_ = str | os.PathLike[str]
MIN_LUFS, MAX_LUFS = -70.0, -5.0
MAX_PEAK = 10 ** (-1 / 20)  # full scale being 1: 1 dB is left for what coders make of it


def write_removed(source: Path_, cleaned: Path_, target: Path_, *, overwrite: bool = False) -> None:
    """Write what cleaning took away from a file: the source less the cleaned file, frame by frame.

    source, cleaned: files of one rate and number of channels, in time with each other. target: in the format that its
    suffix says. Where the cleaned file is lossy, so is the difference. Raises FileError, or AudioError if they do not
    belong together, as after vad_gate="drop".
    """
    with contextlib.ExitStack() as stack:
        other = open_source(Path(cleaned), stack)

        def subtract(blocks: Iterable[Array], rate: int, channels: int) -> Iterator[Array]:
            if (other.rate, other.channels) != (rate, channels):
                raise AudioError(f"{source} and {cleaned} have not one rate and one number of channels")
            rest = np.zeros((0, channels), np.float32)
            coming = other.blocks(rate * BLOCK_S)
            for block in blocks:
                while len(rest) < len(block):
                    more = next(coming, None)
                    if more is None:
                        raise AudioError(f"{cleaned} is shorter than {source}, so what was taken away is not known")
                    rest = np.concatenate([rest, to_float(more, "zero")])
                removed = to_float(block, "zero") - rest[: len(block)]
                rest = rest[len(block) :]
                yield from_float(removed, block.dtype)

        transform_file(Path(source), Path(target), subtract, overwrite=overwrite, block_s=BLOCK_S, watch=Watch())


def set_loudness(path: Path_, lufs: float) -> float:
    """Turn a file up or down to a loudness as ITU-R BS.1770 measures it, and replace it.

    lufs: -70 to -5; -16 is usual for podcasts, -23 for broadcasts. No sample gets louder than 1 dB below full scale, so
    a file of high peaks ends up quieter. The file is read whole, and a lossy one is coded once more.
    Returns the loudness it now has, NaN for silence, which stays as it is. Raises ConfigError for a loudness out of
    range or if pyloudnorm is not installed, AudioError for less than 0.4 s, FileError.
    """
    if not MIN_LUFS <= lufs <= MAX_LUFS:
        raise ConfigError(f"loudness is {MIN_LUFS:g} to {MAX_LUFS:g} LUFS, as in -16, not {lufs:g}")
    try:
        import pyloudnorm
    except ModuleNotFoundError as error:
        raise ConfigError(needs_package("measuring loudness needs", error, "loudness")) from error
    samples, rate = read_file(path)
    floats = to_float(samples, "zero")
    meter = pyloudnorm.Meter(rate)
    if len(floats) < meter.block_size * rate:
        raise AudioError(f"{path} is shorter than {meter.block_size:g} s, so its loudness cannot be measured")
    had, peak = float(meter.integrated_loudness(floats)), float(np.abs(floats).max())
    if not math.isfinite(had):
        return math.nan
    gain = min(10.0 ** ((lufs - had) / 20.0), MAX_PEAK / peak)

    def amplify(blocks: Iterable[Array], rate: int, channels: int) -> Iterator[Array]:
        for block in blocks:
            yield from_float(to_float(block, "zero") * np.float32(gain), block.dtype)

    transform_file(Path(path), Path(path), amplify, overwrite=True, block_s=BLOCK_S, watch=Watch())
    return had + 20.0 * math.log10(gain)

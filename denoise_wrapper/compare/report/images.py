"""Spectrograms and waveforms as small pictures. The whole width of each is the whole clip, to the sample."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

WIDTH, HEIGHT, WAVE_HEIGHT = 960, 144, 48  # pixels
TOP_HZ = 20000.0  # of what is shown; clips of lower rates end at half of that
RANGE_DB = 75.0  # from the loudest spot of a clip's tracks down to what is drawn black
LEAST_TOP_DB = -60.0  # of the loudest spot, so that silence is black
COLOURS = "magma"  # rises evenly from black to white: also for the colour-blind, and on paper without colours
WINDOW_S = 0.032  # long enough for harmonics, short enough for plosives
HOP_S = 0.016  # at most, between frames that are averaged to a column
WAVE_COLOUR = (62, 124, 190)  # seen on white and on black
_QUALITY = 70  # of WebP: noise looks like noise, and lines stay lines


def top_hz(rate: int) -> float:
    """The upper end of the spectrograms of a clip of that rate."""
    return min(TOP_HZ, rate / 2.0)


def hz_to_mel(hz: float | Float64) -> Float64:
    """The mel scale, on which equal steps sound about equally wide: linear to some hundred Hz, then logarithmic."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz, np.float64) / 700.0))


def mel_to_hz(mel: Float64) -> Float64:
    """The inverse of `hz_to_mel`."""
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))


def height_of(hz: float, rate: int) -> float:
    """Height of a frequency in a spectrogram: 0 at its foot to 1 at its top."""
    return float(hz_to_mel(hz) / hz_to_mel(top_hz(rate)))


def ticks_hz(rate: int) -> list[float]:
    """The frequencies that are marked in a clip's spectrograms."""
    return [hz for hz in (1000.0, 2000.0, 4000.0, 8000.0, 16000.0) if hz < 0.95 * top_hz(rate)]


def format_hz(hz: float) -> str:
    """A frequency as it is marked."""
    return f"{hz / 1000:g} kHz"


def spectrogram_db(mono: Float32, rate: int, width: int = WIDTH, height: int = HEIGHT) -> Float64:
    """Levels in dB of a clip (n,): (height, width), the highest frequencies first, on a mel scale up to `top_hz`.

    Column c is the mean power of the frames centred in that share of the clip: 32 ms each, at most 16 ms apart.
    """
    size = round(WINDOW_S * rate)
    column = len(mono) / width  # samples, not a whole number
    each = max(1, round(column / (HOP_S * rate)))  # frames of a column
    window = np.hanning(size)
    padded = np.pad(mono.astype(np.float64), (size // 2, size))
    edges = mel_to_hz(np.linspace(0.0, float(hz_to_mel(top_hz(rate))), height + 1)) * size / rate
    power = np.empty((width, height))
    for first in range(0, width, 64):  # so many columns at a time, for the memory's sake
        columns = np.arange(first, min(first + 64, width))
        centres = ((columns[:, None] + (np.arange(each) + 0.5) / each) * column).astype(np.int64)
        frames = padded[centres[..., None] + np.arange(size)] * window
        spectra = (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=1) / np.sum(window**2)
        power[columns] = _bands(spectra, edges)
    return np.asarray(10.0 * np.log10(power.T[::-1] + 1e-14))


def _bands(spectra: Float64, edges: Float64) -> Float64:
    """Mean power between edges, in bins: (frames, bins) to (frames, bands). A bin reaches half a bin to each side.

    Bands may be much narrower than a bin, as the lowest are, or hold many.
    """
    below = np.concatenate([np.zeros((len(spectra), 1)), np.cumsum(spectra, axis=1)], axis=1)
    at = np.clip(edges + 0.5, 0.0, spectra.shape[1])
    bins = np.minimum(at.astype(np.int64), spectra.shape[1] - 1)
    sums = below[:, bins] + (at - bins) * spectra[:, bins]
    return np.diff(sums, axis=1) / np.diff(at)


@functools.cache
def colour_table() -> NDArray[np.uint8]:
    """The colours from the quietest to the loudest: (256, 3)."""
    from matplotlib import colormaps

    return np.asarray(colormaps[COLOURS](np.arange(256), bytes=True)[:, :3])


def extremes(mono: Float32, width: int = WIDTH) -> Float64:
    """The lowest and the highest sample of each share of a clip (n,): (2, width)."""
    edges = np.round(np.arange(width) * len(mono) / width).astype(np.int64)
    signal = mono if len(mono) else np.zeros(1, np.float32)
    edges = np.minimum(edges, len(signal) - 1)
    return np.stack([np.minimum.reduceat(signal, edges), np.maximum.reduceat(signal, edges)]).astype(np.float64)


@dataclass(frozen=True)
class Pictures:
    """Pictures of a clip's tracks, by their places: levels_db (height, width), extremes (2, width).

    All are drawn on one scale.
    """

    levels_db: dict[int, Float64]
    extremes: dict[int, Float64]

    @property
    def top_db(self) -> float:
        """The loudest spot of all spectrograms, which has the brightest colour; RANGE_DB below it is the darkest."""
        return max([LEAST_TOP_DB, *(float(levels.max()) for levels in self.levels_db.values())])

    @property
    def peak(self) -> float:
        """The loudest sample of all, which fills the height of its waveform; 0 if all are silent."""
        return max((float(np.abs(ends).max()) for ends in self.extremes.values()), default=0.0)

    def _shares(self, at: int) -> Float64:
        """0, what is drawn black, to 1, the brightest."""
        return np.clip((self.levels_db[at] - self.top_db) / RANGE_DB + 1.0, 0.0, 1.0)

    def filled(self, at: int) -> float:
        """Share of a track's spectrogram that is not black."""
        return float(np.mean(self._shares(at) > 0.0))

    def spectrogram(self, at: int) -> bytes:
        """A track's levels as a WebP picture."""
        return _webp(
            colour_table()[np.round(self._shares(at) * 255.0).astype(np.int64)], "RGB", quality=_QUALITY, method=4
        )

    def waveform(self, at: int) -> bytes:
        """A track's extremes as a WebP picture without a background."""
        middle = 0.5 * (WAVE_HEIGHT - 1)
        low, high = self.extremes[at] / (self.peak or 1.0) * middle
        rows = middle - np.arange(WAVE_HEIGHT)[:, None]
        pixels = np.zeros((WAVE_HEIGHT, len(low), 4), np.uint8)
        pixels[..., :3] = WAVE_COLOUR
        pixels[..., 3] = 255 * ((rows <= high + 0.5) & (rows >= low - 0.5))
        return _webp(pixels, "RGBA", lossless=True, method=4)


def _webp(pixels: NDArray[np.uint8], mode: str, **settings: object) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes()).save(file, "WEBP", **settings)
    return file.getvalue()

"""Filters of whole clips: second-order sections and rooms, by overlap-add of blocks that are transformed together.

Blocks are as long as what rings on asks for, down to -80 dB; what rings on for longer comes round to their beginning.
"""

from __future__ import annotations

import functools

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Complex64 = NDArray[np.complex64]
AT_ONCE = 1 << 16  # samples transformed together: enough for SIMD, few enough for the cache
SMALLEST, LONGEST = 2048, 1 << 14  # samples: of a block, and that sections may ring on
Sections = NDArray[np.float64]  # (n, 6), as scipy has them


def run_filter(signal: Float32, sections: Sections | None = None, room: Float32 | None = None) -> Float32:
    """signal through second-order sections, a room's response, or both; float32, as long as signal."""
    ring = (0 if sections is None else ringing(sections)) + (0 if room is None else len(room))
    block = max(SMALLEST, 1 << (2 * ring - 1).bit_length())
    response = frequency_response(sections, block) if sections is not None else np.ones(block // 2 + 1, np.complex64)
    if room is not None:
        response *= scipy.fft.rfft(room, block)
    return overlap_add(signal, response, block, block - min(ring, block // 2))


def ringing(sections: Sections) -> int:
    """Samples after which an impulse through second-order sections is 80 dB down, by their longest pole."""
    half, product = 0.5 * sections[:, 4] / sections[:, 3], sections[:, 5] / sections[:, 3]
    spread = half**2 - product
    radius = np.where(spread < 0.0, np.sqrt(np.abs(product)), np.abs(half) + np.sqrt(np.maximum(spread, 0.0))).max()
    return int(min(np.log(1e-4) / np.log(min(max(radius, 0.1), 0.99999)), LONGEST))


def overlap_add(signal: Float32, response: Complex64, block: int, step: int) -> Float32:
    """signal times a frequency response, in blocks of step samples; block - step of what rings on, at most step."""
    frames = np.zeros((max(1, -(-len(signal) // step)), step), np.float32)
    frames.reshape(-1)[: len(signal)] = signal
    ring = np.zeros(block - step, np.float32)
    rows = max(4, AT_ONCE // block)
    for first in range(0, len(frames), rows):
        group = frames[first : first + rows]
        spectra = scipy.fft.rfft(group, block)
        spectra *= response
        rung = scipy.fft.irfft(spectra, block)
        group[:] = rung[:, :step]
        group[0, : block - step] += ring
        group[1:, : block - step] += rung[:-1, step:]
        ring = rung[-1, step:]
    return frames.reshape(-1)[: len(signal)]


def frequency_response(sections: Sections, block: int) -> Complex64:
    """Of second-order sections in a row, at the frequencies of a block's transform: (block / 2 + 1,)."""
    powers = unit_circle(block)
    response = (sections[:, :3].astype(np.complex64) @ powers) / (sections[:, 3:].astype(np.complex64) @ powers)
    return np.asarray(response.prod(axis=0), np.complex64)


@functools.lru_cache(maxsize=16)
def unit_circle(block: int) -> Complex64:
    """1, 1/z and 1/z^2 at the frequencies of a block's transform: (3, block / 2 + 1)."""
    angle = 2.0 * np.pi * np.arange(block // 2 + 1) / block
    return np.exp(-1j * np.outer(np.arange(3), angle)).astype(np.complex64)


def random_filter(rng: np.random.Generator, rate: int, most_peaks: int) -> Sections:
    """A random spectrum: a second-order section over the whole band, and peaks or dips of up to 9 dB."""
    taps = rng.uniform(-0.375, 0.375, 4)
    sections = [[1.0, taps[0], taps[1], 1.0, taps[2], taps[3]]]
    for _ in range(int(rng.integers(0, most_peaks + 1))):
        angle = 2.0 * np.pi * np.exp(rng.uniform(np.log(100.0), np.log(6000.0))) / rate
        amplitude, alpha = 10.0 ** (rng.uniform(-9.0, 9.0) / 40.0), np.sin(angle) / (2.0 * rng.uniform(0.4, 2.0))
        middle = -2.0 * np.cos(angle)
        rows = np.array([1 + alpha * amplitude, middle, 1 - alpha * amplitude,
                         1 + alpha / amplitude, middle, 1 - alpha / amplitude])  # fmt: skip
        sections.append(list(rows / rows[3]))
    return np.array(sections)


def low_pass(signal: Float32, limit_hz: float, rate: int) -> Float32:
    """A steep low-pass, 80 dB down from 4 % above limit_hz, as a narrower recording or codec leaves it."""
    return signal if limit_hz >= 0.49 * rate else run_filter(signal, low_pass_sections(limit_hz, rate))


@functools.lru_cache(maxsize=64)
def low_pass_sections(limit_hz: float, rate: int) -> Sections:
    return np.asarray(scipy.signal.ellip(10, 0.1, 80.0, limit_hz, fs=rate, output="sos"))

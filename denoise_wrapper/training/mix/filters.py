"""Filters of whole clips: second-order sections by the engine, rooms by overlap-add of blocks transformed together."""

from __future__ import annotations

import functools

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib

Float32 = NDArray[np.float32]
Complex64 = NDArray[np.complex64]
AT_ONCE = 1 << 16  # samples transformed together: enough for SIMD, few enough for the cache
SMALLEST = 2048  # samples of a block
STEPS = 128  # of a speed of 1: so many filters lead from one to another, and are made once
Sections = NDArray[np.float64]  # (n, 6), as scipy has them


def run_sections(sections: Sections, signal: Float32, other: Float32 | None = None) -> None:
    """Put a signal through second-order sections, from silence on, in place; and another, in the same time.

    signal, other: float32 (n,), C-contiguous, in memory of their own.
    """
    coefficients = np.ascontiguousarray(sections[:, (0, 1, 2, 4, 5)] / sections[:, 3:4])
    one = ffi.from_buffer("float[]", signal, require_writable=True)
    two = one if other is None else ffi.from_buffer("float[]", other, require_writable=True)
    lib.dn_sections(one, two, len(signal), ffi.from_buffer("double[]", coefficients), len(coefficients))


def run_room(signal: Float32, response: Float32) -> Float32:
    """Put a signal into a room: float32, as long as signal. response: (n,), a room's impulse response."""
    ring = len(response)
    block = max(SMALLEST, 1 << (2 * ring - 1).bit_length())
    return overlap_add(signal, scipy.fft.rfft(response, block), block, block - min(ring, block // 2))


def change_speed(signal: Float32, speed: float) -> Float32:
    """Play a signal faster and higher, or slower and lower: (ceil(n / speed),), speed being rounded by `round_speed`.

    What is above 0.34 of the rate fades, there or here, whichever is lower: a quick resampling.
    """
    ratio = speed_ratio(round(speed * STEPS))
    reach = lib.dn_ratio_reach(ratio)
    padded = np.zeros(len(signal) + 2 * reach + 1, np.float32)
    padded[reach : reach + len(signal)] = signal
    result = np.empty(-(-len(signal) * STEPS // round(speed * STEPS)), np.float32)
    pointers = [ffi.from_buffer("float[]", array) for array in (padded, result)]
    status = lib.dn_resample(ratio, pointers[0], -reach, len(padded), pointers[1], 0, len(result))
    assert status == lib.DN_OK, f"dn_resample answered {status}"
    return result


def round_speed(speed: float) -> float:
    """The nearest speed that `change_speed` has."""
    return max(1, round(speed * STEPS)) / STEPS


@functools.lru_cache(maxsize=512)
def speed_ratio(steps: int) -> object:
    """Filters that lead to steps / STEPS of the speed."""
    created = ffi.new("dn_ratio **")
    status = lib.dn_ratio_create_quick(steps, STEPS, created)
    if status == lib.DN_NO_MEMORY:
        raise MemoryError("no memory for a change of speed")
    assert status == lib.DN_OK, f"dn_ratio_create_quick answered {status}"
    return ffi.gc(created[0], lib.dn_ratio_destroy)


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


def random_filter(rng: np.random.Generator, rate: int, most_peaks: int) -> Sections:
    """A random spectrum: a second-order section over the whole band, and peaks or dips of up to 9 dB."""
    taps = rng.uniform(-0.375, 0.375, 4)
    sections = [[1.0, taps[0], taps[1], 1.0, taps[2], taps[3]]]
    for _ in range(int(rng.integers(0, most_peaks + 1))):
        angle = 2.0 * np.pi * np.exp(rng.uniform(np.log(100.0), np.log(min(6000.0, 0.45 * rate)))) / rate
        amplitude, alpha = 10.0 ** (rng.uniform(-9.0, 9.0) / 40.0), np.sin(angle) / (2.0 * rng.uniform(0.4, 2.0))
        middle = -2.0 * np.cos(angle)
        rows = np.array([1 + alpha * amplitude, middle, 1 - alpha * amplitude,
                         1 + alpha / amplitude, middle, 1 - alpha / amplitude])  # fmt: skip
        sections.append(list(rows / rows[3]))
    return np.array(sections)


def low_pass(limit_hz: float, rate: int, signal: Float32, other: Float32 | None = None) -> None:
    """A steep low-pass, 80 dB down from 4 % above limit_hz, as a narrower recording or codec leaves it; in place."""
    if limit_hz < 0.49 * rate:
        run_sections(low_pass_sections(limit_hz, rate), signal, other)


@functools.lru_cache(maxsize=64)
def low_pass_sections(limit_hz: float, rate: int) -> Sections:
    return np.asarray(scipy.signal.ellip(10, 0.1, 80.0, limit_hz, fs=rate, output="sos"))

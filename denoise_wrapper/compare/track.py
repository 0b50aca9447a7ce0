"""The last steps of a cleaned clip: brought in time with the original, made as loud if so asked, measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.comparison import Track
from denoise_wrapper.compare.measure import metrics
from denoise_wrapper.compare.measure.levels import even_gain_db, levels, loudness_db
from denoise_wrapper.compare.measure.metrics import NO_REFERENCE
from denoise_wrapper.errors import DenoiseError
from denoise_wrapper.files.results import note_result
from denoise_wrapper.files.soundfiles import write_wav
from denoise_wrapper.files.transform import read_floats

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Raw:
    """A clip as a candidate gave it back, or why there is none.

    file: a .npy of float32 (frames, channels), at rate Hz. delay: samples at 16 kHz by which it lags by itself, None if
    that is not known. latency_s: of the stream that cleaned it, taken away already.
    lag: samples at 16 kHz by which the candidate lags, on all clips. target: the WAV to write, None for none.
    match_level: whether it is made as loud as the reference. strict: whether an unreadable reference is an error.
    """

    clip: Clip
    file: Path | None = None
    rate: int = 0
    delay: int | None = None
    latency_s: float = 0.0
    error: str | None = None
    lag: int = 0
    target: Path | None = None
    match_level: bool = False
    strict: bool = False


def finish(raw: Raw) -> Track:
    """Make the track of a raw clip, and remove that one's file."""
    if raw.file is None:
        return Track(raw.clip, error=raw.error)
    try:
        return _finish(raw, np.load(raw.file))
    except (DenoiseError, OSError) as error:
        return Track(raw.clip, error=str(error))
    finally:
        raw.file.unlink(missing_ok=True)


def _finish(raw: Raw, samples: Float32) -> Track:
    clip = raw.clip
    noisy, noisy_rate = read_floats(clip.noisy)
    problems, extra = _differences(samples, raw.rate, noisy, noisy_rate)
    clean, clean_rate, reason = _reference(clip, raw.strict)
    source = metrics.to_rate(noisy, noisy_rate)
    reference = None if clean is None else metrics.to_rate(clean, clean_rate)
    gain_db = 0.0
    if raw.match_level:
        target = source if reference is None else reference
        gain_db = loudness_db(_mono(samples, raw), target, metrics.RATE, clean=reference is not None)
    samples = samples * np.float32(10.0 ** (gain_db / 20.0))
    if raw.target is not None:
        write_wav(raw.target, _in_time(samples, raw, noisy_rate, len(noisy)), noisy_rate)
        note_result(raw.target)
    measured = metrics.measure(
        samples,
        clean,
        clean_rate,
        estimate_rate=raw.rate,
        delay=raw.lag,
        full_band=(clip.source_rate or min(noisy_rate, clean_rate)) >= metrics.FULL_BAND_FROM,
    )
    reasons = {name: why for name, why in measured.reasons.items() if why != NO_REFERENCE}
    if reason is not None:  # else the clip is one that has no reference
        reasons |= {name: reason for name, why in measured.reasons.items() if why == NO_REFERENCE}
    level_values, level_reasons = levels(_mono(samples, raw), source, reference, metrics.RATE)
    return Track(
        clip,
        raw.target,
        {**measured.values, **level_values},
        {**reasons, **level_reasons},
        None if raw.delay is None else 1000.0 * raw.delay / metrics.RATE + 1000.0 * raw.latency_s,
        extra,
        measured.lost,
        gain_db,
        even_gain_db(level_values["SPEECH"]),
        tuple(problems),
    )


def _mono(samples: Float32, raw: Raw) -> metrics.Float64:
    """The result at 16 kHz, in time: float64 (n,)."""
    return metrics.shift(metrics.to_rate(samples, raw.rate), raw.lag)


def _differences(samples: Float32, rate: int, noisy: Float32, noisy_rate: int) -> tuple[list[str], int]:
    """The ways in which a result is unlike its clip, in words; and by how many frames, at its rate, it is longer."""
    problems = []
    if rate != noisy_rate:
        problems.append(f"it has {rate} Hz where the clip has {noisy_rate}: resampled")
    if samples.shape[1] != noisy.shape[1]:
        problems.append(f"it has {samples.shape[1]} channels where the clip has {noisy.shape[1]}")
    extra = round(len(samples) * noisy_rate / rate) - len(noisy)
    if abs(extra) > (0 if rate == noisy_rate else math.ceil(noisy_rate / rate)):
        way, done = ("longer", "cut") if extra > 0 else ("shorter", "filled up with silence")
        times = f"{abs(extra)} frames ({1000 * abs(extra) / noisy_rate:.1f} ms)"
        problems.append(f"it is {times} {way} than the clip: {done}")
    return problems, extra


def _reference(clip: Clip, strict: bool) -> tuple[Float32 | None, int, str | None]:
    """The reference and its rate; None without one, and why, if there should be one. strict: raise what stops it."""
    if clip.clean is None:
        return None, clip.rate, clip.problem
    try:
        return *read_floats(clip.clean), None
    except DenoiseError as error:
        if strict:
            raise
        return None, clip.rate, str(error)


def _in_time(samples: Float32, raw: Raw, rate: int, frames: int) -> Float32:
    """The result at the clip's rate, in time with it and as long: float32 (frames, channels)."""
    late = round(raw.lag * raw.rate / metrics.RATE)
    samples = samples[late:] if late >= 0 else np.pad(samples, ((-late, 0), (0, 0)))
    if raw.rate != rate and len(samples):
        samples = metrics.resample(samples.astype(np.float64), raw.rate, rate).astype(np.float32)
    samples = samples[:frames]
    return np.pad(samples, ((0, frames - len(samples)), (0, 0)))

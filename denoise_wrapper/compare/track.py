"""What is done with a clip that was cleaned: brought in time with the original, made as loud if so asked, measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.compare.comparison import Clip, Track
from denoise_wrapper.compare.evaluate import read_audio
from denoise_wrapper.compare.measure import metrics
from denoise_wrapper.compare.measure.levels import levels, loudness_db
from denoise_wrapper.compare.measure.metrics import NO_REFERENCE, Float64
from denoise_wrapper.errors import DenoiseError
from denoise_wrapper.files.soundfiles import write_wav

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Raw:
    """A clip as a candidate gave it back, or why there is none.

    file: a .npy of float32 (frames, channels), at rate Hz. delay: samples at 16 kHz by which it lags by itself, None if
    that cannot be told. latency_s: of the stream that cleaned it, taken away already.
    lag: samples at 16 kHz by which the candidate lags, on all clips. target: where the WAV goes.
    """

    clip: Clip
    file: Path | None = None
    rate: int = 0
    delay: int | None = None
    latency_s: float = 0.0
    error: str | None = None
    lag: int = 0
    target: Path | None = None


def finish(match_level: bool, raw: Raw) -> Track:
    """The track of a raw clip, whose file is removed."""
    if raw.file is None:
        return Track(raw.clip, None, error=raw.error)
    try:
        return _finish(match_level, raw, np.load(raw.file))
    except (DenoiseError, OSError) as error:
        return Track(raw.clip, None, error=str(error))
    finally:
        raw.file.unlink(missing_ok=True)


def _finish(match_level: bool, raw: Raw, samples: Float32) -> Track:
    clip, target = raw.clip, raw.target
    assert target is not None
    noisy, noisy_rate = read_audio(clip.noisy)
    problems, extra = _differences(samples, raw.rate, noisy, noisy_rate)
    clean, clean_rate, reason = _reference(clip)
    source = metrics.to_rate(noisy, noisy_rate)
    against = source if clean is None else metrics.to_rate(clean, clean_rate)
    referenced = clean is not None
    gain_db = _loudness_db(samples, raw, against, referenced) if match_level else 0.0
    samples = samples * np.float32(10.0 ** (gain_db / 20.0))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_wav(target, _in_time(samples, raw, noisy_rate, len(noisy)), noisy_rate)
    measured = metrics.measure(
        samples,
        clean,
        clean_rate,
        estimate_rate=raw.rate,
        delay=raw.lag,
        full_band=min(noisy_rate, clean_rate) >= metrics.FULL_BAND_FROM,
    )
    reasons = dict(measured.reasons)
    if clean is None:
        without = {name for name, why in reasons.items() if why == NO_REFERENCE}
        reasons = {name: why for name, why in reasons.items() if name not in without}
        reasons |= dict.fromkeys(without, reason) if reason is not None else {}
    heard = metrics.shift(metrics.to_rate(samples, raw.rate), raw.lag)
    level_values, level_reasons = levels(heard, source, against if referenced else None, metrics.RATE)
    return Track(
        clip,
        target,
        {**measured.values, **level_values},
        {**reasons, **level_reasons},
        None if raw.delay is None else 1000.0 * (raw.delay / metrics.RATE + raw.latency_s),
        extra,
        gain_db,
        _loudness_db(samples, raw, against, referenced),
        tuple(problems),
    )


def _differences(samples: Float32, rate: int, noisy: Float32, noisy_rate: int) -> tuple[list[str], int]:
    """What is not as the clip is, in words; and by how many frames, at its rate, the result is longer."""
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


def _reference(clip: Clip) -> tuple[Float32 | None, int, str | None]:
    """The reference and its rate; None without one, and why, if there should be one."""
    if clip.clean is None:
        return None, clip.rate, clip.problem
    try:
        return *read_audio(clip.clean), None
    except DenoiseError as error:
        return None, clip.rate, str(error)


def _loudness_db(samples: Float32, raw: Raw, against: Float64, referenced: bool) -> float:
    heard = metrics.shift(metrics.to_rate(samples, raw.rate), raw.lag)
    return loudness_db(heard, against, metrics.RATE, clean=referenced)


def _in_time(samples: Float32, raw: Raw, rate: int, frames: int) -> Float32:
    """The result at the clip's rate, in time with it and as long: float32 (frames, channels)."""
    late = round(raw.lag * raw.rate / metrics.RATE)
    samples = samples[late:] if late >= 0 else np.pad(samples, ((-late, 0), (0, 0)))
    if raw.rate != rate and len(samples):
        samples = metrics.resample(samples.astype(np.float64), raw.rate, rate).astype(np.float32)
    samples = samples[:frames]
    return np.pad(samples, ((0, frames - len(samples)), (0, 0)))

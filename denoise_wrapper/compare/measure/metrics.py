"""Quality of a clip: the usual measures of an estimate beside its clean reference.

All are taken at 16 kHz but HFLSD. Higher is better, but for LFLSD and HFLSD:

    PESQ                quality, wide-band, 1 to 4.64              pesq
    STOI, ESTOI         intelligibility, 0 to 1                    pystoi
    SISDR               scale-invariant signal to distortion, dB
    SIG, BAK, OVRL      DNSMOS P.835, 1 to 5, needs no reference   speechmos
    LFLSD               log-spectral distance up to 8 kHz, dB: frames of 512 samples, 32 ms
    HFLSD               the same from 8 to 20 kHz, of full-band clips: frames of 2048 samples at 48 kHz

The packages are those of the extra "metrics", imported when they are needed. Audio is (frames,) or (frames, channels),
floats with full scale 1, channels are averaged. AudioError says that a clip cannot be judged and why, ConfigError that
a package is missing.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import subprocess
import sys
import warnings
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import AudioError, ConfigError, needs_package

Array = NDArray[Any]
Float64 = NDArray[np.float64]

METRICS = ("PESQ", "STOI", "ESTOI", "SISDR", "SIG", "BAK", "OVRL", "LFLSD", "HFLSD")
NEED_NO_REFERENCE = ("SIG", "BAK", "OVRL")
NO_REFERENCE = "there is no reference"  # the reason
RATE = 16000  # Hz, of all but HFLSD
FULL_BAND_RATE = 48000  # Hz, of HFLSD
FULL_BAND_FROM = 44100  # Hz; what is sampled at less has nothing to compare below 20 kHz
MAX_DELAY = RATE // 10  # samples either way
# pesq keeps 50 utterances and writes past the end of its memory if it finds many more; shorter clips have no room
# for so many, longer ones go to a process of their own.
PESQ_SAFE = 20 * RATE
STOI_LEAST = 0.4  # seconds of speech: 30 frames
_PESQ_PROGRAM = """
import sys, numpy, pesq
clean, estimate = numpy.frombuffer(sys.stdin.buffer.read()).reshape(2, -1)
print(pesq.pesq(int(sys.argv[1]), clean, estimate, "wb"))
"""


@dataclass(frozen=True)
class Measures:
    """Measures of one clip.

    values: each metric asked for; NaN if it could not be measured. reasons: why, for each of those that could not; one
    that is NaN without a reason does not apply (HFLSD of a clip that is not full-band).
    delay: samples at 16 kHz by which the estimate lagged, taken away before. lost: samples at 16 kHz that it then was
    too short by.
    """

    values: dict[str, float]
    reasons: dict[str, str]
    delay: int
    lost: int


def measure(
    estimate: Array,
    clean: Array | None,
    rate: int,
    *,
    estimate_rate: int | None = None,
    delay: int | None = None,
    full_band: bool | None = None,
    metrics: Collection[str] = METRICS,
) -> Measures:
    """Measure a clip. A metric that cannot be measured is NaN, with the reason beside it.

    estimate: the clip to judge. clean: its reference, at rate; None if there is none, and then only DNSMOS is measured.
    estimate_rate: Hz, None if that is rate too. delay: samples at 16 kHz by which the estimate lags; None to find it,
    as `find_delay` does, or without a reference for none.
    full_band: whether there is something to compare from 8 to 20 kHz; None tells it from rate.
    Raises ConfigError for an unknown metric, and where soxr, which brings both to one rate, is missing.
    """
    for name in metrics:
        if name not in METRICS:
            raise ConfigError(f"there is no metric {name!r}; known are {', '.join(METRICS)}")
    estimate_rate = estimate_rate or rate
    out, reference = to_rate(estimate, estimate_rate), None if clean is None else to_rate(clean, rate)
    if delay is None and reference is not None:
        with contextlib.suppress(AudioError):
            delay = find_delay(out, reference)
    late, lost = delay or 0, 0
    if reference is None:
        out = shift(out, late)
    else:
        out, reference, lost = align(out, reference, late)

    def hf_lsd(_: Float64) -> float:
        assert clean is not None
        scale = FULL_BAND_RATE // RATE
        wide, wide_reference = to_rate(estimate, estimate_rate, FULL_BAND_RATE), to_rate(clean, rate, FULL_BAND_RATE)
        return log_spectral_distance_db(*align(wide, wide_reference, scale * late)[:2])

    referenced: dict[str, Callable[[Float64], float]] = {
        "PESQ": lambda reference: pesq(out, reference),
        "STOI": lambda reference: stoi(out, reference),
        "ESTOI": lambda reference: stoi(out, reference, extended=True),
        "SISDR": lambda reference: si_sdr_db(out, reference),
        "LFLSD": lambda reference: low_spectral_distance_db(out, reference),
    }
    if rate >= FULL_BAND_FROM if full_band is None else full_band:
        referenced["HFLSD"] = hf_lsd

    def compute(name: str) -> dict[str, float]:
        if reference is None:
            raise AudioError(NO_REFERENCE)
        return {name: referenced[name](reference)}

    tasks = [((name,), functools.partial(compute, name)) for name in referenced]
    return Measures(*_run_tasks([*tasks, (NEED_NO_REFERENCE, lambda: dnsmos(out))], metrics), late, lost)


def _run_tasks(
    tasks: Iterable[tuple[tuple[str, ...], Callable[[], dict[str, float]]]], metrics: Collection[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """The values of the metrics, NaN for what could not be measured, and why."""
    values = dict.fromkeys(metrics, float("nan"))
    reasons: dict[str, str] = {}
    for names, task in tasks:
        wanted = [name for name in names if name in values]
        if not wanted:
            continue
        try:
            measured = task()
            values.update((name, measured[name]) for name in wanted)
        except (AudioError, ConfigError) as error:
            reasons.update((name, str(error)) for name in wanted)
    return values, reasons


def to_rate(audio: Array, rate: int, target: int = RATE) -> Float64:
    """The mean of the channels at another rate: float64 (n,)."""
    mono = np.asarray(audio, np.float64)
    return resample(mono.mean(axis=1) if mono.ndim == 2 else mono, rate, target)


def resample(audio: Float64, rate: int, target: int) -> Float64:
    """Audio at another rate, each channel for itself: float64 (n,) or (n, channels)."""
    if rate == target or not len(audio):
        return audio
    return np.asarray(_package("soxr").resample(audio, rate, target, "VHQ"))


def check_resampler() -> None:
    """Raises ConfigError if soxr is missing, without which hardly anything can be measured."""
    _package("soxr")


def find_delay(estimate: Float64, clean: Float64, limit: int = MAX_DELAY) -> int:
    """Samples by which estimate lags clean, within +-limit: where their cross-correlation is highest."""
    check_signal(estimate, "the clip")
    check_signal(clean, "the reference")
    size = 1 << (len(estimate) + len(clean)).bit_length()
    limit = min(limit, size // 2 - 1)
    spectrum = np.fft.rfft(estimate, size) * np.conj(np.fft.rfft(clean, size))
    correlation = np.fft.irfft(spectrum, size)
    return int(np.argmax(np.concatenate([correlation[-limit:], correlation[: limit + 1]]))) - limit


def align(estimate: Float64, clean: Float64, delay: int) -> tuple[Float64, Float64, int]:
    """Both in time and equally long, and how many samples of clean the estimate has nothing for.

    delay: samples by which the estimate lags; if it is ahead, it gets zeros before it.
    """
    estimate = shift(estimate, delay)
    length = min(len(estimate), len(clean))
    return estimate[:length], clean[:length], len(clean) - length


def shift(estimate: Float64, delay: int) -> Float64:
    """The signal from so many samples on; zeros before it if that is negative."""
    return estimate[delay:] if delay >= 0 else np.concatenate([np.zeros(-delay), estimate])


def pesq(estimate: Float64, clean: Float64) -> float:
    """PESQ, wide-band (P.862.2), of clips at 16 kHz."""
    _check_pair(estimate, clean)
    package = _package("pesq")
    if len(clean) > PESQ_SAFE:
        return _pesq_alone(estimate, clean)
    try:
        return float(package.pesq(RATE, clean, estimate, "wb"))
    except package.NoUtterancesError as error:
        raise AudioError("PESQ finds no speech in the reference") from error
    except package.BufferTooShortError as error:
        raise AudioError(f"the clip is too short for PESQ, {len(clean) / RATE:.2f} s") from error


def _pesq_alone(estimate: Float64, clean: Float64) -> float:
    """PESQ in a process of its own, which may crash."""
    done = subprocess.run(
        [sys.executable, "-c", _PESQ_PROGRAM, str(RATE)],
        input=np.stack([clean, estimate]).astype(np.float64).tobytes(),
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        return float(done.stdout)
    if b"NoUtterancesError" in done.stderr:
        raise AudioError("PESQ finds no speech in the reference")
    raise AudioError(f"PESQ is for clips of 8 to 20 s and failed on this one of {len(clean) / RATE:.0f} s; cut it up")


def stoi(estimate: Float64, clean: Float64, extended: bool = False) -> float:
    """STOI, or extended STOI, of clips at 16 kHz."""
    _check_pair(estimate, clean)
    package, short = _package("pystoi"), f"STOI needs {STOI_LEAST} s of speech, and there is less in the reference"
    if len(clean) < STOI_LEAST * RATE:
        raise AudioError(short)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = float(package.stoi(clean, estimate, RATE, extended=extended))
    if value == 1e-5:  # what it says in place of an error
        raise AudioError(short)
    return value


def si_sdr_db(estimate: Float64, clean: Float64) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, of means taken out."""
    _check_pair(estimate, clean)
    estimate, clean = estimate - estimate.mean(), clean - clean.mean()
    wanted = float(estimate @ clean) / float(clean @ clean) * clean
    rest = estimate - wanted
    return 10.0 * float(np.log10((wanted @ wanted + 1e-20) / (rest @ rest + 1e-20)))


def dnsmos(estimate: Float64) -> dict[str, float]:
    """DNSMOS P.835 of a clip at 16 kHz: SIG of the speech, BAK of the background, OVRL of it all."""
    check_signal(estimate, "the clip")
    opinion = _dnsmos_model()(np.clip(estimate, -1.0, 1.0).astype(np.float32), RATE, False)
    return {name: float(opinion[f"{name.lower()}_mos"]) for name in ("SIG", "BAK", "OVRL")}


@functools.cache
def _dnsmos_model() -> Any:
    """The networks, with one thread each: who scores many clips runs several processes."""
    package, runtime = _package("speechmos.dnsmos"), _package("onnxruntime")
    folder = Path(package.__file__).parent / "dnsmos_models"
    model = package.DNSMOS(str(folder / "sig_bak_ovr.onnx"), str(folder / "model_v8.onnx"))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    for name, path in (("onnx_sess", "sig_bak_ovr.onnx"), ("p808_onnx_sess", "model_v8.onnx")):
        setattr(model, name, runtime.InferenceSession(str(folder / path), options))
    return model


def low_spectral_distance_db(estimate: Float64, clean: Float64) -> float:
    """The log-spectral distance up to 8 kHz of clips at 16 kHz, in frames of 512 samples: 32 ms, about a phone's part.

    Unlike SI-SDR it hears the level too: the same clip 6 dB louder is 6 dB away, but where it is all but silent.
    Every frame counts alike, and all down to what 16 bits can hold: most of it is what is left in pauses.
    """
    return log_spectral_distance_db(estimate, clean, RATE, (0.0, 8000.0), 512)


def log_spectral_distance_db(
    estimate: Float64,
    clean: Float64,
    rate: int = FULL_BAND_RATE,
    band_hz: tuple[float, float] = (8000.0, 20000.0),
    size: int = 2048,
) -> float:
    """RMS difference of the log power spectra in a band, in dB: a mean over frames of size samples, half overlapping.

    Both in time and equally long.
    """
    _check_pair(estimate, clean)
    if len(clean) < size:
        raise AudioError(f"the clip is too short for a log-spectral distance, {len(clean)} samples of {size}")
    frequencies = np.fft.rfftfreq(size, 1.0 / rate)
    inside = (frequencies >= band_hz[0]) & (frequencies <= band_hz[1])

    def log_power(signal: Float64) -> Float64:
        frames = np.lib.stride_tricks.sliding_window_view(signal, size)[:: size // 2] * np.hanning(size)
        return 10.0 * np.log10(np.abs(np.fft.rfft(frames)[:, inside]) ** 2 + 1e-8)

    return float(np.sqrt(np.mean((log_power(estimate) - log_power(clean)) ** 2, axis=1)).mean())


def _check_pair(estimate: Float64, clean: Float64) -> None:
    if estimate.shape != clean.shape:
        raise AudioError(f"the clip and its reference are equally long, not {estimate.shape} and {clean.shape}")
    check_signal(clean, "the reference")
    check_signal(estimate, "the clip")


def check_signal(signal: Float64, what: str) -> None:
    """Raises AudioError if there is nothing in a signal to measure; what: it is called so."""
    if not len(signal):
        raise AudioError(f"{what} holds no samples")
    if not np.isfinite(signal).all():
        raise AudioError(f"{what} holds samples that are not finite")
    if np.ptp(signal) == 0.0:
        raise AudioError(f"{what} is silent")


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(needs_package("the metrics need", error, "metrics")) from error

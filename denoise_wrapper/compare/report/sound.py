"""The tracks of a clip as the page plays them: read as far as they are played, brought to one rate, compressed."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.files.transform import read_floats

Float32 = NDArray[np.float32]

TYPES = {"opus": "audio/ogg", "flac": "audio/flac"}
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)  # Hz, that Opus knows; all else goes through the last
_FULL_BAND = 48000  # Hz
_KBIT_S = {False: 64, True: 96}  # a channel, by whether it is full-band: no audible loss
_MOST_CHANNELS = 2  # of what is played; more are averaged


def check_kind(kind: str) -> None:
    """Raises ConfigError if audio cannot be kept so."""
    if kind not in TYPES:
        raise ConfigError(f"the report keeps its audio as {' or '.join(TYPES)}, not {kind!r}")


def read_start(path: Path, seconds: float) -> tuple[Float32, int]:
    """Read the first so many seconds of a file, float32 (frames, channels) with full scale 1, and its rate.

    No more than two channels: of more their mean. Raises FileError or AudioError.
    """
    audio, rate = read_floats(path, seconds)
    return (audio if audio.shape[1] <= _MOST_CHANNELS else audio.mean(axis=1, keepdims=True)), rate


def fit(audio: Float32, rate: int, target: int, frames: int) -> Float32:
    """Audio (n, channels) at another rate, cut or filled with zeros to so many frames of it."""
    if rate != target and len(audio):
        import soxr

        audio = np.asarray(soxr.resample(audio, rate, target, "VHQ"), np.float32)
    missing = max(0, frames - len(audio))
    return np.pad(audio[:frames], ((0, missing), (0, 0)))


def encode(audio: Float32, rate: int, kind: str) -> bytes:
    """Audio (frames, channels) of at most full scale as a file of its own.

    kind: "opus" (of what Opus has no rate for, at 48 kHz), or "flac", lossless to 24 bits.
    """
    import soundfile

    file = io.BytesIO()
    if kind == "flac":
        soundfile.write(file, audio, rate, "PCM_24", format="FLAC")
        return file.getvalue()
    if rate not in _OPUS_RATES:
        audio, rate = fit(audio, rate, _FULL_BAND, round(len(audio) * _FULL_BAND / rate)), _FULL_BAND
    level = 1.0 - (_KBIT_S[rate == _FULL_BAND] - 6.0) / 250.0  # libsndfile: 1 is 6 kbit/s a channel, 0 is 256
    soundfile.write(file, np.clip(audio, -1.0, 1.0), rate, "OPUS", format="OGG", compression_level=level)
    return file.getvalue()


def to_base64(data: bytes) -> str:
    """Encode audio as the page holds it."""
    return base64.b64encode(data).decode("ascii")

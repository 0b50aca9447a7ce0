"""The class of RNNoise_Wrapper, on top of Denoiser: change one import line and the rest stays.

`from rnnoise_wrapper import RNNoise` becomes `from denoise_wrapper.compat import RNNoise`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from denoise_wrapper.audio import Array, as_array, check_rate, from_float, is_segment, segment_samples, to_float
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import AudioError, DenoiseError, needs_package
from denoise_wrapper.stream.gate import Cutter, Gate
from denoise_wrapper.stream.resample import resample
from denoise_wrapper.stream.stream import Stream

if TYPE_CHECKING:
    from pydub import AudioSegment

LIVE_S = 0.25  # bytes of less than this are a piece of a live signal, not a clip


class RNNoise:
    """Denoising as users of RNNoise_Wrapper know it.

    f_name_lib: a model file (.rnnn, .rnn, .hdf5 ...), or a librnnoise shared library; None for the model built in.
    What is better than there: clips start from fresh state, keep their length, channels and rate and are in time with
    the original; full scale never wraps; damaged input is refused before it reaches the network.
    Raises FileError or ModelError if f_name_lib cannot be used.
    """

    sample_width = 2  # bytes
    channels = 1
    sample_rate = 48000  # Hz
    frame_duration_ms = 10

    def __init__(self, f_name_lib: str | os.PathLike[str] | None = None) -> None:
        self._load(f_name_lib)

    def _load(self, f_name_lib: str | os.PathLike[str] | None) -> None:
        self._denoiser = Denoiser(_backend(f_name_lib))
        self._live: _Live | None = None

    def reset(self, new_f_name_lib: str | os.PathLike[str] | None = None) -> None:
        """Forget what came so far; go over to another model or library if new_f_name_lib names one."""
        if new_f_name_lib is not None:
            self._load(new_f_name_lib)
        self._denoiser.reset()
        self._live = None

    def filter(
        self,
        audio: AudioSegment | bytes,
        sample_rate: int | None = None,
        voice_prob_threshold: float = 0.0,
        save_source_sample_rate: bool = True,
    ) -> Any:
        """Clean a clip, or the next piece of a live signal.

        audio: a pydub.AudioSegment is a whole clip. bytes are mono int16: a whole clip if they last 0.25 s or longer;
        shorter ones are pieces of a live signal, whose state is kept from call to call until `reset()`, and as many
        samples come back, late by a constant.
        sample_rate: Hz, of bytes; None for 48000. voice_prob_threshold: 0 to 1; frames of 10 ms with a lower
        probability of speech are left out. save_source_sample_rate: False for a result at 48 kHz.
        Returns the same kind of object. Raises AudioError that says what is wrong with the audio.
        """
        voice_prob_threshold = voice_prob_threshold or 0.0
        segment = is_segment(audio)
        if not segment and not isinstance(audio, bytes | bytearray | memoryview):
            raise AudioError(
                f"audio is a pydub.AudioSegment or bytes of mono int16, not {type(audio).__name__}; "
                "denoise_wrapper.Denoiser().filter takes arrays"
            )
        denoiser = self._with_threshold(voice_prob_threshold)
        if segment:
            return denoiser.filter(audio if save_source_sample_rate else _segment_at(audio, self.sample_rate))
        rate = check_rate(self.sample_rate if sample_rate is None else sample_rate)
        raw = bytes(audio)  # type: ignore[arg-type]
        if len(raw) < 2 * LIVE_S * rate and save_source_sample_rate:
            return self._filter_live(raw, rate, voice_prob_threshold)
        if not save_source_sample_rate:
            raw, rate = _at_rate(_samples(raw), rate, self.sample_rate).tobytes(), self.sample_rate
        return denoiser.filter(raw, rate, channels=1, dtype=np.int16)

    def filter_frame(self, frame: bytes) -> tuple[float, bytes]:
        """Clean the next 10 ms of a live signal: 960 bytes, mono int16 at 48 kHz.

        Returns (probability of speech, 960 bytes: the cleaned frame before this one).
        """
        return self._denoiser.filter_frame(frame)

    def read_wav(self, f_name_wav: str | os.PathLike[str], sample_rate: int | None = None) -> AudioSegment:
        """Read an audio file as a 16-bit segment, at sample_rate unless that is None. Raises FileError."""
        from denoise_wrapper.files.transform import read_file

        samples, rate = read_file(f_name_wav)
        samples = from_float(to_float(samples), np.dtype(np.int16))
        if sample_rate is not None:
            samples, rate = _at_rate(samples, rate, check_rate(sample_rate)), int(sample_rate)
        return _pydub().AudioSegment(data=samples.tobytes(), sample_width=2, frame_rate=rate, channels=samples.shape[1])

    def write_wav(
        self, f_name_wav: str | os.PathLike[str], audio_data: AudioSegment | bytes, sample_rate: int | None = None
    ) -> None:
        """Write a segment, or bytes of mono int16, as WAV; a file of that name is replaced once the new one is whole.

        sample_rate: Hz, of bytes; None for 48000. Raises FileError if the file cannot be written.
        """
        from denoise_wrapper.files.soundfiles import write_wav

        if is_segment(audio_data):
            segment: Any = audio_data
            write_wav(f_name_wav, segment_samples(segment), segment.frame_rate)
        else:
            write_wav(
                f_name_wav, _samples(audio_data), check_rate(self.sample_rate if sample_rate is None else sample_rate)
            )  # type: ignore[arg-type]

    def _with_threshold(self, threshold: float) -> Denoiser:
        if not threshold:
            return self._denoiser
        return Denoiser(self._denoiser.backend, vad_threshold=threshold, vad_gate="drop", vad_hold=0.0)

    def _filter_live(self, raw: bytes, rate: int, threshold: float) -> bytes:
        if self._live is None or self._live.rate != rate:
            self._live = _Live(self._denoiser.backend, rate)
        return self._live.process(_samples(raw), threshold)


class _Live:
    """A live mono signal out of which frames without speech can be left."""

    def __init__(self, backend: Backend, rate: int) -> None:
        self.rate = rate
        self._stream = Stream(backend, rate)
        self._gate = Gate.of(0.0, 0.0, backend)
        self._cutter = Cutter(self._gate, backend, rate, position=-self._stream.latency)

    def process(self, samples: Array, threshold: float) -> bytes:
        cleaned = self._stream.process(samples)
        self._gate.threshold = threshold
        kept = self._cutter.cut(cleaned, self._stream.vad[None, :])
        return (kept if threshold else cleaned).tobytes()


def _backend(f_name_lib: str | os.PathLike[str] | None) -> Backend:
    from denoise_wrapper.backends import load_backend
    from denoise_wrapper.backends.foreign import ForeignBackend, is_library

    if f_name_lib is not None and is_library(f_name_lib):
        return ForeignBackend(f_name_lib)
    return load_backend("rnnoise", f_name_lib)


def _samples(raw: bytes | bytearray | memoryview) -> Array:
    if len(raw) % 2:
        raise AudioError(f"{len(raw)} bytes are not a whole number of int16 samples; cut the odd byte off")
    return as_array(np.frombuffer(raw, np.int16))


def _at_rate(samples: Array, rate: int, wanted: int) -> Array:
    """Resample int16 samples."""
    if rate == wanted or not len(samples):
        return samples
    return from_float(resample(to_float(samples), rate, wanted), np.dtype(np.int16), samples.ndim)


def _segment_at(segment: Any, wanted: int) -> Any:
    if segment.frame_rate == wanted:
        return segment
    samples = segment_samples(segment.set_sample_width(2))
    data = _at_rate(samples, segment.frame_rate, wanted).tobytes()
    return type(segment)(data=data, sample_width=2, frame_rate=wanted, channels=segment.channels)


def _pydub() -> Any:
    try:
        import pydub
    except ImportError as error:
        raise DenoiseError(needs_package("an AudioSegment needs", error, "pydub")) from error
    return pydub

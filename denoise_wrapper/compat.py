"""The class of RNNoise_Wrapper, on top of Denoiser: change one import line and the rest stays.

`from rnnoise_wrapper import RNNoise` becomes `from denoise_wrapper.compat import RNNoise`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from denoise_wrapper.audio import Array, check_rate, from_float, is_segment, segment_samples, to_float, unpack
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import AudioError, DenoiseError, FileError, needs_package
from denoise_wrapper.stream.gate import Cutter, Gate
from denoise_wrapper.stream.resample import Resampler, resample
from denoise_wrapper.stream.stream import Stream

if TYPE_CHECKING:
    from pydub import AudioSegment

THEIRS = ("librnnoise_5h_b_500k", "librnnoise_5h_ru_500k", "librnnoise_default")  # the libraries of RNNoise_Wrapper
SHORTEST = 3  # characters of a name that still say which of them is meant
FORMS = (".rnnn", ".rnn", ".dnnw", ".bin", ".hdf5", ".h5", ".c")  # suffixes of models that a search takes


class RNNoise:
    """Denoising as users of RNNoise_Wrapper know it.

    f_name_lib: path of a librnnoise shared library or of a model (.rnnn, .rnn, .hdf5 ...); or their name or a part of
    it, which is looked for in an installed RNNoise_Wrapper and then in the current folder and all below it. None for
    the model built in. The names of RNNoise_Wrapper's own libraries, where these are absent, stand for
    rnnoise-classic, with a warning.
    Better than there: as many samples come back as went in, whatever the buffers; channels are cleaned apart;
    full scale never wraps; damaged input is refused before it reaches the network.
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
        self._kind: tuple[Any, ...] = ()  # rate, shape of a frame, rate of the result: of the signal in _live

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
        *,
        whole: bool = False,
    ) -> Any:
        """Clean the next buffer of a signal, or with whole a clip.

        audio: a pydub.AudioSegment, or bytes of mono int16; of any length. The state is kept from call to call until
        `reset()`, and as many frames come back, late by `latency()`; a buffer of another rate or number of channels
        begins a new signal. sample_rate: Hz, of bytes; None for 48000.
        voice_prob_threshold: 0 to 1; frames of 10 ms with a lower probability of speech are left out.
        save_source_sample_rate: False for a result at 48 kHz.
        whole: audio is a clip of its own: it is cleaned from fresh state, and the result is in time with it. The
        signal of the other calls goes on as if there had been none.
        Returns the same kind of object. Raises AudioError that says what is wrong with the audio.
        """
        if not is_segment(audio) and not isinstance(audio, bytes | bytearray | memoryview):
            raise AudioError(
                f"audio is a pydub.AudioSegment or bytes of mono int16, not {type(audio).__name__}; "
                "denoise_wrapper.Denoiser().filter takes arrays"
            )
        threshold = voice_prob_threshold or 0.0
        if whole:
            return self._filter_whole(audio, sample_rate, threshold, save_source_sample_rate)
        if is_segment(audio):
            clip = unpack(audio, None, None, None)
        else:
            clip = unpack(bytes(audio), self.sample_rate if sample_rate is None else sample_rate, 1, np.int16)  # type: ignore[arg-type]
        assert clip.sample_rate is not None
        kind = (clip.sample_rate, clip.samples.shape[1:], save_source_sample_rate)
        if self._live is None or self._kind != kind:
            channels = clip.samples.shape[1] if clip.samples.ndim == 2 else None
            self._live, self._kind = _Live(self._denoiser.backend, clip.sample_rate, channels, kind[2]), kind
        cleaned = clip.repack(self._live.process(clip.samples, threshold))
        if is_segment(cleaned) and not save_source_sample_rate:
            cleaned.frame_rate = self.sample_rate
        return cleaned

    def __repr__(self) -> str:
        return f"RNNoise({self._denoiser.backend!r})"

    def latency(self, sample_rate: int | None = None, save_source_sample_rate: bool = True) -> int:
        """Return the frames by which what `filter` returns is late, the same for buffers of any size.

        It is the delay of the backend, the hop that has to fill and, at another rate than 48 kHz, the reach of the
        resampler. sample_rate: Hz, of the audio; None for 48000. Frames are those of the result: at 48 kHz if
        save_source_sample_rate is False.
        """
        rate = check_rate(self.sample_rate if sample_rate is None else sample_rate)
        return _Live(self._denoiser.backend, rate, None, save_source_sample_rate).latency

    def filter_frame(self, frame: bytes) -> tuple[float, bytes]:
        """Clean the next 10 ms of a live signal: 960 bytes, mono int16 at 48 kHz.

        Returns (probability of speech, 960 bytes: the cleaned frame before this one).
        """
        return self._denoiser.filter_frame(frame)

    def read_wav(self, f_name_wav: str | os.PathLike[str] | IO[bytes], sample_rate: int | None = None) -> AudioSegment:
        """Read an audio file as a mono 16-bit segment, the mean of its channels.

        f_name_wav: a path, or an open binary file such as io.BytesIO, read to its end. sample_rate: Hz; None for the
        file's own. Raises FileError.
        """
        from denoise_wrapper.files.transform import read_floats

        with _as_path(f_name_wav, read=True) as path:
            samples, rate = read_floats(path)
        samples = samples.mean(axis=1, keepdims=True, dtype=np.float32)
        wanted = rate if sample_rate is None else check_rate(sample_rate)
        data = from_float(_at_rate(samples, rate, wanted), np.dtype(np.int16)).tobytes()
        return _pydub().AudioSegment(data=data, sample_width=2, frame_rate=wanted, channels=1)

    def write_wav(
        self,
        f_name_wav: str | os.PathLike[str] | IO[bytes],
        audio_data: AudioSegment | bytes,
        sample_rate: int | None = None,
    ) -> None:
        """Write a segment, or bytes of mono int16, as WAV; a file of that name is replaced once the new one is whole.

        f_name_wav: a path, or an open binary file such as io.BytesIO. sample_rate: Hz; of bytes, the rate that they
        have, None for 48000; a segment is resampled to it, None for its own. Raises FileError if the file cannot be
        written, AudioError for what is neither.
        """
        if is_segment(audio_data):
            self.write_wav_from_audiosegment(f_name_wav, audio_data, sample_rate)  # type: ignore[arg-type]
        elif isinstance(audio_data, bytes | bytearray | memoryview):
            rate = self.sample_rate if sample_rate is None else sample_rate
            self.write_wav_from_bytes(f_name_wav, bytes(audio_data), rate)
        else:
            raise AudioError(f"audio_data is a pydub.AudioSegment or bytes, not {type(audio_data).__name__}")

    def write_wav_from_audiosegment(
        self,
        f_name_wav: str | os.PathLike[str] | IO[bytes],
        audio: AudioSegment,
        desired_sample_rate: int | None = None,
    ) -> None:
        """Write a segment as WAV, at desired_sample_rate in Hz unless that is None. Raises FileError."""
        from denoise_wrapper.files.soundfiles import write_wav

        samples, rate = segment_samples(audio), int(audio.frame_rate)
        wanted = rate if desired_sample_rate is None else check_rate(desired_sample_rate)
        if wanted != rate:
            samples = from_float(_at_rate(to_float(samples), rate, wanted), samples.dtype)
        with _as_path(f_name_wav, read=False) as path:
            write_wav(path, samples, wanted)

    def write_wav_from_bytes(
        self,
        f_name_wav: str | os.PathLike[str] | IO[bytes],
        audio_bytes: bytes,
        sample_rate: int,
        desired_sample_rate: int | None = None,
    ) -> None:
        """Write bytes of mono int16 at sample_rate as WAV, at desired_sample_rate unless that is None.

        Raises FileError, or AudioError for bytes that are not whole samples.
        """
        clip = unpack(audio_bytes, sample_rate, 1, np.int16)
        segment = _pydub().AudioSegment(clip.samples.tobytes(), sample_width=2, frame_rate=clip.sample_rate, channels=1)
        self.write_wav_from_audiosegment(f_name_wav, segment, desired_sample_rate)

    def _filter_whole(self, audio: Any, sample_rate: int | None, threshold: float, at_source_rate: bool) -> Any:
        denoiser = self._denoiser
        if threshold:
            denoiser = Denoiser(denoiser.backend, vad_threshold=threshold, vad_gate="drop", vad_hold=0.0)
        if is_segment(audio):
            return denoiser.filter(audio if at_source_rate else _segment_at(audio, self.sample_rate))
        rate = check_rate(self.sample_rate if sample_rate is None else sample_rate)
        raw = bytes(audio)
        if not at_source_rate:
            samples = to_float(unpack(raw, rate, 1, np.int16).samples)
            rate, raw = self.sample_rate, _int16(_at_rate(samples, rate, self.sample_rate)).tobytes()
        return denoiser.filter(raw, rate, channels=1, dtype=np.int16)


class _Live:
    """A signal that comes in buffers, and from which frames without speech can be left out.

    rate: Hz, of what comes; what is returned has it too, or with at_source_rate False 48 kHz. channels: None for
    buffers (frames,), else (frames, channels).
    """

    def __init__(self, backend: Backend, rate: int, channels: int | None, at_source_rate: bool) -> None:
        out_rate, count = rate if at_source_rate else RNNoise.sample_rate, channels or 1
        self._resampler = None if out_rate == rate else Resampler(rate, out_rate, count)
        self._stream = Stream(backend, out_rate, count)
        self.latency = self._stream.latency + (self._resampler.latency if self._resampler else 0)
        self._gate = Gate.of(0.0, 0.0, backend)
        self._cutter = Cutter(self._gate, backend, out_rate, position=-self._stream.latency)

    def process(self, samples: Array, threshold: float) -> Array:
        """Clean a buffer; threshold: probability of speech below which frames are cut out, 0 for none."""
        if self._resampler is not None:
            resampled = self._resampler.process(to_float(samples))
            samples = from_float(resampled, samples.dtype, samples.ndim)
        cleaned = self._stream.process(samples)
        self._gate.threshold = threshold
        kept = self._cutter.cut(cleaned, self._stream.vad.reshape(-1, self._stream.channels).T)
        return kept if threshold else cleaned


def _backend(f_name_lib: str | os.PathLike[str] | None) -> Backend:
    from denoise_wrapper.backends import load_backend
    from denoise_wrapper.backends.foreign import ForeignBackend, is_library

    if f_name_lib is None:
        return load_backend("rnnoise")
    asked = Path(f_name_lib)
    theirs = _theirs(asked)
    path = _search(asked, theirs)
    if path is not None:
        return ForeignBackend(path) if is_library(path) else load_backend("rnnoise", path)
    if theirs is None:
        raise FileError(
            f"there is no {asked}, and no library or model with that in its name in this folder or below it; give the "
            f"path of a librnnoise or of a model ({', '.join(FORMS[:3])} ...), one of {', '.join(THEIRS)}, or nothing "
            "for the model built in"
        )
    warnings.warn(
        f"{theirs} is not here, so rnnoise-classic is used: the same network with weights from denoise_wrapper's own "
        f"training, not RNNoise_Wrapper's. To get theirs, give the path of {theirs}.so.0.4.1, which is in "
        "rnnoise_wrapper/libs of the repository Desklop/RNNoise_Wrapper, or install that package",
        stacklevel=4,
    )
    return load_backend("rnnoise-classic")


def _theirs(asked: Path) -> str | None:
    """Name the library of RNNoise_Wrapper that is meant: by a part of its name, or by all of it in a path."""
    if len(asked.parts) > 1:
        return next((name for name in THEIRS if asked.name.partition(".so")[0] == name), None)
    enough = len(asked.name.partition(".so")[0]) >= SHORTEST
    return next((name for name in THEIRS if enough and asked.name in f"{name}.so.0.4.1"), None)


def _search(asked: Path, theirs: str | None) -> Path | None:
    """Look for a library or model as RNNoise_Wrapper does: the path itself, then part of a file's name."""
    from denoise_wrapper.backends.foreign import is_library

    if asked.is_file():
        return asked
    part = theirs if theirs is not None and len(asked.parts) > 1 else str(asked)
    for path in _files():
        if part in path.name and (path.suffix.lower() in FORMS or (".so" in path.suffixes and is_library(path))):
            return path
    return None


def _files() -> Iterator[Path]:
    """Name all files that a search goes through: an installed RNNoise_Wrapper's, the current folder's and below."""
    installed = importlib.util.find_spec("rnnoise_wrapper")
    packages = installed.submodule_search_locations if installed is not None else None
    for folder in (*(Path(package) / "libs" for package in packages or ()), Path()):
        for root, names, files in os.walk(folder):
            names.sort()
            yield from (Path(root) / name for name in sorted(files))


@contextlib.contextmanager
def _as_path(file: str | os.PathLike[str] | IO[bytes], read: bool) -> Iterator[str | os.PathLike[str]]:
    """Let a block read or write a path that stands for an open binary file, which is there when it is a path itself."""
    if isinstance(file, str | os.PathLike):
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audio.wav"
        if read:
            path.write_bytes(file.read())
        yield path
        if not read:
            file.write(path.read_bytes())
            if file.seekable():
                file.seek(0)


def _int16(samples: Array) -> Array:
    return from_float(samples, np.dtype(np.int16))


def _at_rate(samples: Array, rate: int, wanted: int) -> Array:
    """Resample float32 frames (n, channels)."""
    return samples if rate == wanted or not len(samples) else resample(samples, rate, wanted)


def _segment_at(segment: Any, wanted: int) -> Any:
    if segment.frame_rate == wanted:
        return segment
    data = _int16(_at_rate(to_float(segment_samples(segment)), segment.frame_rate, wanted)).tobytes()
    return type(segment)(data=data, sample_width=2, frame_rate=wanted, channels=segment.channels)


def _pydub() -> Any:
    try:
        import pydub
    except ImportError as error:
        raise DenoiseError(needs_package("an AudioSegment needs", error, "pydub")) from error
    return pydub

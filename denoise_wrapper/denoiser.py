"""The façade: picks a backend by name and runs arrays, bytes, segments and files through a stream of it."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from denoise_wrapper.arguments import shown, warn_caller
from denoise_wrapper.audio import Array, Clip, check_channels, check_rate, unpack
from denoise_wrapper.backends import BackendName, resolve_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.errors import AudioError, ConfigError
from denoise_wrapper.filing import BLOCK_S, FileCleaner
from denoise_wrapper.presets import PRESET_NAMES, PresetName, strength
from denoise_wrapper.stream.align import aligned
from denoise_wrapper.stream.asynchronous import stream_chunks
from denoise_wrapper.stream.gate import Cutter, make_gate
from denoise_wrapper.stream.lane import least_latency
from denoise_wrapper.stream.settings import Channels, NonFinite, Settings, VadGate
from denoise_wrapper.stream.stream import Float32, Sample, Stream

Audio = TypeVar("Audio")
Arguments = ParamSpec("Arguments")
LEAST_RATE = 1000  # a number from here on is a rate in Hz, and no strength in dB


def _named(init: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Have a constructor say in words that its settings go by name, which Python says in numbers."""

    @functools.wraps(init)
    def checked(*args: Arguments.args, **named: Arguments.kwargs) -> None:
        if len(args) > 2:
            given = ", ".join(map(shown, args[1:]))
            raise ConfigError(f"Denoiser({given}): settings go by name after the backend; {_meant(*args[1:3])}")
        init(*args, **named)

    return checked


def _meant(backend: object, value: object) -> str:
    """Say how to write what a second argument was probably meant to be."""
    name, setting = shown(backend), "atten_lim_db=20"
    if isinstance(value, int | float):
        if value >= LEAST_RATE:
            return f"a rate goes with the audio: Denoiser({name}).filter(audio, {shown(value)})"
        setting = f"atten_lim_db={shown(value)}"
    elif isinstance(value, str | bytes | os.PathLike):
        setting = f"{'preset' if value in PRESET_NAMES else 'model'}={shown(value)}"
    return f"write Denoiser({name}, {setting})"


class Denoiser(FileCleaner):
    """Takes the noise out of audio: same kind, type, rate, channels and length back, in time with the original.

        clean = Denoiser("rnnoise").filter(audio, sample_rate=44100)
        Denoiser().filter_file("meeting.flac")                      # writes meeting_denoised.flac

    backend: a name, as `backend_names()` gives them, or a Backend. model: path or bytes of a model for it; of a DTLN
    two of them, (first, second), or the folder they are in.
    preset: strength by what the result is for: "voice" (calls; 24 dB at most), "asr" (a speech recogniser, which makes
    more errors the more is taken away; 3 dB), "broadcast" (12 dB) or "max" (no limit). It sets the next two.
    atten_lim_db: dB, 0 or more, by which noise is turned down at most, 0 passes all through; None for the preset's
    limit, or none. mix: 0 (dry) to 1 (cleaned); None for the preset's, or 1.
    vad_threshold: 0 to 1; where the probability of speech is below, the gate closes. None for no gate.
    vad_gate: "mute" silences what is gated, "drop" takes it out, so that the result is shorter. The gate acts on the
    cleaned signal and for all channels at once: it is open where any of them holds speech.
    vad_hold: seconds for which the gate stays open after speech.
    non_finite: "raise" refuses samples that are NaN, infinite or absurdly large, "zero" puts zeros in their place.
    channels: "separate" cleans each channel for itself; "linked" gives all channels one gain in each part of the
    spectrum, so that the stereo image does not move, and makes a stream of several one hop later.

    All methods but filter_frame and reset keep no state and may be called from several threads at once.
    Raises ModelError for an unknown backend or a bad model, ConfigError for a setting out of range.
    """

    @_named
    def __init__(
        self,
        backend: BackendName | str | Backend = "rnnoise",
        *,
        model: Any = None,
        preset: PresetName | None = None,
        atten_lim_db: float | None = None,
        mix: float | None = None,
        vad_threshold: float | None = None,
        vad_gate: VadGate = "mute",
        vad_hold: float = 0.2,
        non_finite: NonFinite = "raise",
        channels: Channels = "separate",
    ) -> None:
        atten_lim_db, mix = strength(preset, atten_lim_db, mix)
        self._settings = Settings(atten_lim_db, mix, vad_threshold, vad_gate, vad_hold, non_finite, channels)
        self._backend = self._resolve(backend, model)
        self._frames: Stream | None = None  # that of filter_frame, made when it is first used

    def _resolve(self, backend: str | Backend, model: Any = None) -> Backend:
        resolved = resolve_backend(backend, model)
        make_gate(resolved, self._settings)  # refuses a gate without a voice to open it
        return resolved

    @property
    def backend(self) -> Backend:
        """The backend in use. Set it to a name or a Backend: calls to come use that one, from fresh state."""
        return self._backend

    @backend.setter
    def backend(self, backend: str | Backend) -> None:
        self._backend = self._resolve(backend)
        self._frames = None

    @property
    def backend_name(self) -> str:
        """The name of the backend in use."""
        return self._backend.name

    @property
    def settings(self) -> Settings:
        """The strength, the gate, and what is done with damage."""
        return self._settings

    @overload
    def filter(
        self,
        audio: NDArray[Sample],
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> NDArray[Sample]: ...
    @overload
    def filter(
        self,
        audio: memoryview,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> bytes: ...
    @overload
    def filter(
        self,
        audio: Audio,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> Audio: ...
    def filter(
        self,
        audio: Any,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> Any:
        """Clean a whole clip, from fresh state.

        audio: ndarray, int16, int32, float32 or float64, (frames,) or (frames, channels); or bytes of interleaved
        PCM; or a pydub.AudioSegment; or a torch.Tensor of the same types, (frames,) or, as torchaudio has it,
        (channels, frames), which comes back on its device, without a gradient. Integers have their full scale, floats
        +-1.
        sample_rate: Hz; the segment's own for a segment. Without one an array is taken at the backend's rate, with a
        UserWarning; so are floats far beyond +-1, which look like int16 numbers in a float array.
        channels, dtype: what bytes hold (needed for them, with sample_rate).
        Returns the same kind of object: integers rounded and clipped, floats perhaps past +-1. The same length, but
        with vad_gate="drop", which takes frames out. Raises AudioError that says what is wrong with the audio.
        """
        clip = unpack(audio, sample_rate, channels, dtype)
        samples = clip.samples
        rate = _rate_of(clip, self._backend)
        cleaned = np.empty_like(samples)
        end = 0
        for block in self._cleaned(_blocks(samples, rate * BLOCK_S), rate, samples.shape[1:]):
            cleaned[end : end + len(block)] = block
            end += len(block)
        return clip.repack(cleaned if end == len(cleaned) else cleaned[:end].copy())

    def filter_frame(self, frame: Any) -> tuple[float, Any]:
        """Clean one hop of a live mono signal at the backend's rate, keeping state from call to call.

        frame: ndarray (hop,) of any supported type, or bytes of hop int16 samples (960 bytes for rnnoise).
        Returns (probability of speech in it, the hop that came `backend.delay` samples ago, cleaned, as the same
        kind). Raises AudioError for a frame of another size; the state is then as before.
        """
        hop, raw = self._backend.hop, isinstance(frame, bytes | bytearray | memoryview)
        if isinstance(frame, memoryview) and not frame.c_contiguous:
            frame = frame.tobytes()
        if raw and memoryview(frame).nbytes != 2 * hop:
            size = memoryview(frame).nbytes
            raise AudioError(f"a frame is {2 * hop} bytes, {hop} samples of int16, not {size} bytes")
        samples = np.frombuffer(frame, np.int16) if raw else frame
        if isinstance(samples, np.ndarray) and samples.shape not in ((hop,), (hop, 1)):
            raise AudioError(f"a frame has shape ({hop},), not {samples.shape}; stream() takes chunks of any size")
        if self._frames is None:
            self._frames = Stream(self._backend, settings=self._settings, step=hop)
        cleaned = self._frames.process(samples)
        return float(self._frames.vad[-1]), cleaned.tobytes() if raw else cleaned

    def reset(self) -> None:
        """Forget the frames that came to filter_frame."""
        self._frames = None

    def stream(
        self,
        sample_rate: int | None = None,
        channels: int = 1,
        latency: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> Stream:
        """Open a live signal through the backend, with this denoiser's settings.

        sample_rate: Hz; None for the backend's. channels: samples a frame. latency: frames; None for the least, more
        to leave room for `Stream.switch` to a slower backend. dtype: of the samples in chunks that are bytes, as in
        "int16"; None if none are. Raises ConfigError for vad_gate="drop".
        """
        return Stream(self._backend, sample_rate, channels, self._settings, latency, dtype=dtype)

    def astream(
        self,
        chunks: AsyncIterable[Any] | Iterable[Any],
        sample_rate: int | None = None,
        channels: int = 1,
        latency: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> AsyncIterator[Any]:
        """Clean a live signal under asyncio, chunk by chunk as it comes.

            async for cleaned in denoiser.astream(microphone(), 48000, dtype="int16"):
                await socket.send(cleaned)

        chunks: what `async for` or `for` goes through, arrays or bytes, as `Stream.process` takes them. The rest: as
        for `stream`. Yields as many frames for each chunk, `latency` frames late, and then the last `latency` ones.
        Chunks of more than 0.1 s are cleaned in a thread. Raises, while it is gone through, what `stream` and `process`
        raise.
        """
        stream = self.stream(sample_rate, channels, latency, dtype)
        return stream_chunks(stream, chunks, stream.frame_bytes or 1)

    def latency(self, sample_rate: int | None = None, channels: int = 1) -> int:
        """Return the least latency of a stream at that rate (None: the backend's), in frames.

        channels: samples a frame; several that are linked take a hop more.
        """
        rate = self._backend.sample_rate if sample_rate is None else check_rate(sample_rate)
        return least_latency(self._settings.backend_for(self._backend, check_channels(channels)), rate)

    def speech_probability(
        self,
        audio: Any,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> tuple[NDArray[np.float64], Float32]:
        """Estimate the probability of speech over a whole clip. audio and the rest: as for `filter`.

        Returns (times, probabilities): float64 (hops,), the beginning of each hop in seconds, and float32 (hops,), or
        (hops, channels) of several channels. Raises ConfigError if the backend gives no probability of speech.
        """
        backend = self._backend
        clip = unpack(audio, sample_rate, channels, dtype)
        rate = _rate_of(clip, backend)
        count = clip.samples.shape[1] if clip.samples.ndim == 2 else 1
        voice = self._voice_of(_blocks(clip.samples, rate * BLOCK_S), rate, count)
        return np.arange(len(voice), dtype=np.float64) * (backend.hop / backend.sample_rate), voice

    def _voice_of(self, blocks: Iterable[Array], rate: int, channels: int) -> Float32:
        """Estimate the probability of speech over a clip that comes in blocks. rate: Hz.

        Returns float32 (hops,), or (hops, channels) of several. Raises ConfigError as `speech_probability` does.
        """
        backend, frames = self._backend, 0
        if not backend.has_vad:
            raise ConfigError(f"{backend.name} gives no probability of speech; rnnoise and rnnoise-classic do")
        stream = Stream(backend, rate, channels, Settings(non_finite=self._settings.non_finite))
        voice = []
        for block in aligned(stream, blocks):
            frames += len(block)
            voice.append(stream.vad)
        hops = -(-frames * backend.sample_rate // (rate * backend.hop))
        return np.concatenate(voice)[:hops]

    def _cleaned(
        self,
        blocks: Iterable[Array],
        rate: int,
        shape: tuple[int, ...],
        seconds: dict[str, float] | None = None,
        source: Path | None = None,
    ) -> Iterator[Array]:
        """Clean and align the blocks of a whole clip, without gated frames if so asked.

        shape: () for blocks (frames,), (channels,) for (frames, channels). seconds: what the stream adds its times to.
        source: the file that the clip is from.
        """
        settings, cutter, channels = self._settings, None, shape[0] if shape else 1
        if settings.vad_gate == "drop" and settings.vad_threshold is not None:
            backend = settings.backend_for(self._backend, channels)
            gate = make_gate(backend, settings)
            assert gate is not None
            cutter = Cutter(gate, backend, rate)
            settings = dataclasses.replace(settings, vad_threshold=None, vad_gate="mute")
        stream = Stream(self._backend, rate, channels, settings, seconds=seconds, source=source)
        for block in aligned(stream, blocks):
            yield block if cutter is None else cutter.cut(block, stream.vad.reshape(-1, stream.channels).T)

    def __getstate__(self) -> dict[str, Any]:
        """Plain data, and what backends make of their own: so the modules of this package may move."""
        return {
            "backend": self._backend, "settings": dataclasses.asdict(self._settings), "frames": self._frames,
        }  # fmt: skip

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._backend, self._frames = saved["backend"], saved["frames"]
        self._settings = Settings(**saved["settings"])

    def __copy__(self) -> Denoiser:
        return copy.deepcopy(self)  # two denoisers never share the state of filter_frame

    def __repr__(self) -> str:
        backend = self._backend
        shipped = getattr(backend, "shipped", True)
        model = [] if shipped else [f"model=<sha256 {getattr(backend, 'digest', '')[:12]}>"]
        return f"Denoiser({', '.join([repr(self.backend_name), *model, *self._settings.changed()])})"


Denoiser.__module__ = "denoise_wrapper"  # where pickles look for it, wherever this file is


def _rate_of(clip: Clip, backend: Backend) -> int:
    """The rate of a clip; of an array that came without one that of the backend, with a warning."""
    if clip.sample_rate is not None:
        return clip.sample_rate
    warn_caller(
        f"an array without a rate is taken for one of {backend.sample_rate} Hz, that of {backend.name}, and cleaned "
        f"badly if it has another; say it: sample_rate={backend.sample_rate}, or what it has"
    )
    return backend.sample_rate


def _blocks(samples: Array, size: int) -> Iterator[Array]:
    """Cut a clip into blocks, one at least, so that a stream learns the type of a clip of no frames too."""
    return (samples[start : start + size] for start in range(0, max(1, len(samples)), size))

"""A live signal: chunks of any length in, as many samples out, late by a constant."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Sequence
from threading import get_ident
from types import TracebackType
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from denoise_wrapper.arguments import shown, whole
from denoise_wrapper.audio import NUMBERS, Array, check_channels, check_rate, check_scale, to_float
from denoise_wrapper.backends import resolve_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.backends.linked import LinkedBackend
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.stream.alone import Turn, alone, in_use
from denoise_wrapper.stream.lane import Lane, Lanes, Line, least_latency
from denoise_wrapper.stream.raw import check_dtype, is_raw, unpack_chunk
from denoise_wrapper.stream.samples import check_step, plain
from denoise_wrapper.stream.settings import Settings

Float32 = NDArray[np.float32]
Sample = TypeVar("Sample", bound=np.generic)

WARM_UP_S = 0.2  # for which a new backend listens before it is heard, beyond the stream's latency
MAX_LATENCY_S = 60  # that a stream may be opened with
PIECE = 1 << 16  # frames that go through the lanes at a time: bounds memory


class Stream:
    """One signal at the caller's rate, channels and type, cleaned as it comes.

        with Denoiser("rnnoise").stream(sample_rate=44100, channels=2) as stream:
            for chunk in microphone:
                speaker.write(stream.process(chunk))
            speaker.write(stream.flush())

    The output does not depend on how the input is cut into chunks, bit for bit. A stream is for one thread at a time,
    and raises DenoiseError in a second one; any number of streams share a backend. It can be pickled and copied, and
    goes on bit for bit. An exception in the middle of a call, as from a signal handler, leaves it usable.

    sample_rate: Hz. channels: samples a frame; settings say if they are cleaned apart from each other or share their
    gains. latency: frames by which the output is late; None for the least that the backend needs, more to be able to
    switch to a slower one later. step: frames of which every chunk holds a whole number, as a promise; whole hops at
    the backend's rate make the stream late by the backend's delay alone. dtype: of the samples in chunks of bytes;
    None if none are. seconds: to whose `resampling` and `denoising` the stream adds the seconds by the clock that each
    takes; None for no measuring. source: the file that the signal is from, for warnings.
    """

    def __init__(
        self,
        backend: Backend,
        sample_rate: int | None = None,
        channels: int = 1,
        settings: Settings | None = None,
        latency: int | None = None,
        *,
        step: int = 1,
        dtype: DTypeLike | None = None,
        seconds: dict[str, float] | None = None,
        source: object = None,
    ) -> None:
        self._rate = backend.sample_rate if sample_rate is None else check_rate(sample_rate)
        self._channels = check_channels(channels)
        self._settings = Settings() if settings is None else settings
        if self._settings.vad_threshold is not None and self._settings.vad_gate == "drop":
            raise ConfigError(
                'a stream gives as many samples as it takes, so it cannot drop frames; use vad_gate="mute", '
                "or filter a whole clip"
            )
        self._step, self._seconds = check_step(step), seconds
        self._dtype, self._raw = check_dtype(dtype), False
        backend = self._settings.backend_for(backend, self._channels)
        self._latency = self._check_latency(backend, latency)
        self._turn: Turn = {}
        self._scale_known, self._source = False, source
        self._start(backend)

    def _check_latency(self, backend: Backend, latency: int | None) -> int:
        needed, most = least_latency(backend, self._rate, self._step), MAX_LATENCY_S * self._rate
        if latency is None:
            return needed
        frames = whole(latency)
        if frames is None or not needed <= frames <= most:
            raise ConfigError(
                f"latency is {needed} to {most} frames for {backend.name} at {self._rate} Hz, not {shown(latency)}; "
                "None takes the least"
            )
        return frames

    def _start(self, backend: Backend) -> None:
        """Begin from silence."""
        self._like = (np.dtype(np.float32), 1 if self._channels == 1 else 2)  # type and axes of the last chunk
        self._lanes = self._make_lanes([Lane(backend, self._rate, self._channels, self._settings, self._latency)])

    def _make_lanes(self, lanes: Sequence[Lane]) -> Lanes:
        mix = float(self._settings.mix)
        dry = Line(self._channels, self._latency, mix=mix) if mix < 1.0 else None
        return Lanes(lanes, dry, self._settings.non_finite)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._rate

    @property
    def channels(self) -> int:
        """Samples a frame."""
        return self._channels

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame of chunks that are bytes; 0 if no dtype was named for them."""
        return 0 if self._dtype is None else self._dtype.itemsize * self._channels

    @property
    def latency(self) -> int:
        """Frames by which the output is later than the input; constant, also across switches."""
        return self._latency

    @property
    def latency_seconds(self) -> float:
        """The latency as a time."""
        return self._latency / self._rate

    @property
    def backend(self) -> Backend:
        """The backend last asked for."""
        backend = self._newest
        return backend.inner if isinstance(backend, LinkedBackend) else backend

    @property
    def _newest(self) -> Backend:
        return self._lanes.lanes[-1].backend

    @property
    def settings(self) -> Settings:
        """Strength, gate, and what is done with damage, as last asked for."""
        return self._settings

    @property
    def vad(self) -> Float32:
        """Probabilities of speech in the hops that the last call completed: (hops,), or (hops, channels) of several.

        Hops are those of the backend, `backend.hop / backend.sample_rate` seconds each; zeros if it tells none. Those
        of the backend that is heard, in the course of a switch.
        """
        voice = self._lanes.voice
        return voice[0] if self._channels == 1 else voice.T

    @overload
    def process(self, chunk: NDArray[Sample]) -> NDArray[Sample]: ...
    @overload
    def process(self, chunk: bytearray) -> bytearray: ...
    @overload
    def process(self, chunk: bytes | memoryview) -> bytes: ...
    def process(self, chunk: Any) -> Any:
        """Clean the next chunk.

        chunk: (frames,) if mono, or (frames, channels); int16, int32, float32 or float64; any number of frames.
        Returns an array of the same shape and type: what came `latency` frames ago, cleaned; zeros before the
        beginning. Integers are clipped at full scale; floats may pass +-1. A chunk of bytes, which a stream takes that
        was opened with a dtype, comes back as bytes.
        Raises AudioError that says what is wrong with the chunk, and where, counted from the stream's beginning; the
        stream is then as if the chunk had not come. DenoiseError if another thread is using the stream.
        Warns, once, if the floats of a stream are far beyond +-1, as int16 numbers in a float array are.
        """
        if type(chunk) is not np.ndarray and is_raw(chunk):
            cleaned = self.process(unpack_chunk(chunk, self._dtype, self._channels)).tobytes()
            self._raw = True
            return bytearray(cleaned) if isinstance(chunk, bytearray) else cleaned
        turn, thread = self._turn, get_ident()
        has_turn = turn.get(0) == thread
        try:  # as `alone` does it, without its calls
            if turn.setdefault(0, thread) != thread:
                raise in_use()
            samples, number = plain(chunk, self._channels, self._step)
            if not self._scale_known:
                self._scale_known = check_scale(samples, self._source)
            out = np.empty(samples.shape, samples.dtype)
            if self._seconds is None and len(samples) <= PIECE:
                self._run(samples, number, out, number)
            else:
                self._run_long(samples, number, out, number)
            dtype = chunk.dtype
            self._like, self._raw = (dtype, out.ndim), False
            return out if samples is chunk else out.astype(dtype, copy=False)
        finally:
            if not has_turn and turn.get(0) == thread:
                turn.clear()

    def flush(self) -> Any:
        """Return the last `latency` frames, of the type that the last chunk had; the stream is then as fresh."""
        raw, rest = self._raw, alone((self._turn,), self._flush)
        return rest.tobytes() if raw else rest

    def reset(self) -> None:
        """Forget all that came; the stream is then as fresh, with the backend last asked for."""
        alone((self._turn,), self._start, self._newest)

    def switch(self, backend: str | Backend, model: Any = None) -> None:
        """Go over to another backend without a click or a jump in time, while the signal goes on.

        backend: a name or a Backend. model: as Denoiser takes it, with a name.
        The old backend is heard until the new one has warmed up, latency + 0.2 s; then it fades into the new one in
        20 ms. The latency stays: raises ConfigError, naming the latency to open the stream with, if the new one needs
        more; ModelError for an unknown one. Of several switches in a row, those not yet heard are left out.
        """
        new = self._settings.backend_for(resolve_backend(backend, model), self._channels)
        needed = least_latency(new, self._rate, self._step)
        if needed > self._latency:
            raise ConfigError(
                f"{new.name} at {self._rate} Hz needs a latency of {needed} frames, and this stream was opened with "
                f"{self._latency}; open it with stream(latency={needed})"
            )
        alone((self._turn,), self._switch, new)

    def limit(self, atten_lim_db: float | None) -> None:
        """Turn noise down by so many dB at most from now on, 0 or more, None for no limit; without a click.

        It is heard as a switch is, latency + 0.2 s later, and fades in. Raises ConfigError for what is out of range.
        """
        settings = dataclasses.replace(self._settings, atten_lim_db=atten_lim_db)
        alone((self._turn,), self._switch, self.backend, settings)

    def _switch(self, new: Backend, settings: Settings | None = None) -> None:
        self._settings = self._settings if settings is None else settings
        first, *later = self._lanes.lanes
        fade_in = self._latency + round(WARM_UP_S * self._rate)
        lane = Lane(new, self._rate, self._channels, self._settings, self._latency, fade_in, self._lanes.lanes[-1])
        self._lanes = self._lanes.of([first, *(old for old in later if old.fade_in < 0), lane])

    def _flush(self) -> Array:
        dtype, ndim = self._like
        count = -(-self._latency // self._step) * self._step
        silence = np.zeros((count, self._channels), np.float32)
        out = np.empty((count,) if ndim == 1 else silence.shape, dtype.newbyteorder("="))
        self._run_long(silence, NUMBERS[silence.dtype], out, NUMBERS[out.dtype])
        voice = self._lanes.voice
        self._start(self._newest)
        self._lanes.voice = voice
        return out[: self._latency].astype(dtype, copy=False)

    def _run(self, samples: Array, number: int, out: Array, out_number: int) -> None:
        """Clean a plain chunk into a plain array of as many frames; numbers: of their types."""
        lanes, cleaned = self._lanes, []
        for lane, block in lanes.take(samples, number):
            cleaned.append(None if block is None else lane.process(block, lane.min_gain))
        self._lanes = lanes.give(cleaned, out, out_number)

    def _run_timed(self, samples: Array, number: int, out: Array, out_number: int) -> None:
        lanes, seconds, cleaned = self._lanes, self._seconds, []
        assert seconds is not None
        begun = time.perf_counter()
        work = lanes.take(samples, number)
        taken = time.perf_counter()
        for lane, block in work:
            cleaned.append(None if block is None else lane.process(block, lane.min_gain))
        denoised = time.perf_counter()
        self._lanes = lanes.give(cleaned, out, out_number)
        seconds["denoising"] += denoised - taken
        if self._rate != self.backend.sample_rate:
            seconds["resampling"] += taken - begun + time.perf_counter() - denoised

    def _run_long(self, samples: Array, number: int, out: Array, out_number: int) -> None:
        """Clean a plain chunk piece by piece, timed if so asked."""
        if samples.dtype.kind == "f":  # all of it is good, or none of it is cleaned
            samples = to_float(samples, self._settings.non_finite, self._lanes.position)
            number = NUMBERS[samples.dtype]
        size, voices = max(1, PIECE // self._step) * self._step, []
        run = self._run if self._seconds is None else self._run_timed
        for start in range(0, len(samples) or 1, size):
            part = slice(start, start + size)
            run(samples[part], number, out[part], out_number)
            voices.append(self._lanes.voice)
        self._lanes.voice = np.concatenate(voices, axis=1)

    def __getstate__(self) -> dict[str, Any]:
        return alone((self._turn,), self._saved)

    def _saved(self) -> dict[str, Any]:
        """Plain data, and what backends make of their own: so the modules of this package may move."""
        dtype, ndim = self._like
        dry = self._lanes.dry
        return {
            "sample_rate": self._rate,
            "channels": self._channels,
            "settings": dataclasses.asdict(self._settings),
            "latency": self._latency,
            "step": self._step,
            "like": (dtype.str, ndim),
            "dtype": None if self._dtype is None else self._dtype.str,
            "raw": self._raw,
            "voice": self._lanes.voice,
            "lanes": [(lane.backend, lane.state, lane.saved()) for lane in self._lanes.lanes],
            "min_gains": [lane.min_gain for lane in self._lanes.lanes],  # one changes while another limit fades in
            "dry": None if dry is None else dry.saved(),
        }

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._rate, self._channels, self._latency = saved["sample_rate"], saved["channels"], saved["latency"]
        self._settings, self._step = Settings(**saved["settings"]), saved["step"]
        self._seconds, self._source, self._turn, self._scale_known = None, None, {}, False
        self._dtype, self._raw = check_dtype(saved.get("dtype")), saved.get("raw", False)
        self._like = (np.dtype(saved["like"][0]), saved["like"][1])
        lanes = []
        gains = saved.get("min_gains") or [self._settings.min_gain] * len(saved["lanes"])
        for (backend, state, memory), gain in zip(saved["lanes"], gains, strict=True):
            lanes.append(Lane(backend, self._rate, self._channels, self._settings, self._latency, state=state))
            lanes[-1].min_gain = gain
            lanes[-1].restore(memory)
        self._lanes = self._make_lanes(lanes)
        self._lanes.voice = saved["voice"]
        if self._lanes.dry is not None:
            self._lanes.dry.restore(saved["dry"])

    def __copy__(self) -> Stream:
        return copy.deepcopy(self)  # two streams never share memory

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reset()

    def __repr__(self) -> str:
        channels = f"{self._channels} channel{'s' if self._channels > 1 else ''}"
        latency = f"latency {1e3 * self.latency_seconds:.1f} ms"
        facts = [self.backend.name, f"{self._rate} Hz", channels, latency, *self._settings.changed()]
        return f"<Stream {', '.join(facts)}>"


Stream.__module__ = "denoise_wrapper"  # where pickles look for it, wherever this file is

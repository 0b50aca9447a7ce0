"""A live signal: chunks of any length in, as many samples out, late by a constant."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.audio import Array, as_array, check_channels, check_rate, from_float, to_float
from denoise_wrapper.backends.base import Backend, process_together
from denoise_wrapper.errors import AudioError, ConfigError
from denoise_wrapper.stream.lane import Chain, Cleaned, chain_latency
from denoise_wrapper.stream.samples import Fifo, Inlet, type_number
from denoise_wrapper.stream.settings import Settings

if TYPE_CHECKING:
    from denoise_wrapper.files.watch import Watch

Float32 = NDArray[np.float32]
# A chunk that can be taken: the number of its type if it goes through in whole hops as it is, else None; the chunk; and
# its samples as (channels, frames) then, else as (frames, channels).
_Good = tuple[int | None, Array, Float32]

WARM_UP_S = 0.2  # for which a new backend listens before it is heard, beyond the stream's latency
MAX_LATENCY_S = 60  # that a stream may be opened with
FADE_S = 0.02  # for which one backend fades into the next


class Stream:
    """One signal at the caller's rate, channels and type, cleaned as it comes.

        with Denoiser("rnnoise").stream(sample_rate=44100, channels=2) as stream:
            for chunk in microphone:
                speaker.write(stream.process(chunk))
            speaker.write(stream.flush())

    The output does not depend on how the input is cut into chunks, bit for bit. A stream is for one thread at a time;
    any number of streams share a backend. It can be pickled and copied, and goes on bit for bit.

    sample_rate: Hz. channels: samples a frame; they are cleaned apart from each other. latency: frames by which the
    output is late; None for the least that the backend needs, more to be able to switch to a slower one later.
    """

    def __init__(
        self,
        backend: Backend,
        sample_rate: int | None = None,
        channels: int = 1,
        settings: Settings | None = None,
        latency: int | None = None,
    ) -> None:
        self._rate = backend.sample_rate if sample_rate is None else check_rate(sample_rate)
        self._channels = check_channels(channels)
        self._settings = Settings() if settings is None else settings
        if self._settings.vad_threshold is not None and self._settings.vad_gate == "drop":
            raise ConfigError(
                'a stream gives as many samples as it takes, so it cannot drop frames; use vad_gate="mute", '
                "or filter a whole clip"
            )
        self._latency = self._check_latency(backend, latency)
        self._inlet = Inlet(self._channels)
        self._target = backend
        self._taken: int  # frames since the beginning
        self._like: tuple[np.dtype[Any], int]  # type and number of axes of the last chunk
        self.reset()

    @classmethod
    def of_hops(cls, backend: Backend, settings: Settings) -> Stream:
        """A mono stream at the backend's rate that is only ever given whole hops, so late by backend.delay alone."""
        stream = cls(backend, settings=settings)
        stream._latency = backend.delay
        stream.reset()
        return stream

    @classmethod
    def watched(cls, backend: Backend, sample_rate: int, channels: int, settings: Settings, watch: Watch) -> Stream:
        """A stream for one whole clip, of which watch tells what time its parts take."""
        stream = cls(backend, sample_rate, channels, settings)
        stream._lanes[0].chain.watched(watch)
        return stream

    def _check_latency(self, backend: Backend, latency: int | None) -> int:
        needed, most = chain_latency(backend, self._rate), MAX_LATENCY_S * self._rate
        if latency is None:
            return needed
        if isinstance(latency, bool) or not isinstance(latency, int | np.integer) or not needed <= latency <= most:
            raise ConfigError(
                f"latency is {needed} to {most} frames for {backend.name} at {self._rate} Hz, not {latency!r}; "
                "None takes the least"
            )
        return int(latency)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._rate

    @property
    def channels(self) -> int:
        """Samples a frame."""
        return self._channels

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
        return self._target

    @property
    def vad(self) -> Float32:
        """Probabilities of speech in the hops that the last call completed: (hops,), or (hops, channels) of several.

        Hops are those of the backend, `backend.hop / backend.sample_rate` seconds each; zeros if it tells none. Those
        of the backend that is heard, in the course of a switch.
        """
        voice = self._lanes[0].chain.voice
        return voice[0] if self._channels == 1 else voice.T

    def process(self, chunk: Array) -> Array:
        """Clean the next chunk.

        chunk: (frames,) if mono, or (frames, channels); int16, int32, float32 or float64; any number of frames.
        Returns an array of the same shape and type: what came `latency` frames ago, cleaned; zeros before the
        beginning. Integers are clipped at full scale; floats may pass +-1.
        Raises AudioError that says what is wrong with the chunk, and where, counted from the stream's beginning; the
        stream is then as if the chunk had not come.
        """
        good = self._accept(chunk)
        if good[0] is not None:
            return self._give(good, (self._lanes[0].chain.clean(good[2]),))
        return self._give(good, [chain.clean(block) for chain, block in self._gather(good)])

    def flush(self) -> Array:
        """The last `latency` frames, of the type that the last chunk had; then the stream is as fresh."""
        dtype, ndim = self._like
        silence = np.zeros((self._latency, self._channels), np.float32)
        rest = self._mixed(silence, [lane.chain.clean(lane.chain.gather(silence)) for lane in self._lanes])
        voice = self._lanes[0].chain.voice
        self.reset()
        self._lanes[0].chain.voice = voice
        return from_float(rest, dtype, ndim)

    def reset(self) -> None:
        """Forget all that came; the stream is then as fresh, with the backend last asked for."""
        self._like = (np.dtype(np.float32), 1 if self._channels == 1 else 2)
        self._taken = 0
        self._lanes = [self._new_lane(self._target)]
        self._dry = Fifo(self._channels, self._latency) if self._settings.mix < 1.0 else None

    def switch(self, backend: str | Backend, model: Any = None) -> None:
        """Go over to another backend without a click or a jump in time, while the signal goes on.

        backend: a name or a Backend. model: as Denoiser takes it, with a name.
        The old backend is heard until the new one has warmed up, latency + 0.2 s; then it fades into the new one in
        20 ms. The latency stays: raises ConfigError, naming the latency to open the stream with, if the new one needs
        more; ModelError for an unknown one. Of several switches in a row, those not yet heard are left out.
        """
        new = resolve_backend(backend, model)
        needed = chain_latency(new, self._rate)
        if needed > self._latency:
            raise ConfigError(
                f"{new.name} at {self._rate} Hz needs a latency of {needed} frames, and this stream was opened with "
                f"{self._latency}; open it with stream(latency={needed})"
            )
        lane = self._new_lane(new, self._latency + round(WARM_UP_S * self._rate))
        lane.chain.go_on_from(self._lanes[-1].chain)
        self._lanes = [self._lanes[0]] + [old for old in self._lanes[1:] if old.fade_in < 0]
        self._lanes.append(lane)
        self._target = new

    def _new_lane(self, backend: Backend, fade_in: int = 0) -> _Lane:
        return _Lane(Chain(backend, self._rate, self._channels, self._settings), self._latency, fade_in)

    def _accept(self, chunk: Array) -> _Good:
        """The next chunk, if it is good; nothing has changed yet. Raises AudioError if it is not.

        What comes live, whole hops at the backend's rate, goes a way with little to do beside the backend's work.
        """
        channels = self._channels
        if len(self._lanes) == 1 and self._dry is None:
            number = type_number(chunk, channels)
            if number is not None and self._lanes[0].chain.takes_hops(len(chunk)):
                block = self._inlet.take(chunk, number)
                if block is not None:
                    return number, chunk, block
        samples = as_array(chunk, channels)
        return None, samples, to_float(samples, self._settings.non_finite, self._taken)

    def _gather(self, good: _Good) -> list[tuple[Chain, Float32 | None]]:
        """The hops that are whole with a chunk, of each lane."""
        number, _, floats = good
        if number is not None:
            return [(self._lanes[0].chain, floats)]
        return [(lane.chain, lane.chain.gather(floats)) for lane in self._lanes]

    def _give(self, good: _Good, done: Sequence[Cleaned | None]) -> Array:
        """What `process` answers to a chunk, when its hops have been cleaned."""
        number, samples, floats = good
        self._taken += len(samples)
        self._like = (samples.dtype, samples.ndim)
        hops = done[0]
        if number is None or hops is None:
            return from_float(self._mixed(floats, done), samples.dtype, samples.ndim)
        lane = self._lanes[0]
        cleaned, lane.chain.voice = hops
        return lane.fifo.swap(cleaned, number, samples)

    def _mixed(self, frames: Float32, done: Sequence[Cleaned | None]) -> Float32:
        """Frames in, as many out: all lanes, as their hops have been cleaned, faded, and mixed with the dry signal."""
        ready = [
            lane.fifo.exchange(lane.chain.finish(hops), len(frames))
            for lane, hops in zip(self._lanes, done, strict=True)
        ]
        cleaned = ready[0]
        if len(ready) > 1:
            self._fade(ready)
        if self._dry is not None:
            mix = np.float32(self._settings.mix)
            dry = self._dry.exchange(frames, len(frames))
            cleaned *= mix
            dry *= np.float32(1) - mix
            cleaned += dry
        return cleaned

    def _fade(self, ready: list[Float32]) -> None:
        """Fade what each later lane gave over what is heard of those before it, in the first, in place; forget the
        lanes that are no longer heard."""
        cleaned = ready[0]
        length = max(1, round(FADE_S * self._rate))
        for lane, fresh in zip(self._lanes[1:], ready[1:], strict=True):
            at = np.arange(1, len(fresh) + 1, dtype=np.float32) - np.float32(lane.fade_in)
            weight = np.clip(at / np.float32(length), 0, 1)[:, None]
            # Written so that weights of 0 and 1 give one lane or the other exactly.
            cleaned *= 1 - weight
            cleaned += fresh * weight
            lane.fade_in = max(lane.fade_in - len(fresh), -length)
        heard = [index for index, lane in enumerate(self._lanes) if index and lane.fade_in == -length]
        if heard:
            self._lanes = self._lanes[heard[-1] :]

    def __copy__(self) -> Stream:
        return copy.deepcopy(self)  # two streams never share memory

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reset()

    def __repr__(self) -> str:
        late_ms = 1e3 * self.latency_seconds
        return f"<Stream {self._target.name}, {self._rate} Hz, {self._channels} channels, {late_ms:.1f} ms late>"


class _Lane:
    """A chain and the queue that makes it late by the stream's latency.

    fade_in: frames until it begins to be heard; below zero, how far its fade has come.
    """

    def __init__(self, chain: Chain, latency: int, fade_in: int) -> None:
        self.chain, self.fade_in = chain, fade_in
        self.fifo = Fifo(chain.channels, latency)


def process_many(streams: Iterable[Stream], chunks: Iterable[Array]) -> list[Array]:
    """Give each of many streams its next chunk, in one go: what `[stream.process(chunk) for ...]` gives.

        cleaned = process_many(calls, chunks)  # the next 10 ms of all calls that a server holds

    streams: each once; they may be of different backends, rates, channels and settings. chunks: one for each stream,
    as `Stream.process` takes them. Hops of streams that share a backend go through it in one call, if as many of them
    are ready in each; so give chunks of one length to streams of one kind. The networks then read their weights
    fewer times: sixteen DTLN streams take a third of the time, RNNoise streams about as long as apart. Of RNNoise
    backends the results are those of separate calls, bit for bit; of DTLN ones too as far as has been seen, but ONNX
    Runtime does not promise to sum in the same order when it is given several signals.
    Returns the cleaned chunks, in that order. Raises AudioError that says which stream's chunk is wrong and why; all
    streams are then as if no chunk had come. ConfigError if the streams are not as many as the chunks, or one is
    there twice.
    """
    streams, chunks = list(streams), list(chunks)
    if len(streams) != len(chunks):
        raise ConfigError(f"each stream takes one chunk: {len(streams)} streams came, and {len(chunks)} chunks")
    for index, stream in enumerate(streams):
        if not isinstance(stream, Stream):
            raise ConfigError(f"streams[{index}] is a Stream, not {type(stream).__name__}")
    if len({id(stream) for stream in streams}) < len(streams):
        raise ConfigError("a stream is there twice; it takes one chunk at a time: join its chunks")
    accepted = []
    for index, (stream, chunk) in enumerate(zip(streams, chunks, strict=True)):
        try:
            accepted.append(stream._accept(chunk))
        except AudioError as error:
            raise AudioError(f"streams[{index}]: {error}") from error
    work = [stream._gather(good) for stream, good in zip(streams, accepted, strict=True)]
    done = iter(_clean_together([each for lanes in work for each in lanes]))
    return [
        stream._give(good, [next(done) for _ in lanes])
        for stream, good, lanes in zip(streams, accepted, work, strict=True)
    ]


def _clean_together(work: list[tuple[Chain, Float32 | None]]) -> list[Cleaned | None]:
    """What the backends make of the blocks, in their order: one call for all that go together."""
    groups: dict[tuple[int, float, int], list[int]] = {}
    done: list[Cleaned | None] = [None] * len(work)
    for index, (chain, block) in enumerate(work):
        if block is not None:
            backend, min_gain = chain.work
            groups.setdefault((id(backend), min_gain, block.shape[1]), []).append(index)
    for indexes in groups.values():
        backend, min_gain = work[indexes[0]][0].work
        states = [work[index][0].state for index in indexes]
        blocks = [block for index in indexes if (block := work[index][1]) is not None]
        for index, result in zip(indexes, process_together(backend, states, blocks, min_gain), strict=True):
            done[index] = result
    return done


def resolve_backend(backend: str | Backend, model: Any = None) -> Backend:
    """The backend of that name, or itself."""
    if isinstance(backend, str):
        from denoise_wrapper.backends import load_backend

        return load_backend(backend, model)
    if model is not None:
        raise ConfigError("model goes with the name of a backend; a Backend has its model already")
    if not all(hasattr(backend, name) for name in ("new_state", "sample_rate", "hop", "delay")):
        raise ConfigError(f"backend is a name or a Backend, not {backend!r}")
    return backend

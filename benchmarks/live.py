"""Live signals: how long a call takes, at worst too, and what of it is Python's."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks import networks
from benchmarks.options import Options
from benchmarks.results import Cell, Table
from benchmarks.signals import Float32, clip, pieces
from benchmarks.timing import calls_us, processor_s, take_turns
from denoise_wrapper import Denoiser
from denoise_wrapper._native import ffi, lib
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.engine import EngineBackend
from denoise_wrapper.backends.native import FRAME
from denoise_wrapper.stream.resample import ratio_of

USUAL_RATE, OTHER_RATE = 48000, 44100
CHUNKS_MS = (10, 20)
CLOCKS = (time.perf_counter_ns, time.thread_time_ns)
PERCENTILES = {"p50": 50, "p99": 99, "p99.9": 99.9}
SLICES = 4  # in which the calls are made, all candidates taking turns
WARM_UP = 50  # calls
SHARE_S = 20  # of audio, at most, for Python's share


def live(options: Options) -> Iterator[Table]:
    yield percentiles(options)
    yield pythons_share(options)
    yield ways(options)


class _Timed:
    """A stream that is given its next calls a slice at a time."""

    def __init__(self, backend: str, rate: int, chunk_ms: int) -> None:
        self.chunks = pieces(clip(10, rate), rate * chunk_ms // 1000)
        self.process = Denoiser(backend).stream(rate).process
        self.spent: list[list[NDArray[np.float64]]] = [[] for _ in CLOCKS]
        for chunk in self.chunks[:WARM_UP]:
            self.process(chunk)

    def go_on(self, calls: int) -> None:
        chunks, process, count = self.chunks, self.process, len(self.chunks)
        for spent, clock in zip(self.spent, CLOCKS, strict=True):
            spent.append(calls_us(lambda number: process(chunks[number % count]), calls, clock))


def _rates(backend: str) -> list[int]:
    """The backend's own rate and one that is resampled; the usual ones."""
    own = load_backend(backend).sample_rate
    return [own, OTHER_RATE if own == USUAL_RATE else USUAL_RATE]


def percentiles(options: Options) -> Table:
    """Each call by itself."""
    timed = {
        (backend, rate, chunk_ms): _Timed(backend, rate, chunk_ms)
        for backend in networks.our_backends()
        for rate in _rates(backend)
        for chunk_ms in CHUNKS_MS
    }
    for _ in range(SLICES):
        for stream in timed.values():
            stream.go_on(-(-options.effort.calls // SLICES))
    rows: list[list[Cell]] = []
    facts = {}
    for (backend, rate, chunk_ms), stream in timed.items():
        wall, processor = (
            np.percentile(np.concatenate(spent), list(PERCENTILES.values())).tolist() for spent in stream.spent
        )
        rows.append([backend, f"{rate} Hz", f"{chunk_ms} ms", *wall, *processor, 1000.0 * chunk_ms / wall[0]])
        facts[f"live {backend} {rate} {chunk_ms}"] = wall[0]
    calls = sum(map(len, next(iter(timed.values())).spent[0]))
    return Table(
        "live",
        "stream.process, microseconds a call",
        ["backend", "rate", "chunk", *PERCENTILES, *(f"{name}, processor" for name in PERCENTILES), "x real time"],
        rows,
        f"{calls} calls by the wall clock, which has in it whatever else the machine does, and as many by the "
        "processor's. At other rates than the backend's the signal is resampled on its way in and out.",
        facts,
    )


def pythons_share(options: Options) -> Table:
    """Processor time of stream.process beside that of the C call within it."""
    models = networks.shipped() | options.models
    seconds = min(SHARE_S, options.effort.seconds)
    frames = [np.ascontiguousarray(frame) for frame in pieces(clip(seconds, USUAL_RATE), FRAME)]
    actions: dict[str, Callable[[], float]] = {}
    for name, model in models.items():
        backend = networks.make_backend(name, model)
        actions[f"{name} C"] = functools.partial(each_us, CCalls(backend).process, frames)
        actions[f"{name} stream"] = functools.partial(each_us, Denoiser(backend).stream().process, frames)
    times = take_turns(actions, 2 * options.effort.rounds)
    rows: list[list[Cell]] = []
    facts = {}
    for name in models:
        in_c, whole = times[f"{name} C"], times[f"{name} stream"]
        rows.append([name, in_c.best, whole.best, whole.best - in_c.best, whole.best / in_c.best])
        facts[f"share {name}"] = whole.best - in_c.best
    return Table(
        "live",
        "Python's share of stream.process, 10 ms at 48 kHz, microseconds of the processor a call",
        ["network", "the C call alone", "stream.process", "Python's share", "x the C call"],
        rows,
        "The C call is dn_process as cffi calls it, from one buffer to another that are there already.",
        facts,
    )


class Idle:
    """A backend that does nothing: what a stream costs then is all that is not the engine's."""

    name, sample_rate, hop, delay, has_vad = "idle", USUAL_RATE, FRAME, FRAME, True

    def __init__(self) -> None:
        self._made: dict[int, tuple[Float32, Float32]] = {}

    def new_state(self, channels: int) -> Idle:
        return self

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        size = block.shape[1]
        if size not in self._made:
            self._made[size] = np.zeros((1, size), np.float32), np.ones((1, size // FRAME), np.float32)
        return self._made[size]

    def reset(self) -> None:
        pass


# What is asked of a stream -> its rate, the frames of a chunk, and its settings
WAYS: dict[str, tuple[int, int, dict[str, float]]] = {
    "whole hops": (USUAL_RATE, FRAME, {}),
    "441 samples": (USUAL_RATE, 441, {}),
    "a gate": (USUAL_RATE, FRAME, {"vad_threshold": 0.5}),
    "mix=0.9": (USUAL_RATE, FRAME, {"mix": 0.9}),
    "44.1 kHz": (OTHER_RATE, 441, {}),
}


def ways(options: Options) -> Table:
    """A chunk's way through a stream whose backend does nothing, beside that of whole hops."""
    seconds = min(SHARE_S, options.effort.seconds)
    actions: dict[str, Callable[[], float]] = {}
    for way, (rate, size, settings) in WAYS.items():
        chunks = [np.ascontiguousarray(chunk) for chunk in pieces(clip(seconds, rate), size)]
        process = Denoiser(Idle(), **settings).stream(rate).process  # type: ignore[arg-type]
        actions[way] = functools.partial(each_us, process, chunks)
        if rate != USUAL_RATE:
            actions[f"{way} resampler"] = functools.partial(each_us, Resampling(rate).process, chunks)
    times = take_turns(actions, 2 * options.effort.rounds)
    rows: list[list[Cell]] = []
    facts = {}
    for way in WAYS:
        alone = times[f"{way} resampler"].best if f"{way} resampler" in times else 0.0
        beyond, least = times[way].best - alone, times["whole hops"].best
        rows.append([way, times[way].best, alone or None, beyond, beyond / least])
        facts[f"way {way}"] = beyond
    return Table(
        "live",
        "Ways through a stream whose backend does nothing, microseconds of the processor a call",
        ["asked for", "stream.process", "the resampler alone", "beyond it", "x whole hops"],
        rows,
        "Mono floats; whole hops are 480 samples at the backend's 48 kHz. The resampler alone is dn_resample, in and "
        "out, from buffers that are there already.",
        facts,
    )


class Resampling:
    """dn_resample to 48 kHz and back, of as many samples as a chunk has, with as little around it as Python can."""

    def __init__(self, rate: int) -> None:
        self._there, self._back = ratio_of(rate, USUAL_RATE), ratio_of(USUAL_RATE, rate)
        self._chunk, self._hop = rate // 100, FRAME
        self._in, self._out = ffi.new("float[]", 4 * FRAME), ffi.new("float[]", FRAME)

    def process(self, _: Float32) -> None:
        room = len(self._in)
        lib.dn_resample(self._there, self._in, -FRAME, room, self._out, 0, self._hop)
        lib.dn_resample(self._back, self._in, -FRAME, room, self._out, 0, self._chunk)


def each_us(process: Callable[[Float32], object], chunks: list[Float32]) -> float:
    """Microseconds of the processor a call, over all chunks."""

    def run() -> None:
        for chunk in chunks:
            process(chunk)

    return 1e6 * processor_s(run) / len(chunks)


class CCalls:
    """dn_process, called with as little around it as Python can."""

    def __init__(self, backend: EngineBackend) -> None:
        data, model, state = backend.data, ffi.new("dn_model **"), ffi.new("dn_state **")
        if lib.dn_model_load(ffi.from_buffer(data), len(data), model, ffi.NULL) != lib.DN_OK:
            raise RuntimeError("the engine has refused a model that it has loaded before")
        self._model = ffi.gc(model[0], lib.dn_model_destroy)
        lib.dn_model_set_isa(self._model, backend.isa.encode())
        lib.dn_state_create(self._model, state)
        self._state = ffi.gc(state[0], lib.dn_state_destroy)
        self._states = ffi.new("dn_state *[]", [self._state])
        self._out, self._voice = ffi.new("float[]", FRAME), ffi.new("float[]", 1)

    def process(self, chunk: Float32) -> None:
        lib.dn_process(self._states, 1, ffi.from_buffer("float[]", chunk), self._out, self._voice, 1, 0.0)

"""The DTLN: live hops and whole clips, beside the loop that the network was published with."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.live import each_us
from benchmarks.options import Options
from benchmarks.published import HOP, RATE, PerHopLoop
from benchmarks.results import Cell, Table
from benchmarks.signals import Float32, clip, pieces
from benchmarks.timing import processor_s, take_turns
from denoise_wrapper import Denoiser
from denoise_wrapper.backends import Backend, load_backend
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.errors import DenoiseError

HOP_US = 1e6 * HOP / RATE
LOOP = "published per-hop loop"
NAMES = ("dtln-16k", "dtln-32k")
FORMS: dict[str, dict[str, Any]] = {  # beside the usual one
    "floats": {"precision": "float"},
    "int8": {"precision": "int8"},
    "floats, AVX2": {"precision": "float", "isa": "avx2"},
    "int8, AVX2": {"precision": "int8", "isa": "avx2"},
    "ONNX Runtime": {"runtime": "onnxruntime"},
}


def dtln(options: Options) -> Iterator[Table]:
    actions: dict[str, Callable[[], float]] = {}
    seconds, hops = options.effort.seconds, min(1000, options.effort.calls)
    if options.published is not None:
        loop, audio = PerHopLoop(options.published), clip(seconds, RATE)
        actions[LOOP] = lambda: 1e6 * processor_s(lambda: loop(audio)) * HOP / len(audio)
        foreign = load_backend("dtln-16k", options.published)
        live = [np.ascontiguousarray(hop) for hop in pieces(audio, HOP)[:hops]]
        actions["published pair, stream.process of a hop"] = functools.partial(
            each_us, Denoiser(foreign).stream().process, live
        )
    for name in NAMES:
        actions |= _ours(name, load_backend(name), seconds, hops)
        for words, form in FORMS.items():
            with contextlib.suppress(DenoiseError):  # no such processor, or no ONNX Runtime
                actions |= _ours(f"{name}, {words}", DTLNBackend(name=name, **form), seconds, hops)
    if options.pair is not None:
        pair = load_backend(options.dtln, options.pair)
        actions |= _ours(f"{options.dtln}, the given pair", pair, seconds, hops)
    times = take_turns(actions, options.effort.rounds)
    base = times[LOOP].best if LOOP in times else None
    rows: list[list[Cell]] = [
        [what, times_of.best, times_of.median, HOP_US / times_of.best, None if base is None else base / times_of.best]
        for what, times_of in times.items()
    ]
    yield Table(
        "dtln",
        "DTLN, microseconds of the processor a hop of 8 ms",
        ["what", "best", "median", "x real time", "x as fast as the loop"],
        rows,
        "One hop at a time is what a live signal costs."
        + ("" if base is not None else " The published pair is not here (--published DIR), so nothing is beside it."),
        {f"dtln {what}": times_of.best for what, times_of in times.items()},
    )


def _ours(called: str, backend: Backend, seconds: int, hops: int) -> dict[str, Callable[[], float]]:
    denoiser = Denoiser(backend)
    audio = clip(seconds, backend.sample_rate)
    live = [np.ascontiguousarray(hop) for hop in pieces(audio, backend.hop)[:hops]]
    rows = [hop.reshape(1, -1) for hop in live]
    two = np.stack([audio, audio[::-1]], axis=1)

    def whole(signal: Float32) -> float:
        return 1e6 * processor_s(lambda: denoiser.filter(signal, backend.sample_rate)) * backend.hop / signal.size

    return {
        f"{called}, state.process of a hop": functools.partial(each_us, backend.new_state(1).process, rows),
        f"{called}, stream.process of a hop": functools.partial(each_us, denoiser.stream().process, live),
        f"{called}, filter": functools.partial(whole, audio),
        f"{called}, filter of two channels, each": functools.partial(whole, two),
    }

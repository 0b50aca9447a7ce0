"""Many signals in one call beside as many calls of one: channels of a state, and live streams."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks import networks
from benchmarks.options import Options
from benchmarks.results import Cell, Table
from benchmarks.signals import Float32, clip
from benchmarks.timing import processor_s, take_turns
from denoise_wrapper import Denoiser, process_many
from denoise_wrapper.backends import Backend, load_backend

CALLS = 400  # hops of all signals together in a round, at least 20 each
WAYS = ("states apart", "one state", "streams apart", "process_many")


def streams(options: Options) -> Iterator[Table]:
    backends: dict[str, Backend] = {name: load_backend(name) for name in (networks.DEFAULT, networks.CLASSIC)}
    backends[networks.FULL] = networks.make_backend(networks.FULL, networks.full_size())
    backends["dtln-16k"] = load_backend("dtln-16k")
    counts = [2**power for power in range(options.effort.most_streams.bit_length())]
    actions: dict[str, Callable[[], float]] = {}
    for name, backend in backends.items():
        for count in counts:
            for way, make in zip(WAYS, (_states_apart, _one_state, _streams_apart, _together), strict=True):
                actions[f"{name} {count} {way}"] = functools.partial(_timed, make, backend, count)
    times = take_turns(actions, options.effort.rounds)
    rows: list[list[Cell]] = []
    facts = {}
    for name in backends:
        for count in counts:
            apart, one, streams_apart, together = (times[f"{name} {count} {way}"].best for way in WAYS)
            rows.append([name, str(count), apart, one, apart / one, streams_apart, together, streams_apart / together])
            facts[f"streams {name} {count}"] = together
    yield Table(
        "streams",
        "A hop of many signals, microseconds of the processor for each signal",
        ["backend", "signals", *WAYS[:2], "x as fast", *WAYS[2:], "x as fast"],
        rows,
        "state.process of states of one channel in turn, and of one state with as many channels; stream.process of "
        "mono streams in turn, and process_many with all of them.",
        facts,
    )


def _timed(make: Callable[[Backend, int], Callable[[Float32], object]], backend: Backend, count: int) -> float:
    """Microseconds for a signal and hop. make: gives what takes one hop of count signals, (count, hop)."""
    blocks, process = _hops(backend, count), make(backend, count)

    def run() -> None:
        for block in blocks:
            process(block)

    return 1e6 * processor_s(run) / (len(blocks) * count)


def _hops(backend: Backend, count: int) -> list[Float32]:
    """Blocks of one hop of so many signals, each signal another part of the clip."""
    length = max(20, CALLS // count)
    audio = clip(10, backend.sample_rate)
    starts = np.arange(count) * (len(audio) - length * backend.hop) // count
    lines = np.stack([audio[start : start + length * backend.hop] for start in starts])
    return [np.ascontiguousarray(part) for part in np.split(lines, length, axis=1)]


def _states_apart(backend: Backend, count: int) -> Callable[[Float32], object]:
    states = [backend.new_state(1) for _ in range(count)]

    def process(block: Float32) -> None:
        for number, state in enumerate(states):
            state.process(block[number : number + 1])

    return process


def _one_state(backend: Backend, count: int) -> Callable[[Float32], object]:
    return backend.new_state(count).process


def _streams_apart(backend: Backend, count: int) -> Callable[[Float32], object]:
    opened = [Denoiser(backend).stream() for _ in range(count)]

    def process(block: Float32) -> None:
        for stream, chunk in zip(opened, block, strict=True):
            stream.process(chunk)

    return process


def _together(backend: Backend, count: int) -> Callable[[Float32], object]:
    opened = [Denoiser(backend).stream() for _ in range(count)]
    return lambda block: process_many(opened, block)

"""Many channels in one call beside as many calls of one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks import networks
from benchmarks.options import Options
from benchmarks.results import Cell, Table
from benchmarks.signals import clip
from benchmarks.timing import processor_s, take_turns
from denoise_wrapper.backends import Backend, load_backend

CALLS = 400  # hops of all channels together in a round, at least 20 each


def streams(options: Options) -> Iterator[Table]:
    backends: dict[str, Backend] = {name: load_backend(name) for name in (networks.DEFAULT, networks.CLASSIC)}
    backends[networks.FULL] = networks.make_backend(networks.FULL, networks.full_size())
    backends["dtln-16k"] = load_backend("dtln-16k")
    counts = [2**power for power in range(options.effort.most_streams.bit_length())]
    actions: dict[str, Callable[[], float]] = {}
    for name, backend in backends.items():
        for count in counts:
            actions[f"{name} {count} together"] = functools.partial(together, backend, count)
            actions[f"{name} {count} apart"] = functools.partial(apart, backend, count)
    times = take_turns(actions, options.effort.rounds)
    rows: list[list[Cell]] = []
    facts = {}
    for name in backends:
        for count in counts:
            one, many = times[f"{name} {count} apart"].best, times[f"{name} {count} together"].best
            rows.append([name, str(count), one, many, one / many])
            facts[f"streams {name} {count}"] = many
    yield Table(
        "streams",
        "A hop of many signals, microseconds of the processor for each signal",
        ["backend", "signals", "a call each", "one call for all", "x as fast"],
        rows,
        "state.process with one hop of each signal: states of one channel in turn, and one state of as many channels.",
        facts,
    )


def _hops(backend: Backend, count: int) -> list[np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """Blocks of one hop of so many signals, each signal another part of the clip."""
    length = max(20, CALLS // count)
    audio = clip(10, backend.sample_rate)
    starts = np.arange(count) * (len(audio) - length * backend.hop) // count
    lines = np.stack([audio[start : start + length * backend.hop] for start in starts])
    return [np.ascontiguousarray(part) for part in np.split(lines, length, axis=1)]


def together(backend: Backend, count: int) -> float:
    blocks, state = _hops(backend, count), backend.new_state(count)

    def run() -> None:
        for block in blocks:
            state.process(block)

    return 1e6 * processor_s(run) / (len(blocks) * count)


def apart(backend: Backend, count: int) -> float:
    blocks = [[block[at : at + 1] for at in range(count)] for block in _hops(backend, count)]
    states = [backend.new_state(1) for _ in range(count)]

    def run() -> None:
        for rows in blocks:
            for state, row in zip(states, rows, strict=True):
                state.process(row)

    return 1e6 * processor_s(run) / (len(blocks) * count)

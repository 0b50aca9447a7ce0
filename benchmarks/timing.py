"""Timing: on one core, in processor time, all candidates taking turns."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Times:
    """Times of the rounds."""

    best: float
    median: float


def all_cores() -> set[int]:
    """The cores that this process may run on; empty where the system does not say."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def run_on(cores: set[int]) -> None:
    """Keep this process, and those that it starts, on these cores, where the system can."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def processor_s(action: Callable[[], object]) -> float:
    """Seconds that the processor spends on it, all threads together."""
    start = time.process_time()
    action()
    return time.process_time() - start


def wall_s(action: Callable[[], object]) -> float:
    """Seconds that pass."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def take_turns(actions: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Times]:
    """Time actions over rounds in which each has its turn, so that a disturbance meets them all.

    Where there are several rounds, one before them does not count.
    """
    measured: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + (rounds > 1)):
        for name, action in actions.items():
            seconds = action()
            if number or rounds == 1:
                measured[name].append(seconds)
    return {name: Times(min(seconds), float(np.median(seconds))) for name, seconds in measured.items()}


def calls_us(call: Callable[[int], object], count: int, clock: Callable[[], int]) -> NDArray[np.float64]:
    """Microseconds of call(0), call(1) ..., each by itself. clock: tells nanoseconds."""
    seconds = np.empty(count)
    for number in range(count):
        start = clock()
        call(number)
        seconds[number] = clock() - start
    return seconds / 1e3

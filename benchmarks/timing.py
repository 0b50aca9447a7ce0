"""How things are timed: on one core, in processor time, all candidates taking turns."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Times:
    """What the rounds gave."""

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
    """What the actions say that they took, over rounds in which each has its turn; a disturbance meets them all.

    Where there are several rounds, one before them does not count.
    """
    found: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + (rounds > 1)):
        for name, action in actions.items():
            taken = action()
            if number or rounds == 1:
                found[name].append(taken)
    return {name: Times(min(taken), float(np.median(taken))) for name, taken in found.items()}


def calls_us(call: Callable[[int], object], count: int, clock: Callable[[], int]) -> NDArray[np.float64]:
    """Microseconds of call(0), call(1) ..., each by itself. clock: tells nanoseconds."""
    taken = np.empty(count)
    for number in range(count):
        start = clock()
        call(number)
        taken[number] = clock() - start
    return taken / 1e3

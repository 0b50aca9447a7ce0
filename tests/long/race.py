"""Two threads on one stream: every pair of its methods, over and over.

    python tests/long/race.py [--calls 1000000]

Each call gives what it should or raises DenoiseError. Chunks say whose and which they are, and a backend that changes
nothing lets them be looked for in what comes out: none is there in part, twice, or before an earlier one of its thread.
Exits with 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import pickle
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from fakes import FakeBackend

from denoise_wrapper import DenoiseError, Stream, process_many

CHUNK = 480  # frames, as many as the stream is late: each chunk comes out whole with the next one
PLAIN = FakeBackend("plain", hop=160, delay=0, gain=1.0)
Float64 = NDArray[np.float64]


class Side:
    """One of the threads: what it sends, and what comes out to it."""

    def __init__(self, stream: Stream, number: int) -> None:
        self.stream, self.sign, self.sent = stream, 1 - 2 * number, 0
        self.calls = self.refused = 0
        self.wrong: list[str] = []
        self.came: list[int] = []

    def chunk(self) -> Float64:
        """The next chunk: its number, in parts of full scale, with the sign of the thread."""
        return np.full(CHUNK, self.sign * (self.sent + 1) * 2.0**-24)

    def look(self, made: Float64) -> None:
        """Note the chunk that came out."""
        # A switch fades from the backend to itself, which rounds.
        if made.shape != (CHUNK,) or (np.abs(made - made[0]) > 2.0**-26).any():
            self.wrong.append(f"a chunk in pieces: {np.unique(made)[:5]}")
        else:
            self.came.append(round(float(made[0]) * 2**24))

    def process(self) -> None:
        made = self.stream.process(self.chunk())
        self.sent += 1
        self.look(made)

    def process_many(self) -> None:
        made = process_many([self.stream], [self.chunk()])[0]
        self.sent += 1
        self.look(made)

    def flush(self) -> None:
        self.look(self.stream.flush().astype(np.float64))

    def reset(self) -> None:
        self.stream.reset()

    def switch(self) -> None:
        self.stream.switch(PLAIN)

    def pickle(self) -> None:
        if pickle.loads(pickle.dumps(self.stream)).latency != CHUNK:
            self.wrong.append("a pickle of another latency")

    def copy(self) -> None:
        if copy.copy(self.stream).channels != 1:
            self.wrong.append("a copy of other channels")

    def close(self) -> None:
        self.stream.__exit__(None, None, None)

    def facts(self) -> None:
        if self.stream.latency != CHUNK or self.stream.backend is not PLAIN or self.stream.vad.ndim != 1:
            self.wrong.append("other facts")


METHODS: dict[str, Callable[[Side], None]] = {
    name: getattr(Side, name)
    for name in ("process", "process_many", "flush", "reset", "switch", "pickle", "copy", "close", "facts")
}


def run_pair(first: str, second: str, calls: int) -> list[Side]:
    """Call a method in each of two threads so many times."""
    stream = Stream(PLAIN, latency=CHUNK)
    sides, start = [Side(stream, 0), Side(stream, 1)], threading.Barrier(2)

    def work(side: Side, method: Callable[[Side], None]) -> None:
        start.wait(60)
        for _ in range(calls):
            side.calls += 1
            try:
                method(side)
            except DenoiseError:
                side.refused += 1
            except BaseException as error:
                side.wrong.append(f"{type(error).__name__}: {error}")

    methods = METHODS[first], METHODS[second]
    threads = [threading.Thread(target=work, args=pair) for pair in zip(sides, methods, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_order(sides, {first, second} <= {"process", "process_many", "facts"})
    return sides


def check_order(sides: list[Side], steady: bool) -> None:
    """Hold what came out to what was sent. steady: nothing was reset or switched, so that all but the last came out."""
    for side in sides:
        for sign in (1, -1):
            mine = [number * sign for number in side.came if number * sign > 0]
            if mine != sorted(set(mine)):
                side.wrong.append("chunks of one thread came twice, or not in their order")
    came = [number for side in sides for number in side.came if number]
    sent = {number * side.sign for side in sides for number in range(1, side.sent + 1)}
    if len(set(came)) != len(came) or not set(came) <= sent or (steady and len(sent) - len(came) not in (0, 1)):
        sides[0].wrong.append(f"{len(sent)} chunks were sent, and {len(came)} came, {len(set(came))} of them unlike")


def run(calls: int, tell: Callable[[str], object] = print) -> list[str]:
    """All pairs, so many calls in all. Returns what is wrong."""
    pairs = list(itertools.combinations_with_replacement(METHODS, 2))
    each, wrong, made, refused, before = -(-calls // len(pairs) // 2), [], 0, 0, sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for first, second in pairs:
            for side in run_pair(first, second, each):
                made, refused = made + side.calls, refused + side.refused
                wrong += [f"{first} and {second}: {line}" for line in sorted(set(side.wrong))]
    finally:
        sys.setswitchinterval(before)
    tell(f"{made} calls of {len(pairs)} pairs: {refused} refused, {len(wrong)} wrong")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    begin, wrong = time.monotonic(), run(parser.parse_args().calls)
    print(*wrong, f"{time.monotonic() - begin:.0f} s", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

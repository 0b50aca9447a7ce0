"""All live streams on a few threads: each thread cleans the next pieces of its streams in one call.

On as few as can: two threads that clean wait for one another's turn in the interpreter, and the loop for both, so that
they carry fewer streams than one does. Slow backends, which are outside of it for long, bring more threads to work.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from denoise_wrapper.audio import Array
from denoise_wrapper.stream.stream import Stream
from denoise_wrapper.stream.together import process_many

PIECE_S = 0.02  # of audio that is cleaned at a time: so long does a giant chunk keep the others waiting
BATCH = 32  # streams in one call: more of them would wait longer than what they save
AHEAD_S = 1.0  # of audio beyond the time that has passed; a stream that hurries so waits until no other does
BUSY, LATELY_S = 0.75, 1.0  # share of a processor, over about so long, from which on the next thread gets what comes
Work = Callable[[Stream], Any]
Then = Callable[[Any, BaseException | None], object]  # called in the loop with a result, or with what went wrong


class Seat:
    """A stream's place in the pump. One piece of work at a time: the next is given when the last has been answered.

    cleaned: frames so far.
    """

    def __init__(self, stream: Stream, pump: Pump) -> None:
        self.stream, self._pump = stream, pump
        self.cleaned, self.began = 0, time.monotonic()
        self.closed = False
        self.piece = max(1, round(PIECE_S * stream.sample_rate))  # frames
        self.chunk: Array | None = None  # that is cleaned, from `at` on, into `out`
        self.at, self.out = 0, np.empty(0, np.float32)
        self.work: Work | None = None
        self.then: Then = _nobody

    def process(self, chunk: Array, then: Then) -> None:
        """Clean a chunk, of any length, as `Stream.process` takes it. The result has its cleaned samples."""
        self.chunk, self.at, self.then = chunk, 0, then
        self._pump.ask(self)

    def call(self, work: Work) -> asyncio.Future[Any]:
        """Have something done with the stream, between two chunks. The result is what work returns."""
        answer: asyncio.Future[Any] = self._pump.loop.create_future()

        def then(result: Any, error: BaseException | None) -> None:
            if answer.done():  # nobody waits for it any more
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        self.work, self.then = work, then
        self._pump.ask(self)
        return answer

    @property
    def next_piece(self) -> Array | None:
        """What is to be cleaned next."""
        chunk = self.chunk
        return chunk if chunk is None or len(chunk) <= self.piece else chunk[self.at : self.at + self.piece]

    def keep(self, cleaned: Array) -> None:
        """Keep the next piece of the chunk, cleaned."""
        assert self.chunk is not None
        if len(cleaned) == len(self.chunk):
            self.out = cleaned
        else:
            if self.at == 0:
                self.out = np.empty(self.chunk.shape, self.chunk.dtype)
            self.out[self.at : self.at + len(cleaned)] = cleaned
        self.at += len(cleaned)
        self.cleaned += len(cleaned)

    def close(self) -> None:
        """Leave the pump."""
        self.closed = True

    @property
    def hurries(self) -> bool:
        """True for a stream that is ahead of the time."""
        passed = time.monotonic() - self.began
        return self.cleaned > (passed + AHEAD_S) * self.stream.sample_rate


def _nobody(_: Any, __: BaseException | None) -> None:
    """Take no answer."""


Settled = tuple[Seat, Then, Any, BaseException | None]


class Pump:
    """What cleans the streams of a server. threads: how many, beside the loop. done: called with seconds of work and
    seconds of audio, by any of them. To be made in the loop's thread, or before there is a loop.
    """

    def __init__(self, threads: int, done: Callable[[float, float], object]) -> None:
        self._done = done
        self._workers = [_Worker(self) for _ in range(threads)]
        self._asked: list[Seat] = []  # what came in this turn of the loop

    @functools.cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, which asks, and has the answers."""
        return asyncio.get_running_loop()

    def open(self, stream: Stream) -> Seat:
        """Give a stream its seat."""
        return Seat(stream, self)

    @property
    def waiting(self) -> int:
        """Streams whose chunk waits to be cleaned."""
        return len(self._asked) + sum(worker.waiting for worker in self._workers)

    def stop(self) -> None:
        """End the threads."""
        for worker in self._workers:
            worker.end()

    def ask(self, seat: Seat) -> None:
        """Have a seat's work done, with that of all who ask in the same turn of the loop."""
        if not self._asked:
            self.loop.call_soon(self._begin)
        self._asked.append(seat)

    def _begin(self) -> None:
        asked, self._asked = self._asked, []
        now = time.perf_counter()
        least = min(self._workers, key=lambda worker: worker.busy(now))
        next((worker for worker in self._workers if worker.busy(now) < BUSY), least).add(asked)

    def round(self, seats: Sequence[Seat]) -> list[Settled]:
        """Do the next piece of work of each seat; returns what is done as a whole."""
        begin, audio_s = time.perf_counter(), 0.0
        settled: list[Settled] = []
        pieces: list[tuple[Seat, Array]] = []
        for seat in seats:
            if seat.closed:
                seat.chunk = None
                continue
            work, seat.work = seat.work, None
            if work is not None:
                settled.append((seat, seat.then, *_tried(work, seat.stream)))
            elif (piece := seat.next_piece) is not None:
                pieces.append((seat, piece))
        for (seat, piece), (result, error) in zip(pieces, _clean(pieces), strict=True):
            if error is None:
                seat.keep(result)
                audio_s += len(piece) / seat.stream.sample_rate
            if error is not None or seat.chunk is None or seat.at >= len(seat.chunk):
                seat.chunk = None
                settled.append((seat, seat.then, seat.out, error))
        self._done(time.perf_counter() - begin, audio_s)
        return settled


class _Worker:
    def __init__(self, pump: Pump) -> None:
        self._busy, self._rested, self._had = 0.0, time.perf_counter(), 0.0  # share of the time until then; s of it
        self._pump, self._ready, self._ended = pump, threading.Condition(), False
        self._soon: deque[Seat] = deque()
        self._later: deque[Seat] = deque()  # those that hurry
        self._thread = threading.Thread(target=self._run, name="denoise-pump", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._soon) + len(self._later)

    def busy(self, now: float) -> float:
        """Share of a processor that it has had lately, 0 to 1."""
        return self._busy * math.exp((self._rested - now) / LATELY_S)

    def add(self, seats: Sequence[Seat]) -> None:
        """Have the work of these done by this thread."""
        if seats:
            with self._ready:
                for seat in seats:
                    (self._later if seat.hurries else self._soon).append(seat)
                self._ready.notify()

    def end(self) -> None:
        with self._ready:
            self._ended = True
            self._ready.notify()
        self._thread.join()

    def _next(self) -> list[Seat]:
        with self._ready:
            while not self._soon and not self._later and not self._ended:
                self._ready.wait()
            queue, most = (self._soon, BATCH) if self._soon else (self._later, 1)
            return [queue.popleft() for _ in range(min(most, len(queue)))]

    def _measure(self) -> None:
        """Count what this thread has had of a processor: waiting for the interpreter is no work."""
        now, had = time.perf_counter(), time.thread_time()
        keeps = math.exp((self._rested - now) / LATELY_S)
        self._busy = keeps * self._busy + (1.0 - keeps) * (had - self._had) / (now - self._rested)
        self._rested, self._had = now, had

    def _run(self) -> None:
        while seats := self._next():
            settled = self._pump.round(seats)
            self._measure()
            self.add([seat for seat in seats if seat.chunk is not None])  # of which more is to be cleaned
            if settled:
                with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
                    self._pump.loop.call_soon_threadsafe(settle, settled)


def _clean(pieces: Sequence[tuple[Seat, Array]]) -> list[tuple[Any, BaseException | None]]:
    """Clean one piece of each; where one is bad, each by itself, so that the others do not notice."""
    if len(pieces) == 1:  # in a shorter way
        return [_tried(functools.partial(_alone, pieces[0][1]), pieces[0][0].stream)]
    try:
        cleaned = process_many([seat.stream for seat, _ in pieces], [piece for _, piece in pieces])
        return [(each, None) for each in cleaned]
    except Exception:
        return [_tried(functools.partial(_alone, piece), seat.stream) for seat, piece in pieces]


def _alone(piece: Array, stream: Stream) -> Array:
    return stream.process(piece)


def _tried(work: Work, stream: Stream) -> tuple[Any, BaseException | None]:
    try:
        return work(stream), None
    except Exception as error:
        return None, error


def settle(settled: Sequence[Settled]) -> None:
    """Answer all that are done, in the loop."""
    for seat, then, result, error in settled:
        if not seat.closed:
            then(result, error)

"""All live streams on a few threads: each thread cleans the next pieces of its streams in one call."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from denoise_wrapper.audio import Array
from denoise_wrapper.stream.stream import Float32, Stream
from denoise_wrapper.stream.together import process_many

PIECE_S = 0.02  # of audio that is cleaned at a time: so long does a giant chunk keep the others waiting
BATCH = 32  # streams in one call: more of them would wait longer than what they save
AHEAD_S = 1.0  # of audio beyond the time that has passed; a stream that hurries so waits until no other does
Work = Callable[[Stream], Any]


class Seat:
    """A stream's place in the pump. One piece of work at a time: the next is given when the last has been answered.

    speech: probabilities of speech, as `Stream.vad`, of the last chunk. cleaned: frames so far.
    """

    def __init__(self, stream: Stream, worker: _Worker) -> None:
        self.stream, self._worker = stream, worker
        self.speech: Float32 = stream.vad
        self.cleaned, self.began = 0, time.monotonic()
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self.chunk: Array | None = None  # that is cleaned, from `at` on, into `out`
        self.at, self.out = 0, np.empty(0, np.float32)
        self.work: Work | None = None
        self.answer: asyncio.Future[Any] | None = None

    def process(self, chunk: Array) -> asyncio.Future[Any]:
        """Clean a chunk, of any length, as `Stream.process` takes it. The result has its cleaned samples."""
        self.chunk, self.at, self.out = chunk, 0, np.empty(chunk.shape, chunk.dtype)
        return self._ask()

    def call(self, work: Work) -> asyncio.Future[Any]:
        """Have something done with the stream, between two chunks. The result is what work returns."""
        self.work = work
        return self._ask()

    def close(self) -> None:
        """Leave the pump."""
        self.closed = True
        self._worker.seats.discard(self)

    @property
    def hurries(self) -> bool:
        """True for a stream that is ahead of the time."""
        passed = time.monotonic() - self.began
        return self.cleaned > (passed + AHEAD_S) * self.stream.sample_rate

    def _ask(self) -> asyncio.Future[Any]:
        self.answer = self._loop.create_future()
        self._worker.add(self)
        return self.answer

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Answer, in the thread of the loop."""
        if self.answer is not None and not self.answer.done():
            if error is None:
                self.answer.set_result(result)
            else:
                self.answer.set_exception(error)


class Pump:
    """Threads for the streams of a server. done: called in those threads with seconds of work and seconds of audio."""

    def __init__(self, threads: int, done: Callable[[float, float], object]) -> None:
        self._workers = [_Worker(done) for _ in range(threads)]

    def open(self, stream: Stream) -> Seat:
        """Give a stream its seat, in the thread that has the fewest of them."""
        worker = min(self._workers, key=lambda each: len(each.seats))
        seat = Seat(stream, worker)
        worker.seats.add(seat)
        return seat

    @property
    def waiting(self) -> int:
        """Streams whose chunk waits to be cleaned."""
        return sum(worker.waiting for worker in self._workers)

    def stop(self) -> None:
        """End the threads."""
        for worker in self._workers:
            worker.end()


class _Worker:
    def __init__(self, done: Callable[[float, float], object]) -> None:
        self.seats: set[Seat] = set()
        self._done, self._ready, self._ended = done, threading.Condition(), False
        self._soon: deque[Seat] = deque()
        self._later: deque[Seat] = deque()  # those that hurry
        self._thread = threading.Thread(target=self._run, name="denoise-pump", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._soon) + len(self._later)

    def add(self, seat: Seat) -> None:
        with self._ready:
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

    def _run(self) -> None:
        while seats := self._next():
            begin, audio = time.perf_counter(), 0.0
            settled: list[tuple[Seat, Any, BaseException | None]] = []
            pieces: list[tuple[Seat, Array]] = []
            for seat in seats:
                if seat.closed:
                    continue
                work, seat.work = seat.work, None
                if work is not None:
                    settled.append((seat, *_tried(work, seat.stream)))
                elif seat.chunk is not None:
                    size = max(1, round(PIECE_S * seat.stream.sample_rate))
                    pieces.append((seat, seat.chunk[seat.at : seat.at + size]))
            for (seat, piece), (cleaned, error) in zip(pieces, _clean(pieces), strict=True):
                if error is None:
                    seat.out[seat.at : seat.at + len(piece)] = cleaned
                    seat.at += len(piece)
                    seat.cleaned += len(piece)
                    audio += len(piece) / seat.stream.sample_rate
                    seat.speech = seat.stream.vad
                assert seat.chunk is not None
                if error is None and seat.at < len(seat.chunk):
                    self.add(seat)
                    continue
                seat.chunk = None
                settled.append((seat, seat.out, error))
            self._done(time.perf_counter() - begin, audio)
            if settled:
                _deliver(settled)


def _clean(pieces: Sequence[tuple[Seat, Array]]) -> list[tuple[Any, BaseException | None]]:
    """Clean one piece of each; where one is bad, each by itself, so that the others do not notice."""
    try:
        cleaned = process_many([seat.stream for seat, _ in pieces], [piece for _, piece in pieces])
        return [(each, None) for each in cleaned]
    except Exception:
        return [_tried(functools.partial(_alone, piece), seat.stream) for seat, piece in pieces]


def _alone(piece: Array, stream: Stream) -> Array:
    return process_many([stream], [piece])[0]


def _tried(work: Work, stream: Stream) -> tuple[Any, BaseException | None]:
    try:
        return work(stream), None
    except Exception as error:
        return None, error


def _deliver(settled: Sequence[tuple[Seat, Any, BaseException | None]]) -> None:
    """Answer all that are done in one visit to the loop."""

    def answer() -> None:
        for seat, result, error in settled:
            seat.settle(result, error)

    try:
        settled[0][0]._loop.call_soon_threadsafe(answer)
    except RuntimeError:
        return  # the loop has ended, and nobody waits

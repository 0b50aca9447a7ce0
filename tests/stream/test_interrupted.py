"""Streams in two threads at once, and streams whose calls an exception ends anywhere: an error, and all goes on."""

from __future__ import annotations

import functools
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np
import pytest
from fakes import FakeBackend, FakeState
from numpy.typing import NDArray
from pairs import make_pair

from denoise_wrapper import DenoiseError, Denoiser, Stream, process_many
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.stream.settings import Settings

Array = NDArray[Any]

SMALL_PAIR = DTLNBackend(make_pair(512), "dtln-16k")
PLAIN, OTHER = FakeBackend("plain", gain=1.0), FakeBackend("other", hop=160, delay=0, gain=1.0)
RATES = (48000, 44100)


def tone(frames: int) -> Array:
    return (0.05 * np.sin(2 * np.pi * 200 * np.arange(frames) / 48000)).astype(np.float32)


# ---- two threads ----


class Waiting(FakeBackend):
    """A backend that is at work until it may go on."""

    entered, leave = threading.Event(), threading.Event()

    def new_state(self, channels: int) -> FakeState:
        return WaitingState(self, channels)


class WaitingState(FakeState):
    def process(self, block: Array, min_gain: float = 0.0) -> tuple[Array, Array]:
        Waiting.entered.set()
        assert Waiting.leave.wait(60)
        return super().process(block, min_gain)


CALLS: dict[str, Callable[[Stream], Any]] = {
    "process": lambda stream: stream.process(tone(480)),
    "process_many": lambda stream: process_many([Stream(PLAIN), stream], [tone(480), tone(480)]),
    "flush": lambda stream: stream.flush(),
    "reset": lambda stream: stream.reset(),
    "switch": lambda stream: stream.switch(OTHER),
    "close": lambda stream: stream.__exit__(None, None, None),
    "pickle": lambda stream: pickle.dumps(stream),
    "copy": lambda stream: stream.__copy__(),
}


@pytest.mark.parametrize("second", CALLS)
@pytest.mark.parametrize("first", ["process", "process_many", "flush"])
def test_a_second_thread_is_refused_and_the_first_is_right(first: str, second: str) -> None:
    stream, twin = Stream(Waiting("waiting", gain=1.0)), Stream(PLAIN)
    results: list[Any] = []
    Waiting.entered.clear()
    Waiting.leave.clear()
    thread = threading.Thread(target=lambda: results.append(CALLS[first](stream)))
    thread.start()
    assert Waiting.entered.wait(60)
    try:
        with pytest.raises(DenoiseError, match="another thread is using this stream"):
            CALLS[second](stream)
    finally:
        Waiting.leave.set()
        thread.join(60)
    wanted = CALLS[first](twin)
    np.testing.assert_array_equal(results[0], wanted)
    np.testing.assert_array_equal(stream.process(tone(960)), twin.process(tone(960)))


def test_threads_that_race_for_a_stream_get_samples_or_an_error() -> None:
    stream, refused, errors = Denoiser().stream(44100), [0] * 4, list[BaseException]()

    def use(number: int) -> None:
        chunk = tone(441)
        for _ in range(500):
            try:
                made = stream.process(chunk)
                assert made.shape == chunk.shape
                assert np.isfinite(made).all()
            except DenoiseError:
                refused[number] += 1
            except BaseException as error:
                errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    finally:
        sys.setswitchinterval(before)
    assert not errors
    assert sum(refused) > 0
    assert len(stream.flush()) == stream.latency


# ---- exceptions in the middle of a call ----


class Interrupted(BaseException):
    """An exception from outside, as Ctrl-C is."""


@functools.cache
def is_ours(code: CodeType) -> bool:
    return "denoise_wrapper" in code.co_filename and "tests" not in code.co_filename


def interrupted_at(count: int, call: Callable[[], object]) -> bool:
    """Call, and raise at the count-th bytecode of this package that runs; False if there are not so many."""
    left = count

    def enter(frame: Any, event: str, _: Any) -> Any:
        if not is_ours(frame.f_code):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return step

    def step(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        if event == "opcode":
            left -= 1
            if left == 0:
                raise Interrupted
        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        call()
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return False


def goes_on(stream: Stream) -> None:
    """A stream that was interrupted answers every chunk, and is as fresh after a flush; in this thread and others."""
    signal_ = tone(3 * stream.latency)
    chunks = np.array_split(signal_, np.cumsum((1, 480, 333, 1200)))
    made = [stream.process(chunk) for chunk in chunks]
    assert [len(each) for each in made] == [len(chunk) for chunk in chunks]
    assert np.isfinite(np.concatenate(made)).all()
    twin = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(twin.process(signal_), stream.process(signal_))
    assert len(stream.flush()) == stream.latency
    np.testing.assert_array_equal(stream.process(signal_), fresh_like(stream).process(signal_))


def fresh_like(stream: Stream) -> Stream:
    twin = pickle.loads(pickle.dumps(stream))
    twin.reset()
    return twin


METHODS = ("process", "flush", "reset", "switch", "process_many")


@pytest.mark.fault
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in the destructor of a state that goes
@pytest.mark.parametrize(
    ("name", "method", "rate"),
    [
        ("plain", "process", 48000),
        *(("plain", method, 44100) for method in METHODS),
        *(("rnnoise", method, 44100) for method in ("process", "flush", "switch", "reset")),
        ("dtln", "process", 44100),
    ],
)
def test_an_exception_at_any_bytecode_leaves_a_stream_usable(name: str, method: str, rate: int) -> None:
    backend: Any = {"plain": PLAIN, "rnnoise": load_backend("rnnoise"), "dtln": SMALL_PAIR}[name]
    settings, count = Settings(mix=0.5, vad_threshold=0.5 if backend.has_vad else None), 0
    begun = Stream(backend, rate, settings=settings, latency=2000)
    begun.process(tone(10_001))
    saved, beside = pickle.dumps(begun), Stream(PLAIN)
    call = CALLS[method]
    if method == "process_many":  # with one that is made before, and interrupted again and again

        def call(stream: Stream) -> Any:
            return process_many([beside, stream], [tone(480), tone(480)])

    while True:
        count += 1
        stream = pickle.loads(saved)
        if not interrupted_at(count, functools.partial(call, stream)):
            break
        if count % (7 if name == "plain" else 29) == 1:
            goes_on(stream)
        else:
            assert len(stream.process(tone(777))) == 777
            assert len(stream.flush()) == stream.latency
    assert count > 50
    goes_on(beside)


@pytest.mark.parametrize("rate", RATES)
def test_a_chunk_that_was_interrupted_before_the_backend_is_as_if_it_had_not_come(rate: int) -> None:
    stream, untouched = Stream(PLAIN, rate), Stream(PLAIN, rate)
    for each in (stream, untouched):
        each.process(tone(5000))
    lane = stream._lanes.lanes[0]

    def interrupt(*_: Any) -> Any:
        raise Interrupted

    process, lane.process = lane.process, interrupt  # type: ignore[assignment]
    with pytest.raises(Interrupted):
        stream.process(tone(2000))
    lane.process = process
    np.testing.assert_array_equal(stream.process(tone(7000)), untouched.process(tone(7000)))


@pytest.mark.fault
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no alarm here")
def test_an_alarm_in_the_middle_of_calls_leaves_a_stream_usable() -> None:
    def ring(*_: Any) -> None:
        raise Interrupted

    stream, chunk, rung = Denoiser().stream(44100), tone(441), 0
    before = signal.signal(signal.SIGALRM, ring)
    try:
        for number in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-4 * (1 + number % 17))
                for _ in range(50):
                    stream.process(chunk)
            except Interrupted:
                rung += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rung > 100
    goes_on(stream)


@pytest.mark.parametrize("inner", [480, 960])
def test_a_signal_handler_that_uses_the_stream_it_interrupts_cannot_harm_it(inner: int) -> None:
    class Nosy(FakeBackend):
        def new_state(self, channels: int) -> FakeState:
            return NosyState(self, channels)

    class NosyState(FakeState):
        inside = False

        def process(self, block: Array, min_gain: float = 0.0) -> tuple[Array, Array]:
            if not NosyState.inside:
                NosyState.inside = True
                stream.process(tone(inner))
            return super().process(block, min_gain)

    stream = Stream(Nosy("nosy", gain=1.0))
    with pytest.raises(DenoiseError):
        stream.process(tone(480))
    NosyState.inside = True
    assert len(stream.process(tone(5000))) == 5000

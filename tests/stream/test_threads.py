"""Many threads at once open, use and close streams of shared backends; each hears what it would alone."""

from __future__ import annotations

import copy
import functools
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from blobs import random_blob
from every_backend import ENHANCERS, SHIPPED
from fakes import FAKES
from numpy.typing import NDArray
from pairs import make_pair

from denoise_wrapper import Denoiser, Stream
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.stream import lane, resample

Array = NDArray[Any]

THREADS = 64
MADE = (
    RNNoiseBackend(random_blob(16, 24, sparse=True, quantised=True), "v0.2"),
    DTLNBackend(make_pair(512, free=False), "dtln-16k"),
    DTLNBackend(make_pair(512, free=False), "dtln-16k", runtime="onnxruntime"),
    FAKES[2],
)


def signal_of(rate: int) -> Array:
    """0.3 s of stereo noise that swells: float32 (frames, 2)."""
    noise = np.random.default_rng(4).standard_normal((rate * 3 // 10, 2)).astype(np.float32)
    return noise * np.linspace(0.01, 0.3, len(noise), dtype=np.float32)[:, None]


def alone(backend: Backend, rate: int) -> Array:
    stream = Stream(backend, rate, 2)
    return np.concatenate([stream.process(signal_of(rate)), stream.flush()])


def in_pieces(backend: Backend, rate: int, seed: int) -> Array:
    """Clean the signal by a stream that is used, closed, cut, pickled and copied on the way."""
    rng, signal = np.random.default_rng(seed), signal_of(rate)
    with Stream(backend, rate, 2) as stream:
        stream.process(signal[: 10 * seed])
        stream.reset()
        made, start = [], 0
        while start < len(signal):
            size = int(rng.integers(1, rate // 10))
            made.append(stream.process(signal[start : start + size]))
            start += size
            if rng.random() < 0.3:
                stream = pickle.loads(pickle.dumps(stream)) if rng.random() < 0.5 else copy.deepcopy(stream)
        return np.concatenate([*made, stream.flush()])


def run_at_once(work: list[Any]) -> None:
    """Call each in a thread of its own, all at once. Raises the first error of them."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(work))

    def run(call: Any) -> None:
        try:
            start.wait(60)
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]


def test_threads_that_open_use_and_close_streams_hear_what_each_would_alone() -> None:
    backends = [*(load_backend(name) for name in SHIPPED), *ENHANCERS, *MADE]
    kinds = [(backend, rate) for backend in backends for rate in (backend.sample_rate, 44100, 11025)]
    wanted = [alone(backend, rate) for backend, rate in kinds]

    def use(number: int) -> None:
        for step in range(3):
            index = (number + step * 5) % len(kinds)
            np.testing.assert_array_equal(in_pieces(*kinds[index], seed=number), wanted[index])

    run_at_once([lambda number=number: use(number) for number in range(THREADS)])


@pytest.mark.parametrize("name", SHIPPED)
def test_threads_that_load_backends_at_once_get_the_same(name: str) -> None:
    signal = signal_of(16000)[:, 0]
    data = load_backend(name).data  # type: ignore[attr-defined]
    models = None, data  # of which a DTLN's may be in other precisions
    wanted = [Denoiser(load_backend(name, model)).filter(signal, 16000) for model in models]

    def use(number: int) -> None:
        backend = load_backend(name, models[number % 2])
        np.testing.assert_array_equal(Denoiser(backend).filter(signal, 16000), wanted[number % 2])

    run_at_once([lambda number=number: use(number) for number in range(THREADS // 4)])


def test_threads_share_the_filters_of_rates_and_drop_them_while_others_use_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lane, "ratio_of", functools.lru_cache(maxsize=3)(resample.ratio_of.__wrapped__))
    backend, rates = FAKES[1], (8000, 12000, 20000, 24000, 32000, 40000, 48000, 64000)
    wanted = [alone(backend, rate) for rate in rates]

    def use(number: int) -> None:
        for step in range(8):
            index = (number + step * 3) % len(rates)
            np.testing.assert_array_equal(in_pieces(backend, rates[index], seed=number), wanted[index])

    run_at_once([lambda number=number: use(number) for number in range(THREADS)])

"""Pickles name few things, by paths that stay; unpickled streams share the backends that are there."""

from __future__ import annotations

import copy
import pickle
import pickletools
from typing import Any

import numpy as np
import pytest
from blobs import random_blob
from every_backend import ENHANCERS, SHIPPED
from numpy.typing import NDArray
from pairs import make_pair

from denoise_wrapper import Denoiser, ModelError, Stream, process_many
from denoise_wrapper.backends import base, load_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.stream.settings import Settings

Array = NDArray[Any]

PROMISED = {"Denoiser", "Stream", "restore_backend", "restore_state"}  # names in denoise_wrapper
BACKENDS: tuple[Backend, ...] = (
    *(load_backend(name) for name in SHIPPED),
    RNNoiseBackend(random_blob(16, 24), "v0.2"),
    DTLNBackend(make_pair(512), "dtln-16k"),
    DTLNBackend(make_pair(512), "dtln-16k", runtime="onnxruntime"),
    DTLNBackend(make_pair(512), "dtln-16k", precision="int8"),
    RNNoiseBackend(isa="scalar"),
    *ENHANCERS,
)


def globals_of(data: bytes) -> set[tuple[str, str]]:
    """(module, name) of all that a pickle names."""
    named, strings = set(), list[str]()
    for opcode, argument, _ in pickletools.genops(data):
        if isinstance(argument, str) and "UNICODE" in opcode.name:
            strings.append(argument)
        if opcode.name == "STACK_GLOBAL":
            named.add((strings[-2], strings[-1]))
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            named.add((module, name))
    return named


def opened(backend: Backend) -> Stream:
    """A stream in the middle of a signal, with all that a stream may have."""
    settings = Settings(mix=0.5, vad_threshold=0.5 if backend.has_vad else None, atten_lim_db=20)
    stream = Stream(backend, 44100, 2, settings, 6000)
    stream.process(np.random.default_rng(1).standard_normal((7777, 2)).astype(np.float32))
    stream.switch(backend)
    stream.process(np.zeros((100, 2), ">i2"))
    return stream


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("backend", BACKENDS, ids=repr)
def test_pickles_name_nothing_of_this_package_but_what_is_promised(backend: Backend, protocol: int) -> None:
    denoiser = Denoiser(backend, mix=0.5)
    denoiser.filter_frame(np.zeros(backend.hop, np.float32))
    for each in (backend, backend.new_state(2), opened(backend), denoiser):
        data = pickle.dumps(each, protocol)
        ours = {(module, name) for module, name in globals_of(data) if module.startswith("denoise_wrapper")}
        assert ours <= {("denoise_wrapper", name) for name in PROMISED}
        assert ours
        if protocol > 2:
            assert b"denoise_wrapper." not in data


def identity(backend: Backend) -> tuple[str, str, str]:
    return backend.kind, backend.name, backend.digest  # type: ignore[attr-defined]


@pytest.mark.fault
@pytest.mark.parametrize("backend", BACKENDS, ids=repr)
def test_an_unpickled_stream_shares_the_backend_that_lives(backend: Backend) -> None:
    stream = opened(backend)
    alike: list[object] = [each for each in base._live if (each.kind, each.name, each.digest) == identity(backend)]
    twins = [pickle.loads(pickle.dumps(stream)) for _ in range(3)]
    assert any(each is backend for each in alike)  # other tests may have loaded the model too
    assert all(any(twin.backend is each for each in alike) for twin in twins)
    assert copy.deepcopy(stream).backend is backend
    signal = np.random.default_rng(2).standard_normal((3000, 2)).astype(np.float32)
    wanted = stream.process(signal)
    for twin in twins:
        np.testing.assert_array_equal(twin.process(signal), wanted)


def test_a_shipped_model_is_not_in_the_pickle() -> None:
    backend = load_backend("dtln-16k")
    assert len(pickle.dumps(backend)) < 1000
    assert len(pickle.dumps(Denoiser("dtln-16k").stream())) < 100_000


def test_a_model_whose_backend_is_gone_is_loaded_from_the_pickle_once() -> None:
    backend = RNNoiseBackend(random_blob(16, 24, seed=5), "gone")
    digest, data = backend.digest, pickle.dumps(Denoiser(backend).stream())
    del backend
    first, second = pickle.loads(data), pickle.loads(data)
    assert first.backend is second.backend
    assert first.backend.digest == digest


def test_a_shipped_model_of_another_version_is_refused() -> None:
    reduced: Any = load_backend("rnnoise").__reduce__()
    function, (kind, name, digest, model, options) = reduced
    with pytest.raises(ModelError, match="another model called rnnoise"):
        function(kind, name, digest[::-1], model, options)


@pytest.mark.fault
@pytest.mark.parametrize("name", ["rnnoise", "dtln-16k"])
def test_unpickled_streams_go_through_their_backend_in_one_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    saved, counts = [pickle.dumps(Denoiser(name).stream()) for _ in range(5)], list[int]()
    kind: Any = type(load_backend(name))
    many = kind.process_many

    def counted(self: Any, states: Any, *rest: Any) -> Any:
        counts.append(len(states))
        return many(self, states, *rest)

    monkeypatch.setattr(kind, "process_many", counted)
    streams = [pickle.loads(each) for each in saved]
    process_many(streams, [np.zeros(stream.backend.hop, np.float32) for stream in streams])
    assert counts == [5]

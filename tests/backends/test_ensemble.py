"""The mean of several backends: answers in time with each other, and refusals; the rest by the contract suite."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from enhancer_files import TINY, random_enhancer

from denoise_wrapper import Denoiser, backend_names
from denoise_wrapper import backends as registry
from denoise_wrapper.backends import load_backend, restore_backend
from denoise_wrapper.backends.base import process_together
from denoise_wrapper.backends.ensemble import MEMBERS
from denoise_wrapper.errors import AudioError, ModelError
from denoise_wrapper.models.shipped import MODELS


def noise(shape: tuple[int, ...], seed: int = 5) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("limit_db", [None, 12.0])
def test_it_is_the_mean_of_its_members_in_time_with_each_other(limit_db: float | None) -> None:
    audio = noise((50000, 2))
    apart = [Denoiser(name, atten_lim_db=limit_db).filter(audio, 48000) for name in MEMBERS]
    together = Denoiser("ensemble", atten_lim_db=limit_db).filter(audio, 48000)
    np.testing.assert_allclose(together, np.mean(apart, axis=0), atol=1e-6)
    assert not np.allclose(apart[0], apart[1], atol=1e-3)


def test_its_probability_of_speech_is_the_mean_of_theirs() -> None:
    audio = noise((48000,))
    audio[20000:30000] += 0.3 * np.sin(0.02 * np.arange(10000)).astype(np.float32)
    apart = [Denoiser(name).speech_probability(audio, 48000) for name in MEMBERS]
    times, voice = Denoiser("ensemble").speech_probability(audio, 48000)
    np.testing.assert_array_equal(times, apart[0][0])
    np.testing.assert_allclose(voice, np.mean([voice for _, voice in apart], axis=0), atol=1e-6)


def test_a_stream_is_as_late_as_its_latest_member() -> None:
    latencies = [Denoiser(name).stream(48000).latency for name in MEMBERS]
    assert len(set(latencies)) == len(MEMBERS)
    assert Denoiser("ensemble").stream(48000).latency == max(latencies)


def test_what_its_members_have_ahead_is_kept_by_copies_and_pickles_and_lost_by_a_reset() -> None:
    backend = load_backend("ensemble")
    state, first, second = backend.new_state(2), noise((2, 480), 1), noise((2, 960), 2)
    state.process(first)
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        for ours, theirs in zip(other.process(second), copy.deepcopy(state).process(second), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    state.reset()
    for ours, theirs in zip(state.process(second), backend.new_state(2).process(second), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_many_states_at_once_answer_as_each_alone_and_refuse_together() -> None:
    backend = load_backend("ensemble")
    blocks = [noise((channels, 1440), channels) for channels in (1, 2)]
    many, alone = ([backend.new_state(len(block)) for block in blocks] for _ in range(2))
    for _ in range(2):
        for ours, state, block in zip(process_together(backend, many, blocks, 0.1), alone, blocks, strict=True):
            for mine, theirs in zip(ours, state.process(block, 0.1), strict=True):
                np.testing.assert_array_equal(mine, theirs)
    bad = [blocks[0], np.full_like(blocks[1], np.nan)]
    with pytest.raises(AudioError):
        process_together(backend, many, bad, 0.0)
    for state, other, block in zip(many, alone, blocks, strict=True):
        np.testing.assert_array_equal(state.process(block)[0], other.process(block)[0])


def test_an_enhancer_of_ones_own_takes_the_place_of_the_shipped_one() -> None:
    audio, model = noise((9600,)), random_enhancer(TINY, mild=True)
    apart = [Denoiser("rnnoise").filter(audio, 48000), Denoiser("enhancer", model=model).filter(audio, 48000)]
    backend: Any = load_backend("ensemble", model)
    np.testing.assert_allclose(Denoiser(backend).filter(audio, 48000), np.mean(apart, axis=0), atol=1e-6)
    assert backend.data == model
    assert pickle.loads(pickle.dumps(backend)) is backend
    with pytest.raises(ModelError, match="give it to the backend rnnoise"):
        load_backend("ensemble", MODELS / "rnnoise-classic.dnnw")


def test_a_pickle_is_refused_where_a_member_has_other_weights() -> None:
    backend: Any = load_backend("ensemble")
    assert restore_backend("ensemble", "ensemble", backend.digest, None, {}) is backend
    with pytest.raises(ModelError, match="pickled with another model called ensemble"):
        restore_backend("ensemble", "ensemble", "0" * 64, None, {})


def test_it_is_not_there_without_a_member(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "MODELS", tmp_path)
    assert "ensemble" not in backend_names()

"""A denoiser and an enhancer that it guides: in time with each other, and refusals; the rest by the contract suite."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from enhancer_files import TAPPED, random_enhancer
from guiding import process_guided

from denoise_wrapper import Denoiser, backend_names
from denoise_wrapper import backends as registry
from denoise_wrapper.backends import load_backend, restore_backend
from denoise_wrapper.backends.base import process_together
from denoise_wrapper.cli import main as cli
from denoise_wrapper.compare.candidates import parse_candidate
from denoise_wrapper.errors import AudioError, ModelError
from denoise_wrapper.models.shipped import MODELS


def noise(shape: tuple[int, ...], seed: int = 5) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def model_of(guide: str = "rnnoise", **sizes: Any) -> bytes:
    """A guided enhancer of random weights as a file."""
    return random_enhancer(TAPPED._replace(guided=True, **sizes), mild=True, notes={"guide": guide})


@pytest.fixture(params=["shipped", "of random weights"])
def backend(request: pytest.FixtureRequest) -> Any:
    return load_backend("enhancer", None if request.param == "shipped" else model_of())


@pytest.mark.parametrize("limit_db", [None, 12.0])
@pytest.mark.parametrize("guide", ["rnnoise", "rnnoise-classic", "enhancer-live"])
def test_the_enhancer_sees_the_signal_and_the_whole_answer_of_its_guide(guide: str, limit_db: float | None) -> None:
    backend: Any = load_backend("enhancer", model_of(guide))
    audio = noise((50000, 2))
    whole = ((0, 0), (0, 960 - 50000 % 480))
    signals = (np.pad(part.T, whole) for part in (audio, Denoiser(guide).filter(audio, 48000)))
    padded, guiding = map(np.ascontiguousarray, signals)
    gain = 0.0 if limit_db is None else 10 ** (-limit_db / 20)
    wanted, _ = process_guided(backend.enhancer.new_state(2), padded, guiding, gain)
    ours = Denoiser(backend, atten_lim_db=limit_db).filter(audio, 48000)
    later = slice(4800, 48000)  # what the guide makes of the silence before a signal is not in its answer here
    np.testing.assert_allclose(ours[later], wanted.T[480:][later], atol=1e-6)
    assert not np.allclose(ours[:48000], audio[:48000], atol=1e-3)


def test_its_probability_of_speech_is_the_mean_of_both(backend: Any) -> None:
    block = noise((2, 4800))
    state, guide = backend.new_state(2), backend.guide.new_state(2)
    cleaned, voice = guide.process(block)
    late = np.pad(block, ((0, 0), (backend.guide.delay, 0)))[:, :4800]
    _, other = process_guided(backend.enhancer.new_state(2), np.ascontiguousarray(late), cleaned, 0.0)
    np.testing.assert_allclose(state.process(block)[1], 0.5 * (voice + other), atol=1e-6)


def test_a_stream_is_late_by_both(backend: Any) -> None:
    assert backend.delay == backend.guide.delay + 480 == 1440
    assert Denoiser(backend).stream(48000).latency == 1440 + 479  # and a hop must be whole


def test_what_it_holds_back_is_kept_by_copies_and_pickles_and_lost_by_a_reset(backend: Any) -> None:
    state, first, second = backend.new_state(2), noise((2, 480), 1), noise((2, 960), 2)
    state.process(first)
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        for ours, theirs in zip(other.process(second), copy.deepcopy(state).process(second), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    state.reset()
    for ours, theirs in zip(state.process(second), backend.new_state(2).process(second), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_many_states_at_once_answer_as_each_alone_and_refuse_together(backend: Any) -> None:
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


def test_loud_samples_are_refused_before_anything_has_changed(backend: Any) -> None:
    """Those that the guide takes go through the enhancer, too, whatever the guide makes of them."""
    state, other, loud = backend.new_state(1), backend.new_state(1), 9e6 * noise((1, 4800))
    loud[0, :10] = 9.99e5
    assert np.isfinite(state.process(np.clip(loud, -1e6, 1e6))[0]).all()
    state.reset()
    with pytest.raises(AudioError):
        state.process(np.full((1, 480), 2e6, np.float32))
    np.testing.assert_array_equal(state.process(noise((1, 960)))[0], other.process(noise((1, 960)))[0])


def test_a_model_of_ones_own_takes_the_place_of_the_shipped_one() -> None:
    model = model_of(blocks=1)
    backend: Any = load_backend("enhancer", model)
    assert backend.data == model
    assert pickle.loads(pickle.dumps(backend)) is backend
    with pytest.raises(ModelError, match="give it to the backend rnnoise"):
        load_backend("enhancer", MODELS / "rnnoise-classic.dnnw")
    with pytest.raises(
        ModelError, match="names 'dtln-16k' as its guide; known are rnnoise, rnnoise-classic, enhancer-live"
    ):
        load_backend("enhancer", model_of("dtln-16k"))


def test_a_file_says_which_backend_it_is_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, model = tmp_path / "mine.dnnw", model_of()
    path.write_bytes(model)
    audio = noise((9600,))
    opened = parse_candidate(str(path)).open()
    np.testing.assert_array_equal(opened.filter(audio, 48000), Denoiser("enhancer", model=model).filter(audio, 48000))
    assert cli.main(["models", "info", str(path)]) == 0
    assert "guide" in capsys.readouterr().out
    with pytest.raises(ModelError, match=r"mine\.dnnw is an enhancer's; give it to the backend enhancer"):
        load_backend("rnnoise", path)


def test_a_pickle_is_refused_where_either_has_other_weights() -> None:
    backend: Any = load_backend("enhancer")
    assert restore_backend("guided", "enhancer", backend.digest, None, {}) is backend
    with pytest.raises(ModelError, match="pickled with another model called enhancer"):
        restore_backend("guided", "enhancer", "0" * 64, None, {})


def test_it_is_not_there_without_its_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "MODELS", tmp_path)
    assert "enhancer" not in backend_names()

"""What people type first: one call, tensors, what an object says of itself, and names that are not quite right."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from require import require

import denoise_wrapper
from denoise_wrapper import AudioError, Denoiser, ModelError, backend_names, denoise
from denoise_wrapper.backends import _BACKENDS, BackendName


def noise(frames: int = 4000, channels: int = 1) -> NDArray[np.float32]:
    samples = (0.1 * np.random.default_rng(5).standard_normal((frames, channels))).astype(np.float32)
    return samples[:, 0] if channels == 1 else samples


def test_one_call_does_what_a_denoiser_does() -> None:
    samples = noise(channels=2)
    np.testing.assert_array_equal(denoise(samples, 44100), Denoiser().filter(samples, 44100))
    expected = Denoiser("dtln-16k", preset="asr").filter(samples[:, 0], 16000)
    np.testing.assert_array_equal(denoise(samples[:, 0], 16000, backend="dtln-16k", preset="asr"), expected)
    raw = (samples * 32767).astype(np.int16).tobytes()
    assert denoise(raw, 48000, channels=2, dtype="int16") == Denoiser().filter(raw, 48000, channels=2, dtype="int16")


def test_the_names_that_editors_complete_are_those_of_the_backends() -> None:
    assert typing.get_args(BackendName) == tuple(_BACKENDS)
    assert set(backend_names()) <= set(_BACKENDS)


def test_a_denoiser_says_how_it_was_made() -> None:
    assert repr(Denoiser()) == "Denoiser('rnnoise')"
    assert repr(Denoiser("dtln-16k", mix=0.5)) == "Denoiser('dtln-16k', mix=0.5)"
    assert repr(Denoiser(vad_threshold=0.4, vad_gate="drop")) == (
        "Denoiser('rnnoise', vad_threshold=0.4, vad_gate='drop')"
    )
    model = Path(denoise_wrapper.__file__).parent / "models/rnnoise-classic.dnnw"
    assert re.fullmatch(r"Denoiser\('rnnoise', model=<sha256 [0-9a-f]{12}>\)", repr(Denoiser(model=model)))
    stream = Denoiser(atten_lim_db=12).stream(48000)
    assert repr(stream) == "<Stream rnnoise, 48000 Hz, 1 channel, latency 30.0 ms, atten_lim_db=12>"
    assert "2 channels" in repr(Denoiser().stream(16000, 2))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dtln", "did you mean 'dtln-16k' or 'dtln-32k'?"),
        ("RNNoise", "did you mean 'rnnoise'"),
        ("rnnoize", "did you mean 'rnnoise'"),
        ("zzz", "known are rnnoise, "),
    ],
)
def test_names_that_are_not_quite_right_get_the_one_that_was_meant(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=re.escape(words)):
        Denoiser(name)


def test_a_model_file_in_the_place_of_a_name_gets_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "my.rnnn"
    path.write_text("rnnoise-nu model file version 1")
    with pytest.raises(ModelError, match=re.escape(f"is a file, not the name of a backend; use model='{path}'")):
        Denoiser(str(path))
    with pytest.raises(TypeError, match=re.escape(f"use model='{path}'")):
        Denoiser(path)  # type: ignore[arg-type]
    path.unlink()
    with pytest.raises(
        ModelError, match=re.escape(f"there is no backend and no file {path}; a model file goes by model=")
    ):
        Denoiser(str(path))


@pytest.mark.parametrize("channels", [1, 2])
def test_tensors_come_back_as_tensors_of_their_type_and_layout(channels: int) -> None:
    torch: Any = require("torch")
    samples = noise(channels=channels)
    tensor = torch.from_numpy(np.ascontiguousarray(samples.T)).requires_grad_()
    cleaned = Denoiser().filter(tensor, 48000)
    assert isinstance(cleaned, torch.Tensor)
    assert (cleaned.shape, cleaned.dtype, cleaned.requires_grad) == (tensor.shape, tensor.dtype, False)
    np.testing.assert_array_equal(cleaned.numpy().T, Denoiser().filter(samples, 48000))


@pytest.mark.parametrize(
    ("shape", "words"), [((1, 2, 300), "one by one"), ((300, 2), "looks like (frames, channels); use audio.T")]
)
def test_tensors_of_another_layout_are_refused_with_the_cure(shape: tuple[int, ...], words: str) -> None:
    torch: Any = require("torch")
    with pytest.raises(AudioError, match=re.escape(words)):
        Denoiser().filter(torch.zeros(shape), 48000)

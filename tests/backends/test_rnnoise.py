"""The rnnoise backend: it answers as the original library does with the same weights, and errors come as exceptions."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from recorded import CLIPS, ISAS, check_against_recording, make_backend

from denoise_wrapper.backends import backend_names, load_backend
from denoise_wrapper.backends.features import FeatureExtractor
from denoise_wrapper.backends.native import FRAME
from denoise_wrapper.backends.rnnoise import RNNoiseBackend, model_bytes
from denoise_wrapper.errors import AudioError, ConfigError, DenoiseError, FileError, ModelError
from denoise_wrapper.models.shipped import MODELS

Float32 = NDArray[np.float32]

RECORDED = {
    "default": "default.rnn",
    "5h_b_500k": "weights_5h_b_500k.hdf5",
    "5h_ru_500k": "weights_5h_ru_500k.hdf5",
}
TEXTS = ["bd", "cb", "lq", "mp", "sh"]


def noise(channels: int, frames: int, seed: int = 1) -> Float32:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((channels, frames * FRAME))).astype(np.float32)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("model", RECORDED)
@pytest.mark.parametrize("clip", CLIPS)
def test_output_is_that_of_the_original_library(shared: Path, clip: str, model: str, isa: str) -> None:
    folder = shared / "reference/rnnoise"
    check_against_recording(make_backend(folder / RECORDED[model], isa), folder, clip, model, 40)


@pytest.mark.parametrize("name", TEXTS)
def test_published_text_models_clean(shared: Path, name: str) -> None:
    folder = shared / "reference/rnnoise"
    noisy, _ = soundfile.read(folder / "street.flac", dtype="float32")
    block = noisy[None, : len(noisy) // FRAME * FRAME]
    cleaned, voice = make_backend(folder / f"{name}.rnnn", None).new_state(1).process(block)
    pauses = np.repeat(voice[0] < 0.1, FRAME)[:-FRAME]
    speech = np.repeat(voice[0] > 0.9, FRAME)[:-FRAME]
    before, after = block[0, :-FRAME], cleaned[0, FRAME:]
    assert np.mean(after[pauses] ** 2) < 0.25 * np.mean(before[pauses] ** 2)
    assert np.mean(after[speech] ** 2) > 0.25 * np.mean(before[speech] ** 2)


def test_channels_do_not_touch_each_other() -> None:
    backend, block = RNNoiseBackend(), noise(3, 20)
    together, voices = backend.new_state(3).process(block)
    for channel in range(3):
        alone, voice = backend.new_state(1).process(block[channel : channel + 1])
        np.testing.assert_array_equal(together[channel], alone[0])
        np.testing.assert_array_equal(voices[channel], voice[0])


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
@pytest.mark.parametrize("model", [None, "file"])
def test_a_copied_state_goes_on_bit_for_bit(copier, model, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    backend = RNNoiseBackend(None if model is None else b"" or _classic_as_text(tmp_path))
    state = backend.new_state(2)
    state.process(noise(2, 50))
    other = copier(state)
    block = noise(2, 50, seed=2)
    np.testing.assert_array_equal(state.process(block)[0], other.process(block)[0])
    state.process(block)  # what one hears, the other does not
    first = other.process(block)[0]
    state.reset()
    np.testing.assert_array_equal(state.process(block)[0], backend.new_state(2).process(block)[0])
    assert not np.array_equal(first, state.process(block)[0])


def _classic_as_text(folder: Path) -> Path:
    from denoise_wrapper.backends.convert import read_model, write_model

    write_model(read_model(_own_model()), folder / "model.rnnn")
    return folder / "model.rnnn"


def test_copies_share_the_backend() -> None:
    state = RNNoiseBackend().new_state(1)
    assert copy.deepcopy(state).backend is state.backend
    assert copy.deepcopy(state.backend) is state.backend


def test_a_state_saved_with_another_model_is_refused(shared: Path) -> None:
    folder = shared / "reference/rnnoise"
    state = RNNoiseBackend(folder / "bd.rnnn").new_state(1)
    (saved,) = state.saved()
    for memory in (saved[:-1], b"", bytes(len(saved))):
        with pytest.raises(ModelError, match="saved state"):
            state.restore([memory])


def test_a_bad_sample_is_placed_and_leaves_the_state_as_it_was() -> None:
    state, twin = (RNNoiseBackend().new_state(2) for _ in range(2))
    block, bad = noise(2, 5), noise(2, 5)
    for value in (np.nan, np.inf, -np.inf):
        bad[1, 777] = value
        with pytest.raises(AudioError, match=f"777 of channel 1.*{value}"):
            state.process(bad)
    np.testing.assert_array_equal(state.process(block)[0], twin.process(block)[0])


@pytest.mark.parametrize(
    "block",
    [
        np.zeros((1, 479), np.float32),
        np.zeros((2, 480), np.float32),
        np.zeros((1, 480), np.float64),
        np.zeros((1, 480), np.int16),
    ],
)
def test_a_block_that_does_not_fit_is_refused(block: Float32) -> None:
    with pytest.raises(AudioError, match=r"float32 \(1, n \* 480\)"):
        RNNoiseBackend().new_state(1).process(block)


def test_a_block_of_no_frames_gives_none() -> None:
    cleaned, voice = RNNoiseBackend().new_state(2).process(np.empty((2, 0), np.float32))
    assert cleaned.shape == (2, 0)
    assert voice.shape == (2, 0)


def test_the_input_is_not_changed() -> None:
    block = noise(1, 10)
    before = block.copy()
    RNNoiseBackend().new_state(1).process(block)
    np.testing.assert_array_equal(block, before)


def test_many_threads_share_one_backend() -> None:
    backend, blocks = RNNoiseBackend(), [noise(1, 100, seed) for seed in range(16)]

    def run(block: Float32) -> Float32:
        state = backend.new_state(1)
        return np.concatenate([state.process(part)[0] for part in np.split(block, 10, axis=1)], axis=1)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(run, blocks))
    for block, cleaned in zip(blocks, together, strict=True):
        np.testing.assert_array_equal(cleaned, run(block))


def test_a_state_outlives_every_name_of_its_backend() -> None:
    state = RNNoiseBackend(model_bytes(_own_model())).new_state(1)
    block = noise(1, 5)
    np.testing.assert_array_equal(state.process(block)[0], RNNoiseBackend(_own_model()).new_state(1).process(block)[0])


def _own_model() -> bytes:
    return (MODELS / "rnnoise-classic.dnnw").read_bytes()


def test_the_registry_loads_the_default_model_once() -> None:
    assert "rnnoise" in backend_names()
    assert load_backend("rnnoise") is load_backend("rnnoise")
    assert load_backend("rnnoise", _own_model()) is not load_backend("rnnoise")


@pytest.mark.parametrize(("name", "hint"), [("rnnoize", "did you mean 'rnnoise'"), ("", "known are rnnoise")])
def test_an_unknown_backend_is_named_with_those_known(name: str, hint: str) -> None:
    with pytest.raises(ModelError, match=hint):
        load_backend(name)


@pytest.mark.parametrize("model", ["absent.rnnn", ".", "\0", b"", b"no model", 5, ("a", "b")])
def test_a_model_that_cannot_be_loaded_is_a_denoise_error(model: object) -> None:
    with pytest.raises((FileError, ModelError)) as caught:
        RNNoiseBackend(model)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_h5py_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModelError, match=r"pip install 'denoise-wrapper\[keras\]'"):
        RNNoiseBackend(b"\x89HDF\r\n\x1a\n and so on")


def test_importing_the_backend_imports_no_optional_package() -> None:
    code = "import sys, denoise_wrapper.backends.rnnoise; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert not {"h5py", "torch", "pydub", "matplotlib", "scipy"} & set(done.stdout.split())


@pytest.mark.parametrize(("family", "features", "bands"), [("classic", 42, 22), ("v0.2", 65, 32)])
def test_features_have_their_shapes_and_targets_their_range(family: str, features: int, bands: int) -> None:
    rng = np.random.default_rng(5)
    clean = (0.1 * rng.standard_normal(50 * FRAME)).astype(np.float32)
    noisy = clean + (0.05 * rng.standard_normal(50 * FRAME)).astype(np.float32)
    extracted, spectra = FeatureExtractor(family).extract_spectra(noisy, clean)
    assert extracted.features.shape == (50, features)
    bands_of = (extracted.gains, extracted.clean_energy, extracted.energy, extracted.pitch_energy, extracted.coherence)
    for array in bands_of:
        assert array.shape == (50, bands)
        assert np.isfinite(array).all()
    assert np.isfinite(extracted.features).all()
    assert (((extracted.gains >= 0) & (extracted.gains <= 1)) | (extracted.gains == -1)).all()
    assert (extracted.clean_energy >= 0).all()
    ratio = np.sqrt(extracted.clean_energy[5:] / extracted.energy[5:])
    np.testing.assert_allclose(extracted.gains[5:], np.minimum(ratio, 1), rtol=1e-3)
    assert np.median(extracted.gains[5:]) > 0.7  # clean is the greater part of what is heard
    assert spectra is not None
    assert spectra.noisy.shape == spectra.pitch.shape == spectra.clean.shape == (50, 481)
    powers = np.sum(np.abs(spectra.clean[5:, :400]) ** 2)  # below 20 kHz, where the bands end
    assert 0.85 < powers / np.sum(extracted.clean_energy[5:]) < 1.15  # the outermost bands count a little more or less
    silent = FeatureExtractor(family).extract(0 * clean, 0 * clean)
    assert not silent.features.any()
    assert (silent.gains == -1).all()


def test_features_do_not_depend_on_the_length_of_a_call() -> None:
    noisy, clean = noise(1, 30)[0], noise(1, 30, seed=2)[0]
    whole = vars(FeatureExtractor().extract(noisy, clean))
    extractor = FeatureExtractor()
    parts = [extractor.extract(a, b) for a, b in zip(np.split(noisy, 10), np.split(clean, 10), strict=True)]
    for name, array in whole.items():
        np.testing.assert_array_equal(array, np.concatenate([getattr(part, name) for part in parts]))


def test_a_family_that_there_is_not_has_no_features() -> None:
    with pytest.raises(ConfigError, match=r"classic or v0\.2, not 'v1'"):
        FeatureExtractor("v1")


@pytest.mark.parametrize("length", [479, 481])
def test_features_of_what_does_not_fit_are_refused(length: int) -> None:
    good, bad = np.zeros(480, np.float32), np.zeros(length, np.float32)
    with pytest.raises(DenoiseError):
        FeatureExtractor().extract(good, bad)
    with pytest.raises(DenoiseError):
        FeatureExtractor().extract(bad, bad)
    good[3] = np.nan
    with pytest.raises(AudioError, match="sample 3"):
        FeatureExtractor().extract(good, good)


@pytest.mark.parametrize(("value", "words"), [(np.nan, "is nan.*finite"), (2e6, r"within \+-1e\+06")])
def test_a_sample_that_is_refused_is_named_with_the_rule(value: float, words: str) -> None:
    block = noise(2, 2)
    block[1, 700] = value
    with pytest.raises(AudioError, match=f"sample 700 of channel 1 .*{words}"):
        RNNoiseBackend().new_state(2).process(block)


@pytest.mark.parametrize("name", [["a"], {}, None, 3])
def test_a_name_of_another_type_is_an_unknown_backend(name: object) -> None:
    with pytest.raises(ModelError, match="no backend"):
        load_backend(name)  # type: ignore[arg-type]

"""UL-UNAS and GTCRN in the engine: they answer as their formulas and their released files do."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_narrow
import soundfile
from narrow_files import random_narrow
from numpy.typing import NDArray
from recorded import ISAS, signal_to_difference_db
from require import require
from speech import speechlike

from denoise_wrapper import Denoiser, backend_names
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.narrow import NarrowBackend, narrow_kind
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.cli import main as cli
from denoise_wrapper.compare.candidates import parse_candidate
from denoise_wrapper.errors import ConfigError, ModelError
from denoise_wrapper.models.records import read_records
from denoise_wrapper.models.released import KINDS, TITLES

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
HOP, BLOCK = 256, 512


def make_backend(data: Any, kind: str, isa: str | None = None) -> NarrowBackend:
    """The backend; the test is skipped where the processor lacks the set."""
    try:
        return NarrowBackend(data, kind, isa=isa)
    except ConfigError as error:
        pytest.skip(str(error))


@cache
def voiced() -> Float32:
    """Speech of two levels in noise, and silence; 40 hops."""
    audio = np.array(speechlike(100)[: 40 * HOP])
    audio[: 10 * HOP] *= 0.1
    audio += 0.03 * np.random.default_rng(5).standard_normal(len(audio)).astype(np.float32)
    audio[25 * HOP : 30 * HOP] = 0
    return audio


@cache
def by_formulas(kind: str) -> Float64:
    """Answer of a random network, computed slowly."""
    return reference_narrow.Network(random_narrow(kind)).process(voiced().astype(np.float64))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_answers_as_the_formulas(kind: str, isa: str) -> None:
    cleaned, voice = make_backend(random_narrow(kind), kind, isa).new_state(1).process(voiced()[None])
    apart_db = signal_to_difference_db(by_formulas(kind), cleaned[0])
    print(f"{kind}, {isa}: {apart_db:.1f} dB")
    assert apart_db >= 105
    assert not voice.any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_of_random_networks_matters(kind: str) -> None:
    """So that agreement above means something: no map could be left out, or be a tenth smaller.

    Of some blocks, one of each form, as it takes long.
    """
    tried = ("encoder0", "encoder1", "encoder2", "path0", "decoder2", "decoder3", "decoder4")
    audio = voiced()[12 * HOP : 14 * HOP].astype(np.float64)
    wanted = reference_narrow.Network(random_narrow(kind)).process(audio)
    for weights in reference_narrow.Network(random_narrow(kind)).w:
        if not weights.startswith(tried):
            continue
        other = reference_narrow.Network(random_narrow(kind))
        if not other.w[weights].any():
            continue
        other.w[weights] = other.w[weights] * 0.9
        assert signal_to_difference_db(wanted, other.process(audio)) < 100, weights


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("min_gain", [0.25, 1.0])
def test_a_limit_is_the_original_s_share(kind: str, min_gain: float) -> None:
    data = random_narrow(kind)
    cleaned, _ = NarrowBackend(data, kind).new_state(1).process(voiced()[None], min_gain)
    wanted = reference_narrow.Network(data).process(voiced().astype(np.float64), min_gain)
    assert signal_to_difference_db(wanted, cleaned[0]) >= 105
    if min_gain == 1:
        assert signal_to_difference_db(voiced()[:-HOP], cleaned[0, HOP:]) >= 105


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", KINDS)
def test_channels_and_hops_may_be_cut_anyhow(kind: str, isa: str) -> None:
    backend = make_backend(random_narrow(kind), kind, isa)
    audio = np.stack([voiced(), -0.1 * voiced()[::-1], np.roll(voiced(), 777)])
    whole, _ = backend.new_state(3).process(audio)
    for channel, row in enumerate(audio):
        state = backend.new_state(1)
        hops = [state.process(np.ascontiguousarray(hop[None]))[0][0] for hop in np.split(row, len(row) // HOP)]
        np.testing.assert_array_equal(np.concatenate(hops), whole[channel])


# ---- files ----


def test_a_file_of_one_s_own_is_loaded_by_name_path_and_bytes(tmp_path: Path) -> None:
    for kind in KINDS:
        path = tmp_path / f"{kind}.dnnw"
        path.write_bytes(random_narrow(kind))
        by_path, by_bytes = Denoiser(kind, model=path), Denoiser(kind, model=path.read_bytes())
        np.testing.assert_array_equal(by_path.filter(voiced(), 16000), by_bytes.filter(voiced(), 16000))
        backend = load_backend(kind, path)
        assert isinstance(backend, NarrowBackend)
        assert (backend.delay, backend.hop, backend.sample_rate, backend.has_vad) == (256, 256, 16000, False)
        assert (backend.title, backend.metadata["name"]) == (TITLES[kind], "random")
        assert copy.deepcopy(backend) is backend
        opened = parse_candidate(str(path)).open()
        assert opened.backend_name == kind
        assert narrow_kind(path) == kind
    assert narrow_kind(tmp_path) is narrow_kind(tmp_path / "none") is None


def test_each_backend_names_the_right_one_for_another_s_model() -> None:
    with pytest.raises(ModelError, match="given as bytes is GTCRN's; give it to the backend gtcrn"):
        NarrowBackend(random_narrow("gtcrn"), "ulunas")
    with pytest.raises(ModelError, match="one of the networks for 16 kHz; give it to the backend ulunas or gtcrn"):
        RNNoiseBackend(random_narrow("gtcrn"))
    with pytest.raises(ModelError, match="is an RNNoise network; give it to the backend rnnoise"):
        NarrowBackend(RNNoiseBackend(None).data, "ulunas")


def test_without_weights_the_name_wants_a_model() -> None:
    for kind in KINDS:
        assert kind not in backend_names()
        with pytest.raises(ModelError, match=f"{kind} comes without weights in this copy of denoise_wrapper; give it"):
            load_backend(kind)


# ---- released files ----


@pytest.fixture(scope="module")
def released(shared: Path) -> Path:
    """The folder of streaming ONNX files."""
    return shared / "reference/teachers"


def clip(shared: Path, number: int) -> Float32:
    """Two seconds of a clip of the development set, at 16 kHz."""
    soxr = require("soxr")
    path = sorted((shared / "dev/noisy").iterdir())[number]
    audio, rate = soundfile.read(path, dtype="float32", frames=96000)
    return np.asarray(soxr.resample(audio, rate, 16000), np.float32)[: 125 * HOP]


def by_onnx(path: Path, audio: Float32) -> Float64:
    """The answer of a streaming ONNX file in ONNX Runtime, frame by frame."""
    onnxruntime = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(BLOCK) / BLOCK))
    feeds = {item.name: np.zeros(item.shape, np.float32) for item in session.get_inputs()}
    caches = [item.name for item in session.get_inputs()][1:]
    padded, pending, made = np.concatenate([np.zeros(HOP), audio]), np.zeros(HOP), []
    for start in range(0, len(audio), HOP):
        spectrum = np.fft.rfft(padded[start : start + BLOCK] * window)
        feeds["mix"] = np.stack([spectrum.real, spectrum.imag], 1).astype(np.float32)[None, :, None]
        enhanced, *states = session.run(None, feeds)
        feeds |= dict(zip(caches, states, strict=True))
        frame = window * np.fft.irfft(enhanced.reshape(-1, 2) @ np.array([1, 1j]), BLOCK)
        made.append(pending + frame[:HOP])
        pending = frame[HOP:]
    return np.concatenate(made)


@pytest.mark.parametrize("kind", KINDS)
def test_the_released_network_answers_as_in_onnx_runtime(kind: str, shared: Path, released: Path) -> None:
    path = released / f"{kind}_stream.onnx"
    for number in (0, 7):
        audio = clip(shared, number)
        wanted = by_onnx(path, audio)
        for isa in ISAS[:: len(ISAS) - 1]:
            cleaned, _ = make_backend(path, kind, isa).new_state(1).process(audio[None])
            apart_db = signal_to_difference_db(wanted, cleaned[0])
            print(f"{kind}, clip {number}, {isa}: {apart_db:.1f} dB")
            assert apart_db >= 80


@pytest.mark.parametrize("kind", KINDS)
def test_the_released_network_answers_as_its_formulas(kind: str, shared: Path, released: Path) -> None:
    backend, audio = NarrowBackend(released / f"{kind}_stream.onnx", kind), clip(shared, 3)[: 50 * HOP]
    cleaned, _ = backend.new_state(1).process(audio[None])
    assert (
        signal_to_difference_db(reference_narrow.Network(backend.data).process(audio.astype(np.float64)), cleaned[0])
        >= 80
    )


def test_released_files_are_converted_and_described(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = released / "gtcrn_stream.onnx", tmp_path / "mine.dnnw"
    assert cli.main(["convert", str(source), "-o", str(target), "--licence", "MIT"]) == 0
    assert "mine.dnnw: GTCRN network at 16000 Hz" in capsys.readouterr().out
    weights, again = (read_records(NarrowBackend(path, "gtcrn").data) for path in (source, target))
    for name in weights.keys() - {"metadata"}:
        np.testing.assert_array_equal(weights[name], again[name])
    assert cli.main(["models", "info", "--json", str(target)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["family"] == "GTCRN"
    assert facts["metadata"]["licence"] == "MIT"
    assert facts["metadata"]["origin"] == "gtcrn_stream.onnx"
    assert cli.main(["convert", str(source), "-o", str(target)]) == 2
    assert cli.main(["convert", str(source), "-o", str(target), "--overwrite", "--to", "rnn"]) == 2

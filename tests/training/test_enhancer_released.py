"""Released networks in our building blocks, against what runs them elsewhere: ONNX Runtime, and formulas in float64."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import soundfile
from numpy.typing import NDArray
from require import require

torch = require("torch", reason="pip install 'denoise-wrapper[training]'")
onnx = require("onnx", reason="pip install 'denoise-wrapper[training]'")
import soxr  # noqa: E402
from recorded import signal_to_difference_db  # noqa: E402
from reference_fastenhancer import Network  # noqa: E402
from torch import Tensor  # noqa: E402

from denoise_wrapper.errors import ModelError  # noqa: E402
from denoise_wrapper.training.enhancer.released import Released, frames, load_teacher  # noqa: E402

TensorProto, helper = onnx.TensorProto, onnx.helper
STREAMING = ["ulunas", "gtcrn"]
SIZES = ["tiny", "base", "small"]
FILES = [f"teachers/{name}_stream.onnx" for name in STREAMING] + [f"fastenhancer/fe_{size}_48k.bin" for size in SIZES]
SECONDS = 2
LEAST_DB = 80.0


def reference(shared: Path, name: str) -> Path:
    """A file of others; where it is absent the test is skipped, or fails if CI is true."""
    path = shared / "reference" / name
    if not path.is_file():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no file {path}")
    return path


def clip(shared: Path, rate: int, kind: str = "noisy") -> Tensor:
    """Some seconds of a clip at a rate, (1, n)."""
    path = shared / "dev" / kind / "00.flac"
    if not path.is_file():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no file {path}")
    audio, old = soundfile.read(path, dtype="float32")
    part = soxr.resample(audio, old, rate)[2 * rate : (2 + SECONDS) * rate]  # speech begins after some 2 s
    return torch.from_numpy(part).float().unsqueeze(0)


def frame_by_frame(path: Path, spectrum: NDArray[Any]) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """The answers of ONNX Runtime to frames (frames, bins), and the caches after the last."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    caches = {item.name: np.zeros(item.shape, np.float32) for item in session.get_inputs() if item.name != "mix"}
    answers = []
    for frame in spectrum:
        mix = np.stack([frame.real, frame.imag], axis=1)[None, :, None]
        answer, *rest = session.run(None, {"mix": mix, **caches})
        caches = dict(zip(caches, rest, strict=True))
        answers.append(answer[0, :, 0, 0] + 1j * answer[0, :, 0, 1])
    return np.array(answers, np.complex64), list(caches.values())


@pytest.mark.parametrize("name", STREAMING)
def test_a_streaming_onnx_file_gives_the_same_spectra_in_onnx_runtime(shared: Path, name: str) -> None:
    path = reference(shared, f"teachers/{name}_stream.onnx")
    network, audio = load_teacher(path), clip(shared, 16000)
    spectrum = network.analyse(torch.nn.functional.pad(audio, (network.hop, 0)))
    with torch.no_grad():
        answer, _ = network(spectrum, network.new_state(1))
    wanted, _ = frame_by_frame(path, spectrum[0].numpy())
    assert signal_to_difference_db(wanted.view(np.float32), answer[0].numpy().view(np.float32)) >= LEAST_DB


def test_the_state_of_ulunas_is_that_of_its_onnx_file(shared: Path) -> None:
    path = reference(shared, "teachers/ulunas_stream.onnx")
    network, audio = load_teacher(path), clip(shared, 16000)
    spectrum = network.analyse(torch.nn.functional.pad(audio, (network.hop, 0)))
    with torch.no_grad():
        _, state = network(spectrum, network.new_state(1))
    _, caches = frame_by_frame(path, spectrum[0].numpy())
    ours = np.concatenate([part.numpy().ravel() for part in state])
    sizes = np.cumsum([cache.size for cache in caches])[:-1]
    for cache, part in zip(caches, np.split(ours, sizes), strict=True):
        assert signal_to_difference_db(cache.ravel(), part) >= LEAST_DB


@pytest.mark.parametrize("size", SIZES)
def test_fastenhancer_gives_what_its_formulas_do(shared: Path, size: str) -> None:
    path = reference(shared, f"fastenhancer/fe_{size}_48k.bin")
    network, audio = load_teacher(path), clip(shared, 48000)[:, : 100 * 512]
    plain = Network(size, np.frombuffer(path.read_bytes()[20:], "<f4").astype(np.float64))
    hops = [*audio[0].double().numpy().reshape(-1, 512), np.zeros(512)]
    wanted = np.concatenate([plain.hop(hop) for hop in hops])[512:]
    assert signal_to_difference_db(wanted, network.denoise(audio)[0].numpy()) >= LEAST_DB


@pytest.mark.parametrize("name", FILES)
def test_a_teacher_brings_a_clip_nearer_to_the_clean_one(shared: Path, name: str) -> None:
    network = load_teacher(reference(shared, name))
    noisy, clean = clip(shared, network.rate), clip(shared, network.rate, "clean")
    answer = network.denoise(noisy)
    assert answer.shape == noisy.shape
    gain = [signal_to_difference_db(clean.numpy(), signal.numpy()) for signal in (noisy, answer)]
    assert gain[1] - gain[0] > 3.0


@pytest.mark.parametrize("name", FILES[1:3])
def test_clips_of_a_batch_are_cleaned_as_they_are_alone(shared: Path, name: str) -> None:
    network = load_teacher(reference(shared, name))
    audio = clip(shared, network.rate)[:, : network.rate]
    both = network.denoise(torch.cat([audio.flip(1), audio]))
    torch.testing.assert_close(both[1:], network.denoise(audio), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", FILES[:3])
def test_frames_cut_anywhere_give_the_same_samples(shared: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_teacher(reference(shared, name))
    audio = clip(shared, network.rate)[:, : network.rate]
    whole = network.denoise(audio)
    monkeypatch.setattr(frames, "FRAMES_AT_ONCE", 7)
    torch.testing.assert_close(network.denoise(audio), whole, rtol=1e-3, atol=1e-5)


def weights_file(size: int, count: int, **changed: int) -> bytes:
    """A weight file of FastEnhancer's with zeros, or one that is wrong in some way."""
    payload = bytes(4 * count)
    header = {"version": 1, "size": size, "count": count, "checksum": zlib.crc32(payload)} | changed
    return b"FEW1" + struct.pack("<4I", *header.values()) + payload


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (weights_file(0, 28354)[:-4], "cut or damaged"),
        (weights_file(0, 28354, checksum=1), "cut or damaged"),
        (weights_file(0, 28354, version=2), "version 2"),
        (weights_file(3, 28354), "size 3"),
        (weights_file(0, 28355), "1 floats more or less"),
        (weights_file(0, 28353), "-1 floats more or less"),
        (b"FEW1", "does not begin"),
        (b"nothing", "no ONNX model"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=reason):
        load_teacher(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("lstm_cache", "takes lstm_cache"), ("tfa_cache", "layers of a ULUNAS"), ("tra_cache", "layers of a GTCRN")],
)
def test_an_onnx_file_of_another_network_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    values = [helper.make_tensor_value_info(part, TensorProto.FLOAT, [1, 4]) for part in (name, "out")]
    graph = helper.make_graph([helper.make_node("Tanh", [name], ["out"])], "other", values[:1], values[1:])
    path = tmp_path / "other.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(ModelError, match=reason):
        load_teacher(path)


def test_zeros_are_a_teacher_too(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(weights_file(0, 28354))
    network = load_teacher(path)
    assert isinstance(network, Released)
    assert not network.denoise(torch.randn(2, 1000)).any()

"""The DTLN as it is written for ncnn: what ncnn makes of it, hop by hop, and what is left when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from require import require

torch = require("torch", reason="training needs torch: pip install denoise-wrapper[training]")
require("onnx", reason="export needs onnx: pip install denoise-wrapper[training]")
ncnn = require("ncnn", reason="what is written for ncnn is run there: pip install denoise-wrapper[ncnn]")

from dtln_networks import BINS_257, NOTES, Array, make_network  # noqa: E402
from recorded import signal_to_difference_db  # noqa: E402

from denoise_wrapper.backends.dtln import DTLNBackend  # noqa: E402
from denoise_wrapper.cli.main import main  # noqa: E402
from denoise_wrapper.errors import ConfigError, FileError, ModelError  # noqa: E402
from denoise_wrapper.training.dtln import ncnn as writer  # noqa: E402
from denoise_wrapper.training.dtln.convert import convert_ncnn  # noqa: E402
from denoise_wrapper.training.dtln.model import DTLN  # noqa: E402
from denoise_wrapper.training.dtln.ncnn import write_ncnn  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "examples/noisy.wav"
FILES = ["_1.param", "_1.bin", "_2.param", "_2.bin", ".json"]
LEAST_DB = {"float32": 60, "float16": 40, "int8": 15}


def clean(folder: Path, name: str, audio: Array) -> Array:
    """A hop loop by the files alone: whole hops of audio (n,) to as many samples, late by block - hop."""
    about = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    block, hop, units = about["block"], about["hop"], about["units"]
    nets = [writer.load(ncnn, folder / f"{name}_{n}.param", folder / f"{name}_{n}.bin") for n in (1, 2)]
    padded = np.concatenate([np.zeros(block - hop), audio])
    spectra = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, block)[::hop])
    masks = np.concatenate(list(writer.by_ncnn(ncnn, nets[0], np.abs(spectra).astype(np.float32), units)))
    frames = np.fft.irfft(spectra * masks).astype(np.float32)
    answers = np.concatenate(list(writer.by_ncnn(ncnn, nets[1], frames, units)))
    summed = np.zeros(len(padded))
    for index, answer in enumerate(answers):
        summed[index * hop : index * hop + block] += answer
    return summed[: len(audio)]


def speech_like(hops: int, hop: int) -> Array:
    """Noise that comes and goes, with silence in it."""
    levels = np.repeat([0.3, 0.0, 1e-4, 0.1], -(-hops // 4))[:hops, None]
    return (levels * np.random.default_rng(2).standard_normal((hops, hop))).ravel().astype(np.float32)


def by_torch(network: DTLN, audio: Array) -> Array:
    with torch.no_grad():
        return network(torch.from_numpy(audio[None]), network.new_state(1))[0][0].numpy()


@pytest.mark.parametrize("precision", writer.PRECISIONS)
@pytest.mark.parametrize("norm", [False, True])
def test_a_hop_loop_in_ncnn_does_what_torch_does(norm: bool, precision: str, tmp_path: Path) -> None:
    network = make_network(norm)
    audio = speech_like(80, network.hop)
    _, agreement = write_ncnn(network, tmp_path, NOTES, precision)
    assert min(agreement) >= LEAST_DB[precision]
    got = clean(tmp_path, "tiny", audio)
    assert signal_to_difference_db(by_torch(network, audio), got) >= LEAST_DB[precision]


@pytest.mark.parametrize(("form", "least_db"), [("float32", 60), ("float16", 60), ("int8", 20)])
def test_a_shipped_pair_cleans_a_clip_as_the_engine_does(form: str, least_db: float, tmp_path: Path) -> None:
    pair = [ROOT / f"denoise_wrapper/models/dtln-16k_{number}.onnx" for number in (1, 2)]
    convert_ncnn(pair, tmp_path, "small", precision=form)
    audio = np.ascontiguousarray(soundfile.read(CLIP, dtype="float32")[0].reshape(-1)[::3][16000 : 16000 + 250 * 128])
    wanted = DTLNBackend(precision="float").new_state(1).process(audio[None])[0][0]
    assert signal_to_difference_db(wanted, clean(tmp_path, "small", audio)) >= least_db


def test_a_mask_in_silence_is_torch_s(tmp_path: Path) -> None:
    """There all bins are alike, and rounding is all that the norm has to work on."""
    network = make_network(True, BINS_257)
    write_ncnn(network, tmp_path, NOTES)
    silence = np.zeros((20, 257), np.float32)
    net = writer.load(ncnn, tmp_path / "tiny_1.param", tmp_path / "tiny_1.bin")
    got = np.concatenate(list(writer.by_ncnn(ncnn, net, silence, 8)))
    assert signal_to_difference_db(writer.by_torch(network.mask_core, silence), got) >= 80


def test_smaller_forms_are_smaller(tmp_path: Path) -> None:
    sizes = {}
    for precision in writer.PRECISIONS:
        files, _ = write_ncnn(make_network(True, BINS_257), tmp_path / precision, NOTES, precision)
        sizes[precision] = sum(file.stat().st_size for file in files if file.suffix == ".bin")
    assert sizes["float16"] < 0.6 * sizes["float32"]
    assert sizes["int8"] < sizes["float16"]


def test_sizes_and_origin_stand_beside_the_files(tmp_path: Path) -> None:
    files, _ = write_ncnn(make_network(), tmp_path, {**NOTES, "licence": "其他"}, "int8")
    assert [file.name for file in files] == [f"tiny{part}" for part in FILES]
    about = json.loads(files[-1].read_text(encoding="utf-8"))
    known = {"block": 32, "hop": 8, "units": 6, "delay": 24, "sample_rate": 16000, "norm": True, "precision": "int8"}
    assert known.items() <= about.items()
    assert (about["name"], about["licence"], about["origin"]) == ("tiny", "其他", "made by a test")


def test_answers_that_differ_from_torch_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "TORCH_TO_NCNN", [0, 1, 2, 3])
    with pytest.raises(ModelError, match=r"core 1 in ncnn is -?\d+ dB from torch's, and 60 are wanted of float32"):
        write_ncnn(make_network(), tmp_path, NOTES)
    assert not list(tmp_path.iterdir())


def test_files_are_replaced_all_or_none(tmp_path: Path) -> None:
    (tmp_path / "tiny_2.bin").write_bytes(b"mine")
    with pytest.raises(FileError, match=r"tiny_2\.bin exists"):
        write_ncnn(make_network(), tmp_path, NOTES)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny_2.bin"]
    write_ncnn(make_network(), tmp_path, NOTES, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"tiny{part}" for part in FILES)


def test_without_ncnn_the_command_that_brings_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ncnn", None)
    with pytest.raises(ConfigError, match=r"--to ncnn needs ncnn: pip install 'denoise-wrapper\[ncnn\]'"):
        write_ncnn(make_network(), tmp_path, NOTES)


def test_the_command_line_writes_and_says_how_near_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "dtln-32k", "-o", str(tmp_path), "--name", "n", "--to", "ncnn"]) == 0
    *paths, agreement = capsys.readouterr().out.splitlines()
    assert paths == [str(tmp_path / f"n{part}") for part in FILES]
    assert agreement.startswith("hop by hop in ncnn the first core is ")


@pytest.mark.parametrize("source", ["rnnoise", "rnnoise-classic", "deepfilternet3", str(ROOT / "weights/enhancer.pt")])
def test_other_families_are_refused_in_a_line(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", source, "-o", str(tmp_path / "out"), "--name", "n", "--to", "ncnn-int8"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "only a DTLN is written for ncnn" in line
    assert source in line
    assert not (tmp_path / "out").exists()


def test_the_hop_loop_in_c_plus_plus_does_what_the_engine_does(tmp_path: Path) -> None:
    """Needs ncnn's headers and library, which no package has: NCNN_ROOT is where they were installed."""
    root = os.environ.get("NCNN_ROOT")
    if not root:
        pytest.skip("NCNN_ROOT names no installed ncnn, whose C++ headers and library are in no package")
    pair = [ROOT / f"denoise_wrapper/models/dtln-16k_{number}.onnx" for number in (1, 2)]
    convert_ncnn(pair, tmp_path, "small")
    program, source = tmp_path / "dtln_ncnn", ROOT / "examples/dtln_ncnn.cpp"
    compiler = ["g++", "-std=c++11", "-O2", "-Wall", "-Wextra", "-isystem", f"{root}/include/ncnn"]
    command = [*compiler, str(source), "-o", str(program), f"-L{root}/lib", "-lncnn", "-lpthread"]
    subprocess.run(command, check=True)
    audio = np.ascontiguousarray(soundfile.read(CLIP, dtype="float32")[0].reshape(-1)[::3][: 250 * 128 + 50])
    done = subprocess.run(
        [program, tmp_path / "small", "512", "128", "128"], input=audio.tobytes(), capture_output=True, check=True
    )
    got = np.frombuffer(done.stdout, np.float32)
    assert len(got) == len(audio)
    wanted = DTLNBackend(precision="float").new_state(1).process(audio[None, : 250 * 128])[0][0]
    assert signal_to_difference_db(wanted, got[: 250 * 128]) >= 60

"""The DTLN as the ONNX pair that is written, in float32 and int8."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from require import require

torch = require("torch", reason="training needs torch: pip install denoise-wrapper[training]")
onnx = require("onnx", reason="export needs onnx: pip install denoise-wrapper[training]")

from dtln_networks import BINS_257, NOTES, Array, answer_of, make_network  # noqa: E402
from recorded import signal_to_difference_db  # noqa: E402

from denoise_wrapper.backends.dtln import DTLNBackend  # noqa: E402
from denoise_wrapper.cli.main import main  # noqa: E402
from denoise_wrapper.errors import ConfigError, FileError, ModelError  # noqa: E402
from denoise_wrapper.training.dtln import export  # noqa: E402
from denoise_wrapper.training.dtln.convert import convert  # noqa: E402
from denoise_wrapper.training.dtln.export import encode_pair, export_pair, make_session  # noqa: E402
from denoise_wrapper.training.dtln.importers import import_network  # noqa: E402
from denoise_wrapper.training.dtln.model import DTLN  # noqa: E402


def run_model(content: bytes, signal: Array, frames: int, units: int) -> Array:
    """The first output for (streams, T, width), so many frames a run, from silence."""
    session = make_session(content)
    name, outputs = session.get_inputs()[0].name, []
    state, by_time = np.zeros((4, len(signal), units), np.float32), signal.swapaxes(0, 1)
    for start in range(0, len(by_time), frames):
        answer, state = session.run(None, {name: by_time[start : start + frames], "state": state})
        outputs.append(answer)
    return np.concatenate(outputs).swapaxes(0, 1)


def clean(network: DTLN, pair: tuple[bytes, bytes], audio: Array, frames: int) -> Array:
    """The answer of network(audio) by way of the pair: (streams, T * hop)."""
    block, hop, units = network.block, network.hop, network.config.hidden_size
    padded = np.concatenate([np.zeros((len(audio), block - hop), np.float32), audio], axis=1)
    blocks = np.lib.stride_tricks.sliding_window_view(padded, block, axis=1)[:, ::hop]
    spectra = np.fft.rfft(blocks)
    mask = run_model(pair[0], np.abs(spectra).astype(np.float32), frames, units)
    answer = run_model(pair[1], np.fft.irfft(spectra * mask).astype(np.float32), frames, units)
    summed = np.zeros((len(audio), padded.shape[1]))
    for index in range(answer.shape[1]):
        summed[:, index * hop : index * hop + block] += answer[:, index]
    return summed[:, : audio.shape[1]]


@pytest.mark.parametrize("frames", [1, 7, 50])
@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("norm", [False, True])
def test_the_pair_does_to_audio_what_torch_does(norm: bool, streams: int, frames: int) -> None:
    network = make_network(norm)
    audio = np.random.default_rng(1).standard_normal((streams, 50 * network.hop)).astype(np.float32)
    with torch.no_grad():
        wanted = network(torch.from_numpy(audio), network.new_state(streams))[0].numpy()
    got = clean(network, encode_pair(network, NOTES), audio, frames)
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize("norm", [False, True])
def test_an_answer_does_not_depend_on_what_else_is_in_the_run(norm: bool) -> None:
    network = make_network(norm, BINS_257)
    pair = encode_pair(network, NOTES)
    for content, width in zip(pair, (257, 512), strict=True):
        signal = np.abs(np.random.default_rng(1).standard_normal((3, 20, width))).astype(np.float32)
        wanted = run_model(content, signal, 20, 8)
        for frames in (1, 3, 8):
            np.testing.assert_array_equal(run_model(content, signal, frames, 8), wanted)
            np.testing.assert_array_equal(run_model(content, signal[1:2], frames, 8), wanted[1:2])


def test_silence_and_a_click_have_a_mask_as_torch_has_it() -> None:
    network = make_network(True, BINS_257)
    magnitudes = np.zeros((12, 1, 257), np.float32)
    magnitudes[6:] = 0.37  # all bins alike, as a click has it
    state = np.zeros((4, 1, 8), np.float32)
    wanted, _ = export.by_torch(network.mask_core, magnitudes, state)
    got = run_model(encode_pair(network, NOTES)[0], magnitudes.swapaxes(0, 1), 12, 8)
    np.testing.assert_allclose(got[0], wanted[:, 0], atol=1e-5)


def test_the_files_say_what_they_are_and_old_runtimes_read_them(tmp_path: Path) -> None:
    targets = tmp_path / "a_1.onnx", tmp_path / "a_2.onnx"
    export_pair(make_network(), *targets, NOTES)
    models = [onnx.load(path) for path in targets]
    notes = [{item.key: item.value for item in model.metadata_props} for model in models]
    assert [note.pop("stage") for note in notes] == ["1", "2"]
    assert notes[0] == notes[1]
    assert notes[0].pop("pair")
    assert notes[0] == NOTES | {"block": "32", "hop": "8", "norm": "true", "precision": "float32"}
    for model in models:
        assert model.ir_version <= 8
        assert [(item.domain, item.version) for item in model.opset_import] == [("", 17)]
    names = [[item.name for item in (*model.graph.input, *model.graph.output)] for model in models]
    assert names == [["mag", "state", "mask", "state_out"], ["frame", "state", "frame_out", "state_out"]]


@pytest.mark.parametrize("fault", ["gates", "tolerance"])
def test_a_pair_that_answers_otherwise_than_torch_is_not_written(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "gates":
        monkeypatch.setattr(export, "TORCH_TO_ONNX", [0, 1, 2, 3])
    else:
        monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(ModelError, match="off torch's"):
        export_pair(make_network(), tmp_path / "a_1.onnx", tmp_path / "a_2.onnx", NOTES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a_1.onnx", "a_2.onnx"])
def test_both_files_are_written_or_neither(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    targets = tmp_path / "a_1.onnx", tmp_path / "a_2.onnx"
    with pytest.raises(FileError, match="exists"):
        export_pair(make_network(), *targets, NOTES)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"
    export_pair(make_network(), *targets, NOTES, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"a_1.onnx", "a_2.onnx"}
    with pytest.raises(ModelError, match="named twice"):
        export_pair(make_network(), targets[0], tmp_path / "." / "a_1.onnx", NOTES, overwrite=True)


@pytest.mark.parametrize("rate", [None, "fast", "0", "-16000"])
def test_a_pair_has_a_rate(rate: str | None) -> None:
    with pytest.raises(ModelError, match="--rate"):
        encode_pair(make_network(), {} if rate is None else {"sample_rate": rate})


@pytest.mark.parametrize("norm", [False, True])
def test_int8_is_smaller_and_nearly_the_same(norm: bool, tmp_path: Path) -> None:
    network = make_network(norm, BINS_257 | {"hidden_size": 64})
    paths = [tmp_path / f"{name}_{stage}.onnx" for name in ("full", "small") for stage in (1, 2)]
    export_pair(network, paths[0], paths[1], NOTES | {"name": "small"})
    assert list(convert(paths[:2], tmp_path, "small", precision="int8")) == paths[2:]
    full, small = ((one.read_bytes(), other.read_bytes()) for one, other in (paths[:2], paths[2:]))
    assert sum(map(len, small)) < 0.8 * sum(map(len, full))
    notes = [{item.key: item.value for item in onnx.load(path).metadata_props} for path in paths]
    assert [note["precision"] for note in notes] == ["float32"] * 2 + ["int8"] * 2
    assert notes[2] == notes[0] | {"precision": "int8"}
    audio = 0.1 * np.random.default_rng(1).standard_normal((2, 50 * 128)).astype(np.float32)
    assert signal_to_difference_db(clean(network, full, audio, 50), clean(network, small, audio, 50)) > 30


@pytest.mark.parametrize("norm", [False, True])
def test_half_precision_is_half_the_size_and_answers_as_the_rounded_weights_do(norm: bool, tmp_path: Path) -> None:
    network = make_network(norm, BINS_257 | {"hidden_size": 64})
    full, small = encode_pair(network, NOTES), encode_pair(network, NOTES, half=True)
    assert sum(map(len, small)) < 0.53 * sum(map(len, full))
    audio = 0.1 * np.random.default_rng(1).standard_normal((2, 50 * 128)).astype(np.float32)
    assert signal_to_difference_db(clean(network, full, audio, 50), clean(network, small, audio, 50)) > 50
    paths = (tmp_path / "half_1.onnx", tmp_path / "half_2.onnx")
    export_pair(network, *paths, NOTES, half=True)
    again, _ = import_network(paths)
    for name, weight in network.state_dict().items():
        rounded = weight.half().float() if weight.ndim > 1 else weight
        assert torch.equal(again.state_dict()[name], rounded), name


@pytest.mark.parametrize("norm", [False, True])
def test_a_pair_in_half_precision_runs_as_one_of_the_rounded_weights(norm: bool) -> None:
    network = make_network(norm, BINS_257)
    half = DTLNBackend(encode_pair(network, NOTES, half=True))
    assert half.metadata["precision"] == "float16"
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.copy_(weight.half())
    audio = 0.1 * np.random.default_rng(1).standard_normal((2, 50 * 128)).astype(np.float32)
    wanted, _ = DTLNBackend(encode_pair(network, NOTES)).new_state(2).process(audio)
    assert np.abs(wanted).max() > 0
    whole, _ = half.new_state(2).process(audio)
    np.testing.assert_array_equal(whole, wanted)
    state = half.new_state(2)
    hops = [state.process(np.ascontiguousarray(audio[:, at : at + 128]))[0] for at in range(0, 50 * 128, 128)]
    np.testing.assert_array_equal(np.concatenate(hops, axis=1), wanted)


def test_weights_are_not_taken_from_int8(tmp_path: Path) -> None:
    export_pair(make_network(), tmp_path / "full_1.onnx", tmp_path / "full_2.onnx", NOTES)
    small = convert([tmp_path / "full_1.onnx", tmp_path / "full_2.onnx"], tmp_path, "small", precision="int8")
    with pytest.raises(ModelError, match="is quantised"):
        convert(small, tmp_path, "smaller", precision="int8")
    with pytest.raises(ModelError, match="is quantised"):
        import_network(small)


def test_the_command_converts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, folder = tmp_path / "model.pth", tmp_path / "new" / "pairs"
    torch.save(make_network().state_dict(), source)
    words = ["convert", str(source), "-o", str(folder), "--name", "mine"]
    assert main(words) == 2
    assert "--rate" in capsys.readouterr().err
    assert main([*words, "--rate", "16000", "--licence", "CC0"]) == 0
    targets = [folder / "mine_1.onnx", folder / "mine_2.onnx"]
    assert capsys.readouterr().out.split() == [str(path) for path in targets]
    assert {path.name for path in folder.iterdir()} == {path.name for path in targets}
    _, notes = import_network(targets)
    assert (notes["name"], notes["licence"], notes["sample_rate"]) == ("mine", "CC0", "16000")
    assert notes["origin"].startswith("converted from model.pth (sha256 ")
    before = targets[0].read_bytes()
    assert main([*words, "--rate", "16000", "--to", "int8"]) == 2
    assert "mine_1.onnx exists" in capsys.readouterr().err
    assert targets[0].read_bytes() == before
    assert main([*words, "--rate", "16000", "--to", "int8", "--overwrite"]) == 0
    assert len(targets[0].read_bytes()) != len(before)


def test_converting_without_the_extra_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "model.pth"
    torch.save(make_network().state_dict(), source)
    for name in [name for name in sys.modules if name.startswith("denoise_wrapper.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["convert", str(source), "-o", str(tmp_path), "--name", "a"]) == 2
    assert "training needs onnx: pip install 'denoise-wrapper[training]'" in capsys.readouterr().err


def test_a_name_that_is_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="begins the names of files"):
        convert([tmp_path / "model.pth"], tmp_path, "../elsewhere")


@pytest.mark.parametrize("clip", ["street", "snr0"])
@pytest.mark.parametrize("files", [["DTLN_norm_500h.h5"], ["model_1.onnx", "model_2.onnx"]])
def test_int8_cleans_real_noise_nearly_the_same(clip: str, files: list[str], shared: Path, tmp_path: Path) -> None:
    if files[0].endswith(".h5"):
        require("h5py")
    folder = shared / "reference" / "dtln"
    noisy, _ = soundfile.read(folder / f"{clip}.flac", dtype="float32")
    sources = [folder / name for name in files]
    full, small = (answer_of(convert(sources, tmp_path, kind, precision=kind), noisy) for kind in ("float32", "int8"))
    agreement_db = signal_to_difference_db(full, small)
    print(f"int8 of {files[0]} {clip}: {agreement_db:.1f} dB")
    assert agreement_db >= 34  # 7 bits a weight, which every processor adds up without saturation


def test_a_missing_runtime_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(make_network().state_dict(), tmp_path / "model.pth")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    words = ["convert", str(tmp_path / "model.pth"), "-o", str(tmp_path / "out"), "--name", "pair"]
    assert main([*words, "--rate", "16000"]) == 2
    assert "onnxruntime: pip install 'denoise-wrapper[training]'" in capsys.readouterr().err
    assert not (tmp_path / "out/pair_1.onnx").exists()

"""The DTLN in files: the ONNX pair that is written, and all the forms that are read."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs torch: pip install denoise-wrapper[training]")
onnx = pytest.importorskip("onnx", reason="export needs onnx: pip install denoise-wrapper[training]")

from recorded import signal_to_difference_db  # noqa: E402

from denoise_wrapper.backends.dtln import DTLNBackend  # noqa: E402
from denoise_wrapper.cli import main  # noqa: E402
from denoise_wrapper.errors import ConfigError, FileError, ModelError  # noqa: E402
from denoise_wrapper.training.config import DTLNNetworkConfig  # noqa: E402
from denoise_wrapper.training.dtln import export  # noqa: E402
from denoise_wrapper.training.dtln.convert import convert  # noqa: E402
from denoise_wrapper.training.dtln.export import encode_pair, export_pair, make_session  # noqa: E402
from denoise_wrapper.training.dtln.importers import import_network  # noqa: E402
from denoise_wrapper.training.dtln.model import DTLN, FrameCore, MaskCore  # noqa: E402
from denoise_wrapper.training.dtln.quantise import quantise_pair  # noqa: E402

Array = NDArray[Any]

TINY = {"frame_length": 32, "hop_length": 8, "hidden_size": 6, "encoder_size": 10}
BINS_257 = {"frame_length": 512, "hop_length": 128, "hidden_size": 8, "encoder_size": 12}
NOTES = {"sample_rate": "16000", "name": "tiny", "licence": "CC0", "origin": "made by a test"}


def make_network(norm: bool = True, sizes: dict[str, int] = TINY) -> DTLN:
    """Random weights, of which none is alike, nor as it was at the beginning."""
    torch.manual_seed(1)
    network = DTLN(DTLNNetworkConfig(**sizes, norm=norm))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return network.eval()


def same_weights(one: DTLN, other: DTLN) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


def run_model(content: bytes, signal: Array, frames: int, units: int) -> Array:
    """The first output for (streams, T, width), so many frames a run, from silence."""
    session = make_session(content)
    name, outputs = session.get_inputs()[0].name, []
    state = np.zeros((len(signal), 2, units, 2), np.float32)
    for start in range(0, signal.shape[1], frames):
        answer, state = session.run(None, {name: signal[:, start : start + frames], "state": state})
        outputs.append(answer)
    return np.concatenate(outputs, axis=1)


def clean(network: DTLN, pair: tuple[bytes, bytes], audio: Array, frames: int) -> Array:
    """What network(audio) should give, through the pair: (streams, T * hop)."""
    block, hop, units = network.block, network.hop, network.config.hidden_size
    heard = np.concatenate([np.zeros((len(audio), block - hop), np.float32), audio], axis=1)
    blocks = np.lib.stride_tricks.sliding_window_view(heard, block, axis=1)[:, ::hop]
    spectra = np.fft.rfft(blocks)
    mask = run_model(pair[0], np.abs(spectra).astype(np.float32), frames, units)
    answer = run_model(pair[1], np.fft.irfft(spectra * mask).astype(np.float32), frames, units)
    summed = np.zeros((len(audio), heard.shape[1]))
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
    magnitudes = np.zeros((1, 12, 257), np.float32)
    magnitudes[0, 6:] = 0.37  # all bins alike, as a click has it
    state = np.zeros((1, 2, 8, 2), np.float32)
    wanted, _ = export.by_torch(network.mask_core, magnitudes, state)
    got = run_model(encode_pair(network, NOTES)[0], magnitudes, 12, 8)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


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


@pytest.mark.parametrize("taken", ["a_1.onnx", "a_2.onnx"])
def test_both_files_are_written_or_neither(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).write_text("mine")
    targets = tmp_path / "a_1.onnx", tmp_path / "a_2.onnx"
    with pytest.raises(FileError, match="exists"):
        export_pair(make_network(), *targets, NOTES)
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"
    export_pair(make_network(), *targets, NOTES, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"a_1.onnx", "a_2.onnx"}
    with pytest.raises(ModelError, match="named twice"):
        export_pair(make_network(), targets[0], tmp_path / "." / "a_1.onnx", NOTES, overwrite=True)


@pytest.mark.parametrize("rate", [None, "fast", "0", "-16000"])
def test_a_pair_has_a_rate(rate: str | None) -> None:
    with pytest.raises(ModelError, match="--rate"):
        encode_pair(make_network(), {} if rate is None else {"sample_rate": rate})


@pytest.mark.parametrize("norm", [False, True])
def test_a_pair_of_ours_comes_back_bit_for_bit(norm: bool, tmp_path: Path) -> None:
    network, targets = make_network(norm), (tmp_path / "a_1.onnx", tmp_path / "a_2.onnx")
    export_pair(network, *targets, NOTES)
    for order in (targets, targets[::-1]):
        back, notes = import_network(order)
        assert same_weights(back, network)
        assert back.config == network.config
        assert notes == NOTES
    again = tmp_path / "b_1.onnx", tmp_path / "b_2.onnx"
    export_pair(back, *again, notes)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in targets]


def plain_config(network: DTLN) -> dict[str, Any]:
    model = vars(network.config) | {"dropout": 0.25}
    return {"meta": {"experiment_name": "mine", "licence": "MIT"}, "audio": {"samplerate": 24000}, "model": model}


def test_a_run_is_read_from_its_folder_and_its_checkpoints(tmp_path: Path) -> None:
    best, last = make_network(), make_network(norm=False)
    (tmp_path / "checkpoints").mkdir()
    for name, network in (("best.pt", best), ("last.pt", last)):
        torch.save({"network": network.state_dict(), "config": plain_config(network)}, tmp_path / "checkpoints" / name)
    back, notes = import_network([tmp_path])
    assert same_weights(back, best)
    assert (back.hop, back.config.dropout) == (8, 0.25)
    assert (notes["name"], notes["licence"], notes["sample_rate"]) == ("mine", "MIT", "24000")
    assert "best.pt (sha256 " in notes["origin"]
    assert same_weights(import_network([tmp_path / "checkpoints" / "last.pt"])[0], last)
    (tmp_path / "checkpoints" / "best.pt").unlink()
    assert same_weights(import_network([tmp_path])[0], last)


def as_other_torch(network: DTLN) -> dict[str, Any]:
    """The names and shapes of the torch ports, whose LSTMs have two biases that count."""
    found: dict[str, Any] = {}
    cores: dict[str, MaskCore | FrameCore] = {"sep1": network.mask_core, "sep2": network.frame_core}
    for part, core in cores.items():
        for layer, lstm in ((1, core.lstm1), (2, core.lstm2)):
            weights = lstm.state_dict()
            weights["bias_hh_l0"] = torch.full_like(weights["bias_ih_l0"], 0.25)
            weights["bias_ih_l0"] = weights["bias_ih_l0"] - 0.25
            found |= {f"{part}.rnn{layer}.{name}": value for name, value in weights.items()}
        found |= {f"{part}.dense.{name}": value for name, value in core.dense.state_dict().items()}
        if core.norm is not None:
            shape = (1, 1, -1)
            found |= {f"norm_{part}.gamma": core.norm.weight.detach().reshape(shape)}
            found |= {f"norm_{part}.beta": core.norm.bias.detach().reshape(shape)}
    found["decoder_conv1.weight"] = network.frame_core.decode.weight.detach()[..., None]
    found["encoder_conv1.weight"] = network.frame_core.encode.weight.detach()[..., None]
    return found


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_weights_of_the_torch_ports_are_found_by_their_shapes(norm: bool, wrapped: bool, tmp_path: Path) -> None:
    network, path = make_network(norm), tmp_path / "model_0042.pth"
    found = as_other_torch(network)
    torch.save({"epoch": 42, "model": found} if wrapped else found, path)
    back, notes = import_network([path])
    for name, value in network.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], value, rtol=0, atol=1e-6)
    assert back.config == network.config
    assert notes["name"] == "model_0042"
    assert "sample_rate" not in notes


def keras_layers(network: DTLN, first: int) -> list[tuple[str, dict[str, Array]]]:
    """(layer, weights) in the order of the signal, numbered from first on, as Keras numbers what is made twice."""
    layers: list[tuple[str, dict[str, Array]]] = []
    cores: tuple[MaskCore | FrameCore, ...] = (network.mask_core, network.frame_core)
    for index, core in enumerate(cores):
        if index == 1:
            kernel = network.frame_core.encode.weight.detach().numpy().T[None]
            layers.append((f"conv1d_{first}", {"kernel:0": kernel}))
        if core.norm is not None:
            weights = {"gamma:0": core.norm.weight.detach().numpy(), "beta:0": core.norm.bias.detach().numpy()}
            layers.append((f"instant_layer_normalization_{first + index}", weights))
        for layer, lstm in enumerate((core.lstm1, core.lstm2)):
            values = {name: value.numpy() for name, value in lstm.state_dict().items()}
            cell = {
                "kernel:0": values["weight_ih_l0"].T,
                "recurrent_kernel:0": values["weight_hh_l0"].T,
                "bias:0": values["bias_ih_l0"],
            }
            number = first + 2 * index + layer
            layers.append((f"lstm_{number}", {f"lstm_cell_{number}/{name}": value for name, value in cell.items()}))
        dense = {"kernel:0": core.dense.weight.detach().numpy().T, "bias:0": core.dense.bias.detach().numpy()}
        layers.append((f"dense_{first + index}", dense))
    layers.append((f"conv1d_{first + 1}", {"kernel:0": network.frame_core.decode.weight.detach().numpy().T[None]}))
    return layers


@pytest.mark.parametrize("form", ["weights", "whole", "no order"])
@pytest.mark.parametrize("norm", [False, True])
def test_keras_weights_are_read_whatever_their_numbers(norm: bool, form: str, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    network, path = make_network(norm), tmp_path / "model.h5"
    layers = keras_layers(network, 8)  # so that lstm_10 comes before lstm_9 in the alphabet
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights") if form == "whole" else file
        for layer, weights in layers:
            for name, value in weights.items():
                group[f"{layer}/{layer}/{name}"] = value
        if form != "no order":
            group.attrs["layer_names"] = [b"input_1", *(layer.encode() for layer, _ in layers)]
    back, _ = import_network([path])
    assert same_weights(back, network)


def gru_state() -> dict[str, Any]:
    return {f"gru.{name}": value for name, value in torch.nn.GRU(5, 4).state_dict().items()}


def classic_state() -> dict[str, Any]:
    return {"input_dense.weights": torch.zeros(42, 24), "vad_gru.weights": torch.zeros(24, 72)}


def changed_state(**changes: Any) -> dict[str, Any]:
    """Of a good network, with some weights in place of its own, or taken out by None."""
    state = make_network().state_dict() | {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"network": gru_state()}, r"no DTLN: it holds gru with a GRU"),
        ({"network": classic_state()}, r"no DTLN but RNNoise's network: it holds input_dense"),
        (changed_state(mask_core__dense__bias=None), r"dense layers 6 -> 10; maps .*; a DTLN has 4 LSTMs"),
        (changed_state(mask_core__dense__weight=torch.zeros(16, 6)), r"mask_core.dense.weight is \(16, 6\), \(17, 6\)"),
        (changed_state(frame_core__encode__weight=torch.zeros(10, 33)), r"not 33 and 8"),
        (
            changed_state(mask_core__dense__bias=torch.full((17,), torch.nan)),
            r"mask_core.dense.bias: not all .* finite",
        ),
        ({"network": make_network().state_dict(), "config": {"model": {"hidden_size": "6"}}}, r"'model.hidden_size'"),
        ({"epoch": 3}, r"holds no weights"),
        ([1, 2], r"holds no weights"),
    ],
)
def test_another_network_is_refused_by_what_it_holds(content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(ModelError, match=message):
        import_network([path])


class Trap:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exec, ("raise SystemExit('code of a model file was run')",)


def test_code_in_a_torch_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"network": Trap()}, tmp_path / "trap.pt")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Trap(), protocol=2))
    for path in tmp_path.iterdir():
        with pytest.raises(ModelError, match="code in a file is not run"):
            import_network([path])


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    text, half, empty = tmp_path / "a.txt", tmp_path / "a_1.onnx", tmp_path / "empty"
    text.write_text("hello, world")
    half.write_bytes(encode_pair(make_network(), NOTES)[0])
    empty.mkdir()
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    for paths, error, message in (
        ([text], ModelError, "neither HDF5"),
        ([half], ModelError, "one model of a pair"),
        ([half, text], ModelError, "a.txt cannot be used: it is no ONNX model"),
        ([half, half], ModelError, "no DTLN: it holds LSTMs"),
        ([half] * 3, ModelError, "not 3 files"),
        ([tmp_path / "absent.h5"], FileError, "there is no file"),
        ([empty], FileError, "no folder of a training run"),
        ([tmp_path / "cut.h5"], ModelError, "damaged"),
    ):
        with pytest.raises(error, match=message):
            import_network(paths)


def write_changed(path: Path, content: bytes, change: Callable[[Any], None]) -> Path:
    model = onnx.load_model_from_string(content)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def tanh_in_place_of_sigmoid(model: Any) -> None:
    next(node for node in model.graph.node if node.op_type == "Sigmoid").op_type = "Tanh"


def two_ways(model: Any) -> None:
    lstm = next(node for node in model.graph.node if node.op_type == "LSTM")
    lstm.attribute.append(onnx.helper.make_attribute("direction", "reverse"))


def weights_elsewhere(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (tanh_in_place_of_sigmoid, "does not answer what a DTLN of its weights does"),
        (two_ways, "does not run forward in time"),
        (weights_elsewhere, "weights are in another file"),
    ],
)
def test_a_pair_that_is_no_dtln_is_refused(change: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    pair = encode_pair(make_network(), NOTES)
    second = write_changed(tmp_path / "a_2.onnx", pair[1], change)
    (tmp_path / "a_1.onnx").write_bytes(pair[0])
    with pytest.raises(ModelError, match=message):
        import_network([tmp_path / "a_1.onnx", second])


def test_halves_of_two_pairs_are_no_pair(tmp_path: Path) -> None:
    paths = [tmp_path / "a_1.onnx", tmp_path / "b_2.onnx"]
    paths[0].write_bytes(encode_pair(make_network(True), NOTES)[0])
    paths[1].write_bytes(encode_pair(make_network(False), NOTES)[1])
    with pytest.raises(ModelError, match="halves of two different pairs"):
        import_network(paths)


@pytest.mark.parametrize("norm", [False, True])
def test_int8_is_smaller_and_nearly_the_same(norm: bool, tmp_path: Path) -> None:
    network = make_network(norm, BINS_257 | {"hidden_size": 64})
    paths = [tmp_path / f"{name}_{stage}.onnx" for name in ("full", "small") for stage in (1, 2)]
    export_pair(network, paths[0], paths[1], NOTES)
    quantise_pair(paths[0], paths[1], paths[2], paths[3])
    full, small = ((one.read_bytes(), other.read_bytes()) for one, other in (paths[:2], paths[2:]))
    assert sum(map(len, small)) < 0.8 * sum(map(len, full))
    notes = [{item.key: item.value for item in onnx.load(path).metadata_props} for path in paths]
    assert [note["precision"] for note in notes] == ["float32"] * 2 + ["int8"] * 2
    assert notes[2] == notes[0] | {"precision": "int8"}
    audio = 0.1 * np.random.default_rng(1).standard_normal((2, 50 * 128)).astype(np.float32)
    assert signal_to_difference_db(clean(network, full, audio, 50), clean(network, small, audio, 50)) > 30


def test_only_pairs_of_ours_become_int8_and_only_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}_{stage}.onnx" for name in ("full", "small", "smaller") for stage in (1, 2)]
    export_pair(make_network(), paths[0], paths[1], NOTES)
    with pytest.raises(ModelError, match="not the first model of a pair of ours"):
        quantise_pair(paths[1], paths[0], paths[2], paths[3])
    assert not paths[2].exists()
    quantise_pair(paths[0], paths[1], paths[2], paths[3])
    with pytest.raises(ModelError, match="is quantised"):
        quantise_pair(paths[2], paths[3], paths[4], paths[5])
    with pytest.raises(ModelError, match="is quantised"):
        import_network(paths[2:4])


def test_the_command_converts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, folder = tmp_path / "model.pth", tmp_path / "new" / "pairs"
    torch.save(as_other_torch(make_network()), source)
    words = ["convert", "dtln", str(source), "-o", str(folder), "--name", "mine"]
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
    assert main([*words, "--rate", "16000", "--int8"]) == 2
    assert "mine_1.onnx exists" in capsys.readouterr().err
    assert targets[0].read_bytes() == before
    assert main([*words, "--rate", "16000", "--int8", "--overwrite"]) == 0
    assert len(targets[0].read_bytes()) != len(before)


def test_converting_without_the_extra_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("denoise_wrapper.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["convert", "dtln", "model.pth", "-o", str(tmp_path), "--name", "a"]) == 2
    assert "training needs onnx: pip install 'denoise-wrapper[training]'" in capsys.readouterr().err


def test_a_name_that_is_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="begins the names of files"):
        convert([tmp_path / "model.pth"], tmp_path, "../elsewhere")


# What follows is about weights that people have, and what the original programs answer with them.


def answer_of(pair: tuple[Path, Path], noisy: Array) -> Array:
    """From zero state, not aligned, as the recordings are."""
    return DTLNBackend(pair, "dtln-16k").new_state(1).process(noisy[None])[0][0]


@pytest.mark.parametrize("clip", ["street", "snr0"])
@pytest.mark.parametrize(
    ("files", "recording", "least_db"),
    [(["DTLN_norm_500h.h5"], "norm_500h", 50), (["model_1.onnx", "model_2.onnx"], "onnx", 60)],
)
def test_converted_weights_answer_as_the_original_program_did(
    clip: str, files: list[str], recording: str, least_db: float, shared: Path, tmp_path: Path
) -> None:
    if files[0].endswith(".h5"):
        pytest.importorskip("h5py")
    folder = shared / "reference" / "dtln"
    noisy, _ = soundfile.read(folder / f"{clip}.flac", dtype="float32")
    wanted, _ = soundfile.read(folder / f"{clip}.{recording}.flac", dtype="float32")
    got = answer_of(convert([folder / name for name in files], tmp_path, "converted"), noisy)
    agreement_db = signal_to_difference_db(wanted[: len(got)], got[: len(wanted)])
    print(f"{recording} {clip}: {agreement_db:.1f} dB")
    assert agreement_db >= least_db


def test_the_torch_port_and_its_own_pair_become_the_same(shared: Path, tmp_path: Path) -> None:
    folder = shared / "reference" / "dtln"
    theirs = (folder / "lhwcv_p1.onnx", folder / "lhwcv_p2.onnx")
    from_torch, _ = import_network([folder / "lhwcv_model.pth"])
    from_pair, _ = import_network(theirs)
    assert same_weights(from_torch, from_pair)
    noisy, _ = soundfile.read(folder / "snr0.flac", dtype="float32")
    got = answer_of(convert([folder / "lhwcv_model.pth"], tmp_path, "converted"), noisy)
    agreement_db = signal_to_difference_db(answer_of(theirs, noisy), got)
    print(f"lhwcv: {agreement_db:.1f} dB")
    assert agreement_db >= 50


@pytest.mark.parametrize("clip", ["street", "snr0"])
@pytest.mark.parametrize("files", [["DTLN_norm_500h.h5"], ["model_1.onnx", "model_2.onnx"]])
def test_int8_cleans_real_noise_nearly_the_same(clip: str, files: list[str], shared: Path, tmp_path: Path) -> None:
    if files[0].endswith(".h5"):
        pytest.importorskip("h5py")
    folder = shared / "reference" / "dtln"
    noisy, _ = soundfile.read(folder / f"{clip}.flac", dtype="float32")
    sources = [folder / name for name in files]
    full, small = (answer_of(convert(sources, tmp_path, str(int8), int8=int8), noisy) for int8 in (False, True))
    agreement_db = signal_to_difference_db(full, small)
    print(f"int8 of {files[0]} {clip}: {agreement_db:.1f} dB")
    assert agreement_db >= 38

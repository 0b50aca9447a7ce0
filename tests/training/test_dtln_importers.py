"""The forms of a DTLN that are read: ours, and those that people have."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from require import require

torch = require("torch", reason="training needs torch: pip install denoise-wrapper[training]")
onnx = require("onnx", reason="export needs onnx: pip install denoise-wrapper[training]")

from dtln_networks import NOTES, Array, answer_of, make_network, same_weights  # noqa: E402
from recorded import signal_to_difference_db  # noqa: E402

from denoise_wrapper.errors import FileError, ModelError  # noqa: E402
from denoise_wrapper.training.dtln.convert import convert  # noqa: E402
from denoise_wrapper.training.dtln.export import encode_pair, export_pair  # noqa: E402
from denoise_wrapper.training.dtln.importers import import_network  # noqa: E402
from denoise_wrapper.training.dtln.model import DTLN, FrameCore, MaskCore  # noqa: E402


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
    weights_of: dict[str, Any] = {}
    cores: dict[str, MaskCore | FrameCore] = {"sep1": network.mask_core, "sep2": network.frame_core}
    for part, core in cores.items():
        for layer, lstm in ((1, core.lstm1), (2, core.lstm2)):
            weights = lstm.state_dict()
            weights["bias_hh_l0"] = torch.full_like(weights["bias_ih_l0"], 0.25)
            weights["bias_ih_l0"] = weights["bias_ih_l0"] - 0.25
            weights_of |= {f"{part}.rnn{layer}.{name}": value for name, value in weights.items()}
        weights_of |= {f"{part}.dense.{name}": value for name, value in core.dense.state_dict().items()}
        if core.norm is not None:
            shape = (1, 1, -1)
            weights_of |= {f"norm_{part}.gamma": core.norm.weight.detach().reshape(shape)}
            weights_of |= {f"norm_{part}.beta": core.norm.bias.detach().reshape(shape)}
    weights_of["decoder_conv1.weight"] = network.frame_core.decode.weight.detach()[..., None]
    weights_of["encoder_conv1.weight"] = network.frame_core.encode.weight.detach()[..., None]
    return weights_of


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_weights_of_the_torch_ports_are_found_by_their_shapes(norm: bool, wrapped: bool, tmp_path: Path) -> None:
    network, path = make_network(norm), tmp_path / "model_0042.pth"
    weights_of = as_other_torch(network)
    torch.save({"epoch": 42, "model": weights_of} if wrapped else weights_of, path)
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
    h5py = require("h5py")
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
    """State of a good network, with some weights replaced, or taken out by None."""
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
    """An object that runs code when it is unpickled."""

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


# What follows is about weights that people have, and what the original programs answer with them.


@pytest.mark.parametrize("clip", ["street", "snr0"])
@pytest.mark.parametrize(
    ("files", "recording", "least_db"),
    [(["DTLN_norm_500h.h5"], "norm_500h", 50), (["model_1.onnx", "model_2.onnx"], "onnx", 60)],
)
def test_converted_weights_answer_as_the_original_program_did(
    clip: str, files: list[str], recording: str, least_db: float, shared: Path, tmp_path: Path
) -> None:
    if files[0].endswith(".h5"):
        require("h5py")
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

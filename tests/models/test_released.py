"""Files that UL-UNAS and GTCRN released, good and hostile: read by bounded readers, or refused with a reason."""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from narrow_files import random_narrow
from require import require

from denoise_wrapper.backends.narrow import NarrowBackend, narrow_kind
from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.narrow import read_released
from denoise_wrapper.models.onnx_graph import read_graph
from denoise_wrapper.models.records import read_records
from denoise_wrapper.models.torch_files import read_torch_file


def saved(content: Any, **options: Any) -> bytes:
    """What torch saves."""
    torch = require("torch", "pip install 'denoise-wrapper[train]'")
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def made_zip(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def storage(name: str = "FloatStorage", key: str = "0") -> bytes:
    """A persistent name of a storage, as opcodes."""
    parts = b"(X\x07\x00\x00\x00storagectorch\n" + name.encode() + b"\n"
    return parts + b"X" + struct.pack("<I", len(key)) + key.encode() + b"X\x03\x00\x00\x00cpuK\x04tQ"


def tensor(shape: bytes = b"K\x02\x85", strides: bytes = b"K\x01\x85", offset: bytes = b"K\x00") -> bytes:
    """A tensor named w in a dictionary, as a pickle; each part as opcodes."""
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage() + offset + shape + strides + b"\x89}tR"
    return b"\x80\x02}X\x01\x00\x00\x00w" + made + b"s."


def checkpoint(data: bytes, numbers: bytes = bytes(16)) -> bytes:
    return made_zip({"archive/data.pkl": data, "archive/data/0": numbers})


def test_tensors_of_every_kind_are_read_as_torch_reads_them() -> None:
    torch = require("torch", "pip install 'denoise-wrapper[train]'")
    weights = {
        "floats": torch.randn(3, 4, 5),
        "turned": torch.randn(3, 4).t(),
        "part": torch.randn(10)[3:7],
        "doubles": torch.randn(2, dtype=torch.float64),
        "halves": torch.randn(2).half(),
        "number": torch.tensor(7),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }
    for content in (weights, {"epoch": 3, "model": weights, "optimizer": {"state": [1.0, None]}}):
        read = read_torch_file(saved(content))
        assert read.keys() == weights.keys()
        for name, value in weights.items():
            np.testing.assert_array_equal(read[name], value.detach().numpy())
    compiled = {f"_orig_mod.{name}": value for name, value in weights.items()}
    assert read_torch_file(saved(compiled)).keys() == weights.keys()


class Harm:
    """What does something when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("harm-was-done").touch, ())


def test_what_a_pickle_would_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for content in (Harm(), {"w": Harm()}, {"model": {}, "extra": Harm()}):
        with pytest.raises(ModelError, match="which is not run; save its state_dict alone"):
            read_torch_file(checkpoint(pickle.dumps(content, 2)))
    assert not any(tmp_path.iterdir())


BROKEN: dict[str, tuple[bytes, str]] = {
    "no zip": (b"PK\x03\x04 and no more", "damaged"),
    "nothing in it": (made_zip({"a": b""}), "no data.pkl, or more than one"),
    "two pickles": (made_zip({"a/data.pkl": b"", "b/data.pkl": b""}), "no data.pkl, or more than one"),
    "an empty pickle": (checkpoint(b""), "damaged"),
    "no end": (checkpoint(tensor()[:-1]), "damaged"),
    "a number": (checkpoint(b"\x80\x02K\x07."), "holds no dictionary of weights, but int"),
    "no tensor": (checkpoint(b"\x80\x02}X\x01\x00\x00\x00wK\x07s."), "'w' among them, which is no tensor"),
    "a storage called": (checkpoint(b"\x80\x02" + storage() + b")R."), "damaged"),
    "an attribute of a class": (
        checkpoint(b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R."),
        "holds builtins.eval",
    ),
    "beyond its numbers": (checkpoint(tensor(shape=b"K\x05\x85")), "is not in its 4 numbers"),
    "by its strides": (checkpoint(tensor(strides=b"K\x04\x85")), "is not in its 4 numbers"),
    "by its offset": (checkpoint(tensor(offset=b"K\x03")), "is not in its 4 numbers"),
    "many times the same": (checkpoint(tensor(b"J\x00\x00\x00\x7f\x85", b"K\x00\x85")), "is not in its 4 numbers"),
    "backwards": (checkpoint(tensor(strides=b"J\xff\xff\xff\xff\x85")), "whose axes are no numbers"),
    "nothing at all": (checkpoint(tensor(shape=b"K\x00\x85")), "is not in its 4 numbers"),
    "a memo of any size": (checkpoint(b"\x80\x02}r\xff\xff\xff\x7f."), "has no dpgrnn1|has no encoder"),
    "numbers absent": (made_zip({"archive/data.pkl": tensor()}), "does not hold its numbers"),
    "compressed": (
        made_zip({"archive/data.pkl": tensor(), "archive/data/0": bytes(1 << 20)}, zipfile.ZIP_DEFLATED),
        "compressed",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_hostile_checkpoints_are_refused(name: str) -> None:
    data, words = BROKEN[name]
    with pytest.raises(ModelError, match=words):
        read_released(data)


def test_the_pickles_here_are_what_torch_writes() -> None:
    """So that the hostile ones differ from good ones where they say so."""
    pickletools.dis(tensor(), io.StringIO())
    np.testing.assert_array_equal(read_torch_file(checkpoint(tensor()))["w"], np.zeros(2, np.float32))


@pytest.fixture(scope="module")
def streaming(shared: Path) -> dict[str, bytes]:
    """The streaming ONNX files."""
    folder = shared / "reference/teachers"
    return {kind: (folder / f"{kind}_stream.onnx").read_bytes() for kind in ("ulunas", "gtcrn")}


def test_both_networks_are_told_from_their_files(streaming: dict[str, bytes], tmp_path: Path) -> None:
    for kind, data in streaming.items():
        assert read_released(data)[0] == kind
        path = tmp_path / "file"
        path.write_bytes(data)
        assert narrow_kind(path) == kind
        with pytest.raises(ModelError, match="give it to the backend"):
            NarrowBackend(data, "gtcrn" if kind == "ulunas" else "ulunas")


def test_damage_to_an_onnx_file_is_refused_or_runs(streaming: dict[str, bytes]) -> None:
    rng = np.random.default_rng(2)
    data = streaming["gtcrn"]
    refused = 0
    for _ in range(40):
        damaged = bytearray(data)
        for _ in range(int(rng.integers(1, 30))):
            damaged[int(rng.integers(len(data)))] = int(rng.integers(256))
        try:
            kind, made = read_released(bytes(damaged))
            NarrowBackend(made, kind).new_state(1).process(np.zeros((1, 256), np.float32))
        except ModelError:
            refused += 1
    assert refused
    for size in (10, 1000, len(data) // 2, len(data) - 1):
        with pytest.raises(ModelError):
            read_released(data[:size])


def test_a_checkpoint_gives_what_its_streaming_onnx_gives(streaming: dict[str, bytes]) -> None:
    """By way of torch's names: a checkpoint made of the ONNX file's layers, without batch norms' work."""
    torch = require("torch", "pip install 'denoise-wrapper[train]'")
    for kind, data in streaming.items():
        state = checkpoint_of(kind, data, torch)
        again, made = read_released(saved({"epoch": 1, "model": state, "optimizer": {}}))
        assert again == kind
        first, second = read_records(read_released(data)[1]), read_records(made)
        for name in first.keys() - {"metadata"}:
            np.testing.assert_allclose(first[name], second[name], rtol=1e-5, atol=1e-6)
        state.pop(next(name for name in state if name.endswith("bias")))
        with pytest.raises(ModelError, match="with all its weights"):
            read_released(saved(state))


def checkpoint_of(kind: str, data: bytes, torch: Any) -> dict[str, Any]:
    """Weights by the names of a checkpoint, laid out by a reader that writes down what it is asked for."""
    from denoise_wrapper.models import released

    _, layers = released.graph_layers(read_graph(data))
    left = {name: list(found) for name, found in layers.items()}
    state: dict[str, Any] = {}

    class Writer(released.Checkpoint):
        def convolution(self, name: str, norm: str, transposed: bool = False, groups: int = 1) -> None:
            weight, bias = left[released.CONVOLUTION].pop(0)
            put(f"{name}.weight", turned_back(weight, groups) if transposed else weight)
            put(f"{name}.bias", bias)
            for part, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1 - 1e-5)):
                put(f"{norm}.{part}", np.full(len(bias), value))

        def gru(self, name: str, reverse: bool = False) -> None:
            parts = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
            names = [f"{name}.{part}{suffix}" for suffix in ("", "_reverse")[: 1 + reverse] for part in parts]
            for each, value in zip(names, left[released.GRU].pop(0), strict=True):
                put(each, value)

        def pair(self, kind: str, name: str) -> None:
            for part, value in zip(("weight", "bias"), left[kind].pop(0), strict=True):
                put(f"{name}.{part}", value)

        def affine(self, name: str) -> None:
            scale, offset, slope = left[released.AFFINE].pop(0)
            for part, value in (("affine_weight", scale.T), ("affine_bias", offset.T), ("slope_weight", slope)):
                put(f"{name}.{part}", value)

    class Slopes(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            (slope,) = left[released.SLOPE].pop(0)
            put(name, slope)
            return slope

    def put(name: str, value: Any) -> None:
        state[name] = torch.from_numpy(np.array(value, np.float64))

    (gather,) = left[released.LINEAR].pop(0)
    (spread,) = left[released.LINEAR].pop()
    write: Callable[[Any], None] = released.ulunas_checkpoint if kind == "ulunas" else released.gtcrn_checkpoint
    write(Writer(Slopes(), {released.SLOPE: []}))
    put("erb.erb_fc.weight", gather)
    put("erb.ierb_fc.weight", spread)
    return state


def turned_back(weight: Any, groups: int) -> Any:
    """The weight of a convolution as that of a transposed one."""
    outputs, inputs, *taps = weight.shape
    parts = weight[:, :, ::-1, ::-1].reshape(groups, outputs // groups, inputs, *taps).swapaxes(1, 2)
    return parts.reshape(groups * inputs, outputs // groups, *taps)


def test_a_model_of_bad_numbers_is_refused_by_the_engine() -> None:
    data = bytearray(random_narrow("gtcrn"))
    at = data.index(b"path1_rows_map_weights\0") + 44
    data[at : at + 4] = struct.pack("<f", float("nan"))
    with pytest.raises(ModelError, match="layer path1_rows_map: value 0 of weights is nan"):
        NarrowBackend(bytes(data), "gtcrn")

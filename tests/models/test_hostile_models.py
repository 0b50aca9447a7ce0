"""Model files that ask for more than they hold: a few kB that want GB, or minutes, are refused at once."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pairs import make_pair
from require import require

from denoise_wrapper.errors import DenoiseError, ModelError
from denoise_wrapper.models import keras
from denoise_wrapper.models.classic import from_c_source
from denoise_wrapper.models.onnx import check_onnx

onnx = require("onnx", "pip install 'denoise-wrapper[training]'")
h5py = require("h5py")
TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper

pytestmark = pytest.mark.fault

MOST_S = 5.0  # of the processor, for a file that is refused
PAIR = make_pair()


def varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


# ---- tensors made of next to nothing ----


def enlarged(nodes: Callable[[Callable[..., str]], list[Any]]) -> bytes:
    """The first model of a pair, whose answer goes by way of nodes that make a large tensor, called large."""
    model = onnx.load_from_string(PAIR[0])
    graph = model.graph
    next(node for node in graph.node if "mask" in node.output).output[0] = "small"

    def constant(name: str, values: Any, kind: Any = np.int64) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    graph.node.extend(nodes(constant))
    graph.node.append(helper.make_node("ReduceMax", ["large"], ["largest"], keepdims=0))
    graph.node.append(helper.make_node("Mul", ["largest", constant("nothing", 0, np.float32)], ["zero"]))
    graph.node.append(helper.make_node("Add", ["small", "zero"], ["mask"]))
    content: bytes = model.SerializeToString()
    return content


def constant_of_shape(constant: Callable[..., str]) -> list[Any]:
    return [helper.make_node("ConstantOfShape", [constant("shape", [1 << 31])], ["large"])]


def expand(constant: Callable[..., str]) -> list[Any]:
    single = constant("single", [1], np.float32)
    return [helper.make_node("Expand", [single, constant("shape", [1 << 16, 1 << 15])], ["large"])]


def tile(constant: Callable[..., str]) -> list[Any]:
    single = constant("single", [1], np.float32)
    return [helper.make_node("Tile", [single, constant("repeats", [3 << 28])], ["large"])]


def number_range(constant: Callable[..., str]) -> list[Any]:
    limits = [constant(name, value, np.float32) for name, value in (("from", 0), ("to", 3e9), ("step", 1))]
    return [helper.make_node("Range", limits, ["large"])]


def doubling(constant: Callable[..., str]) -> list[Any]:
    names = [constant("double0", [1], np.float32), *(f"double{number}" for number in range(1, 31)), "large"]
    return [helper.make_node("Concat", [x, x], [y], axis=0) for x, y in itertools.pairwise(names)]


def outer_product(constant: Callable[..., str]) -> list[Any]:
    column, row = constant("column", np.ones((30000, 1)), np.float32), constant("row", np.ones((1, 30000)), np.float32)
    return [helper.make_node("MatMul", [column, row], ["large"])]


def chance(constant: Callable[..., str]) -> list[Any]:
    return [helper.make_node("RandomNormal", [], ["large"], shape=[1 << 31])]


def of_the_signal(constant: Callable[..., str]) -> list[Any]:
    """What no look at the constants would find: a signal of one frame is small, and one of 256 is not."""
    flat = helper.make_node("Reshape", ["mag", constant("flat", [-1, 1])], ["tall"])
    wide = helper.make_node("Reshape", ["mag", constant("lying", [1, -1])], ["wide"])
    return [flat, wide, helper.make_node("MatMul", ["tall", "wide"], ["large"])]


def long_work(constant: Callable[..., str]) -> list[Any]:
    """Little memory, and days of work."""
    nodes = [helper.make_node("Expand", [constant("s", [[0]], np.float32), constant("size", [3000, 3000])], ["work0"])]
    nodes += [helper.make_node("MatMul", [f"work{n}"] * 2, [f"work{n + 1}"]) for n in range(1000)]
    return [*nodes, helper.make_node("Identity", ["work1000"], ["large"])]


LOAD = """
import json, resource, sys, time
from denoise_wrapper.backends import load_backend
from denoise_wrapper.errors import DenoiseError
import denoise_wrapper.backends.onnx
denoise_wrapper.backends.onnx.TRIAL_S = 1.0
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
for backend, *paths in json.loads(sys.argv[1]):
    begin = time.process_time()
    try:
        load_backend(backend, paths if len(paths) > 1 else paths[0])
        said = "loaded"
    except DenoiseError as error:
        said = f"{type(error).__name__} {error}"
    took = time.process_time() - begin
    try:  # ru_maxrss counts on Linux what the process had before exec too, which is all that the tests have in memory
        with open("/proc/self/status") as status:
            peak = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)
    print(json.dumps([said, took, peak >> 20]), flush=True)
"""


def load_apart(*models: Sequence[object]) -> list[tuple[str, float, int]]:
    """What loading each model says in a process of 3 GB at most, the seconds that it takes, and the MB at the peak so
    far.

    models: of each the backend and the paths.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LOAD, json.dumps([[str(word) for word in model] for model in models])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, f"{done.stdout} {done.stderr[-2000:]}"
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def write_pair(folder: Path, name: str, *contents: bytes) -> tuple[Path, Path]:
    paths = folder / f"{name}_1.onnx", folder / f"{name}_2.onnx"
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    return paths


GIANTS = [constant_of_shape, expand, tile, number_range, doubling, outer_product, chance, of_the_signal, long_work]


@pytest.fixture(scope="module")
def giants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float, int]]:
    """What became of each, by its name: one process has a look at all."""
    folder = tmp_path_factory.mktemp("giants")
    pairs = [("dtln-16k", *write_pair(folder, nodes.__name__, enlarged(nodes), PAIR[1])) for nodes in GIANTS]
    return dict(zip([nodes.__name__ for nodes in GIANTS], load_apart(*pairs), strict=True))


@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
@pytest.mark.parametrize("nodes", [nodes.__name__ for nodes in GIANTS])
def test_an_onnx_model_that_makes_giant_tensors_of_nothing_is_refused_at_once(
    giants: dict[str, tuple[str, float, int]], nodes: str
) -> None:
    said, seconds, megabytes = giants[nodes]
    assert said.startswith("ModelError"), said
    assert seconds < MOST_S
    assert megabytes < 600


def test_a_pair_that_asks_for_nothing_more_is_loaded(tmp_path: Path) -> None:
    ((said, _, _),) = load_apart(("dtln-16k", *write_pair(tmp_path, "mine", *PAIR)))
    assert said == "loaded"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x18\x01" * (20 << 20), "more than 256 kB beside"),
        (field(7, b"\x0a\x00" * (1 << 20)), "more than 256 kB beside"),  # nodes without anything in them
        (field(7, field(11, b"\x0a\x00" * (1 << 20))), "more than 256 kB beside"),  # what is said of an input
        (field(7, field(5, field(1, b"\1" * (4 << 20)))), "more than 256 kB beside"),  # axes of a tensor
        (field(7, field(5, field(6, b"") * (1 << 20))), "more than 256 kB beside"),  # texts in a tensor
        (field(7, b"") + b"\x00\x01" * (1 << 20), "no ONNX model"),  # fields without a number
        (field(7, b"") + b"\x06\x00" * (1 << 20), "no ONNX model"),
    ],
)
def test_fields_by_the_million_are_refused_at_once(content: bytes, words: str) -> None:
    begin = os.times().user
    with pytest.raises(ModelError, match=words):
        check_onnx(b"\x08\x08" + content)
    assert os.times().user - begin < MOST_S


# ---- HDF5 ----


def keras_file(write: Callable[[Any], None], config: object = b"{}") -> bytes:
    """An HDF5 file as bytes, which write adds to."""
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        if config is not None:
            content.attrs["model_config"] = config
        write(content)
    return file.getvalue()


LAYERS = b'{"config": {"layers": []}}'


def compressed(file: Any) -> None:
    file.create_dataset("model_weights/a/kernel", data=np.zeros(1 << 22, np.float32), compression="gzip")


def not_there(file: Any) -> None:
    for number in range(3):
        file.create_dataset(f"model_weights/a{number}/kernel", (1 << 22,), np.float32)


def elsewhere(file: Any) -> None:
    layout = h5py.VirtualLayout((1 << 22,), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "kernel", (1 << 22,))
    file.create_virtual_dataset("model_weights/a/kernel", layout)


def outside(file: Any) -> None:
    file["model_weights"] = h5py.ExternalLink("/etc/other.h5", "/")


def crowded(file: Any) -> None:
    for number in range(101):
        file.create_group(f"model_weights/{number}")


@pytest.mark.parametrize(
    ("write", "config", "words"),
    [
        (compressed, LAYERS, "compressed"),
        (not_there, LAYERS, "is not in it"),
        (elsewhere, LAYERS, "another file"),
        (outside, LAYERS, "another file"),
        (crowded, LAYERS, "more than 100 groups"),
        (lambda file: None, None, "no model_config"),
        (lambda file: file.attrs.create("model_config", ["x"] * 4000), None, "may not have so many"),
    ],
    ids=["compressed", "not there", "elsewhere", "outside", "crowded", "no config", "many configs"],
)
def test_an_hdf5_model_that_asks_for_more_than_it_holds_is_refused(
    monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], None], config: object, words: str
) -> None:
    monkeypatch.setattr(keras, "ITEMS_MAX", 100)
    data = keras_file(write, config)
    begin = os.times().user
    with pytest.raises(ModelError, match=words):
        keras.read_keras(data + b"\0" * 100_000)  # more bytes than those texts may be
    assert os.times().user - begin < MOST_S


@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
def test_a_small_hdf5_file_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"

    def write(file: Any) -> None:
        for number in range(200):
            file.create_dataset(f"model_weights/a{number}/kernel", (1 << 23,), np.float32, compression="gzip")

    path.write_bytes(keras_file(write, LAYERS))
    assert path.stat().st_size < 1 << 20
    ((said, seconds, megabytes),) = load_apart(("rnnoise", path))
    assert said.startswith("ModelError"), said
    assert seconds < MOST_S
    assert megabytes < 300


def test_keras_weights_for_a_dtln_are_bounded_too(tmp_path: Path) -> None:
    importers = require("denoise_wrapper.training.dtln.importers", "pip install 'denoise-wrapper[training]'")
    for write in (compressed, not_there, elsewhere, outside):
        path = tmp_path / f"{write.__name__}.h5"
        path.write_bytes(keras_file(write, None))
        with pytest.raises(ModelError, match=str(path)):
            importers.import_network([path])


# ---- torch, C, records ----


def test_a_checkpoint_whose_parts_are_compressed_is_refused(tmp_path: Path) -> None:
    torch = require("torch", "pip install 'denoise-wrapper[training]'")
    checkpoint = require("denoise_wrapper.training.run.checkpoint")
    plain, bomb = tmp_path / "plain.pt", tmp_path / "bomb.pt"
    torch.save({"network": {"weight": torch.zeros(1 << 22)}}, plain)
    with zipfile.ZipFile(plain) as whole, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as small:
        for entry in whole.infolist():
            small.writestr(entry.filename, whole.read(entry))
    assert bomb.stat().st_size < 1 << 17
    assert checkpoint.load_tensors(plain)["network"]["weight"].shape == (1 << 22,)
    with pytest.raises(DenoiseError, match="compressed"):
        checkpoint.load_checkpoint(bomb)


def test_a_tensor_that_is_one_number_many_times_is_refused(tmp_path: Path) -> None:
    torch = require("torch", "pip install 'denoise-wrapper[training]'")
    checkpoint = require("denoise_wrapper.training.run.checkpoint")
    path = tmp_path / "wide.pt"
    torch.save({"weight": torch.zeros(1, dtype=torch.float16).expand(1 << 30)}, path)
    with pytest.raises(DenoiseError, match="1073741824 numbers"):
        checkpoint.load_checkpoint(path)


@pytest.mark.parametrize(
    "source",
    [b"dn_builtin_data " + b"/*" * 500_000, b"dn_builtin_data[" + b" " * 1_000_000, b"dn_builtin_data[]={" * 50_000],
    ids=["comments without an end", "spaces", "lists without an end"],
)
def test_c_source_is_read_in_one_pass(source: bytes) -> None:
    begin = os.times().user
    with pytest.raises(ModelError):
        from_c_source(source)
    assert os.times().user - begin < MOST_S

"""The DTLN for ncnn: .param and .bin of both cores, with four separate states, compared with torch, written together.

    1: mag   [T, bins],  h1, c1, h2, c2 [units] -> mask      [T, bins],  h1_out, c1_out, h2_out, c2_out
    2: frame [T, block], h1, c1, h2, c2 [units] -> frame_out [T, block], h1_out, c1_out, h2_out, c2_out

T hops of one stream go through at a time, mostly one. The graphs have 8 to 13 layers, so that they are written as
ncnn's text rather than traced. Every layer keeps floats of 32 bits as numbers on their way (bits 0 to 2 of its feature
mask), whatever the options of a net allow: the logarithm of magnitudes + 1e-7, and states that live for hours, have no
room in 16.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from denoise_wrapper.atomic import aside, atomic_path, make_folder
from denoise_wrapper.errors import ConfigError, ModelError, needs_package
from denoise_wrapper.training.dtln.export import array, complete, fingerprint
from denoise_wrapper.training.dtln.model import DTLN, EPSILON, CoreState, FrameCore, InstantNorm, MaskCore, TwoLSTMs

MAGIC = 7767517  # the first line of a .param
FLOAT32, FLOAT16, INT8 = 0, 0x01306B47, 0x000D4B38  # what a tensor in a .bin begins with
TORCH_TO_NCNN = [0, 1, 3, 2]  # order of an LSTM's gates: i f g o in torch, i f o g in ncnn
ADD, MULTIPLY, LOG, SIGMOID = 0, 2, 8, 4  # of BinaryOp, UnaryOp, and an InnerProduct's activation
FULL_PRECISION = "31=7"  # of the feature mask: neither fp16 arithmetic, nor fp16 or bf16 storage
STATES = ("h1", "c1", "h2", "c2")
PRECISIONS = ("float32", "float16", "int8")
LEAST_DB = {"float32": 60.0, "float16": 40.0, "int8": 10.0}  # of the answers to what is not torch's in them
CHECKED_HOPS = 200

Array = NDArray[Any]


def write_ncnn(
    network: DTLN, folder: Path, metadata: Mapping[str, str], precision: str = "float32", overwrite: bool = False
) -> tuple[list[Path], tuple[float, float]]:
    """Write NAME_1.param, NAME_1.bin, NAME_2.param, NAME_2.bin and NAME.json into a folder: all or none.

    folder: made if need be. metadata: as of `export_pair`; NAME is its `name`. It is kept in NAME.json, with the sizes
    that a hop loop needs.
    precision: float32; float16, the matrices in half the size; int8, the matrices of the LSTMs with a scale a row
    (but one that takes plain magnitudes), the others as in float16.
    Returns the files, and by how many dB the answers of the cores, run hop by hop in ncnn, exceed their difference from
    torch's. Raises ConfigError without the package ncnn, ModelError if the answers differ too much, FileError.
    """
    try:
        import ncnn
    except ModuleNotFoundError as error:
        raise ConfigError(needs_package("--to ncnn needs", error, "ncnn")) from error
    network = network.cpu().float().eval()
    notes = complete(metadata, network)
    name = notes["name"]
    make_folder(folder)
    files = [folder / f"{name}{part}" for part in ("_1.param", "_1.bin", "_2.param", "_2.bin", ".json")]
    contents: list[bytes] = []
    for graph in (mask_graph(network.mask_core, precision), frame_graph(network.frame_core, precision)):
        contents += [graph.param().encode(), b"".join(graph.weights)]
    contents.append(describe(network, notes, precision).encode())
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(atomic_path(file, overwrite)) for file in files]
        for part, content in zip(parts, contents, strict=True):
            part.write_bytes(content)
        with aside():
            agreement = check(ncnn, network, parts, precision)
    return files, agreement


def describe(network: DTLN, notes: Mapping[str, str], precision: str) -> str:
    """JSON: what is known of the network, and its sizes."""
    sizes = {
        "block": network.block,
        "hop": network.hop,
        "units": network.config.hidden_size,
        "delay": network.delay,
        "sample_rate": int(notes["sample_rate"]),
        "norm": network.mask_core.norm is not None,
    }
    about = {**notes, **sizes, "precision": precision, "pair": fingerprint(network)}
    return json.dumps(about, indent=1, ensure_ascii=False) + "\n"


class Graph:
    """Layers and weights as they are added. Blobs are named by strings, and each is read once."""

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.layers: list[str] = []
        self.blobs = 0
        self.weights: list[bytes] = []

    def layer(self, kind: str, inputs: list[str], outputs: list[str], *settings: str) -> str:
        """Add a layer, named after its first output, which is returned."""
        self.blobs += len(outputs)
        kept = () if kind in ("Input", "Split") else (FULL_PRECISION,)
        words = [f"{kind:16}", f"{outputs[0]:20}", str(len(inputs)), str(len(outputs)), *inputs, *outputs]
        self.layers.append(" ".join([*words, *settings, *kept]))
        return outputs[0]

    def input(self, name: str) -> str:
        return self.layer("Input", [], [name])

    def plain(self, values: Array) -> None:
        """Add a tensor of floats as a layer reads it that has no other kinds."""
        self.weights.append(values.astype("<f4").tobytes())

    def tensor(self, values: Array, flag: int = FLOAT32) -> None:
        """Add a tensor of the kind that flag says, whole words long."""
        kind = {FLOAT32: "<f4", FLOAT16: "<f2", INT8: "i1"}[flag]
        content = np.uint32(flag).astype("<u4").tobytes() + values.astype(kind).tobytes()
        self.weights.append(content + bytes(-len(content) % 4))

    def matrix(self, values: Array) -> None:
        """Add a matrix in the precision of the graph."""
        self.tensor(values, FLOAT32 if self.precision == "float32" else FLOAT16)

    def param(self) -> str:
        """The text of the .param."""
        return "\n".join([str(MAGIC), f"{len(self.layers)} {self.blobs}", *self.layers, ""])


def mask_graph(core: MaskCore, precision: str) -> Graph:
    """Core 1: magnitudes to the mask."""
    graph = Graph(precision)
    signal = graph.input("mag")
    states = [graph.input(name) for name in STATES]
    if core.norm is not None:
        # log(mag / least + 1) for log(mag + least): the norm takes the difference out again, and where all bins are
        # alike, as in silence, they are zero rather than -16.118, whose rounding would be blown up.
        ratio = graph.layer("BinaryOp", [signal], ["ratio"], f"0={MULTIPLY} 1=1 2={1 / EPSILON:e}")
        raised = graph.layer("BinaryOp", [ratio], ["raised"], f"0={ADD} 1=1 2=1.0")
        level = graph.layer("UnaryOp", [raised], ["level"], f"0={LOG}")
        signal = norm(graph, core.norm, level)
    two_lstms(graph, core, signal, states, "mask", core.norm is not None)
    return graph


def frame_graph(core: FrameCore, precision: str) -> Graph:
    """Core 2: blocks of samples to blocks."""
    graph = Graph(precision)
    frame = graph.input("frame")
    states = [graph.input(name) for name in STATES]
    code = dense(graph, core.encode, frame, "code")
    graph.layer("Split", [code], ["code_to_norm", "code_to_mask"])
    two_lstms(graph, core, norm(graph, core.norm, "code_to_norm"), states, "gains", True)
    kept = graph.layer("BinaryOp", ["code_to_mask", "gains"], ["kept"], f"0={MULTIPLY}")
    dense(graph, core.decode, kept, "frame_out")
    return graph


def norm(graph: Graph, module: InstantNorm, signal: str) -> str:
    for values in (module.weight, module.bias):
        graph.plain(array(values))
    return graph.layer("LayerNorm", [signal], ["normal"], f"0={module.weight.numel()} 1={EPSILON:e} 2=1")


def dense(graph: Graph, module: nn.Linear, signal: str, answer: str, activation: int = 0) -> str:
    rows, columns = module.weight.shape
    graph.matrix(array(module.weight))
    if module.bias is not None:
        graph.plain(array(module.bias))
    settings = f"0={rows} 1={int(module.bias is not None)} 2={rows * columns}"
    return graph.layer("InnerProduct", [signal], [answer], settings + (f" 9={activation}" if activation else ""))


def two_lstms(graph: Graph, core: TwoLSTMs, signal: str, states: list[str], mask: str, normal: bool) -> None:
    """signal to the blob called mask; normal: it is in units of its deviation, so that bytes can hold it."""
    for layer, lstm in ((1, core.lstm1), (2, core.lstm2)):
        bytewise = graph.precision == "int8" and (normal or layer == 2)
        lstm_weights(graph, lstm, bytewise)
        units, inputs = lstm.hidden_size, lstm.input_size
        settings = f"0={units} 1={4 * units * inputs} 2=0" + (" 8=2" if bytewise else "")
        before = states[2 * layer - 2 : 2 * layer]
        signal = graph.layer("LSTM", [signal, *before], [f"lstm{layer}", *(f"{name}_out" for name in before)], settings)
    dense(graph, core.dense, signal, mask, SIGMOID)


def lstm_weights(graph: Graph, lstm: nn.LSTM, bytewise: bool) -> None:
    """Of the inputs [4 units, inputs], biases [4, units], of the state [4 units, units]; then the scales of bytes."""

    def gates(values: torch.Tensor) -> Array:
        return array(values).reshape(4, lstm.hidden_size, -1)[TORCH_TO_NCNN].reshape(4 * lstm.hidden_size, -1)

    weights = lstm.state_dict()
    bias = gates(weights["bias_ih_l0"]) + gates(weights["bias_hh_l0"])
    matrices = [gates(weights["weight_ih_l0"]), gates(weights["weight_hh_l0"])]
    if not bytewise:
        graph.matrix(matrices[0])
        graph.tensor(bias)
        graph.matrix(matrices[1])
        return
    scales = [127 / np.maximum(np.abs(matrix).max(axis=1, keepdims=True), 1e-20) for matrix in matrices]
    steps = [np.rint(matrix * scale) for matrix, scale in zip(matrices, scales, strict=True)]
    graph.tensor(steps[0], INT8)
    graph.tensor(bias)
    graph.tensor(steps[1], INT8)
    for scale in scales:
        graph.plain(scale)


def check(ncnn: Any, network: DTLN, files: list[Path], precision: str) -> tuple[float, float]:
    """Run both cores hop by hop over noise that comes and goes, states carried, and return the dB of `write_ncnn`."""
    spectra, blocks = noise_blocks(network)
    agreement: list[float] = []
    cores: tuple[MaskCore | FrameCore, ...] = (network.mask_core, network.frame_core)
    for stage, (core, signal) in enumerate(zip(cores, (spectra, blocks), strict=True)):
        net = load(ncnn, *files[2 * stage : 2 * stage + 2])
        wanted = by_torch(core, signal)
        answer = np.concatenate(list(by_ncnn(ncnn, net, signal, network.config.hidden_size)))
        error = float(np.sum((answer - wanted) ** 2, dtype=np.float64))
        agreement.append(float(10 * np.log10(np.sum(wanted**2, dtype=np.float64) / max(error, 1e-30))))
        if not agreement[-1] >= LEAST_DB[precision]:
            raise ModelError(
                f"core {stage + 1} in ncnn is {agreement[-1]:.0f} dB from torch's, and {LEAST_DB[precision]:g} are "
                f"wanted of {precision}; nothing was written"
                + ("; use --to ncnn-float16" if precision == "int8" else "")
            )
    return agreement[0], agreement[1]


def noise_blocks(network: DTLN) -> tuple[Array, Array]:
    """(magnitudes, blocks), [hops, bins] and [hops, block], of noise between -100 and 0 dB with silence in it."""
    generator = np.random.default_rng(1)
    levels = 10 ** generator.uniform(-5, 0, CHECKED_HOPS // 10).repeat(10)
    levels[40:60] = 0
    audio = 0.3 * generator.standard_normal((CHECKED_HOPS, network.hop)) * levels[:, None]
    padded = np.concatenate([np.zeros(network.delay), audio.ravel()])
    blocks = np.lib.stride_tricks.sliding_window_view(padded, network.block)[:: network.hop]
    return np.abs(np.fft.rfft(blocks)).astype(np.float32), blocks.astype(np.float32)


def by_torch(core: MaskCore | FrameCore, signal: Array) -> Array:
    """Answer of a core to [hops, width] from silence."""
    zeros = [torch.zeros(1, 1, core.lstm1.hidden_size) for _ in STATES]
    state: CoreState = (zeros[0], zeros[1], zeros[2], zeros[3])
    with torch.no_grad():
        return array(core(torch.from_numpy(signal)[:, None], state)[0][:, 0])


def load(ncnn: Any, param: Path, weights: Path) -> Any:
    """A net, on one thread. Raises ModelError if ncnn cannot read the files."""
    net = ncnn.Net()
    net.opt.num_threads = 1
    if net.load_param(str(param)) != 0 or net.load_model(str(weights)) != 0:
        raise ModelError(f"ncnn {ncnn.__version__} cannot read its {param.suffix} and {weights.suffix}")
    return net


def by_ncnn(ncnn: Any, net: Any, signal: Array, units: int) -> Iterator[Array]:
    """Yield a core's answers to [hops, width], each [1, width], from silence."""
    (first, *_), (last, *_) = net.input_names(), [name for name in net.output_names() if not name.endswith(STATES_OUT)]
    state = {name: ncnn.Mat(np.zeros(units, np.float32)).clone() for name in STATES}
    for hop in signal:
        extractor = net.create_extractor()
        extractor.input(first, ncnn.Mat(np.ascontiguousarray(hop[None])).clone())
        for name, value in state.items():
            extractor.input(name, value)
        yield np.array(extractor.extract(last)[1])
        state = {name: extractor.extract(f"{name}_out")[1] for name in STATES}


STATES_OUT = tuple(f"{name}_out" for name in STATES)

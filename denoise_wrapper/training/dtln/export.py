"""The DTLN as a pair of ONNX files: built node by node, compared with torch, and written both or neither.

Both models take any number of frames T and of streams N at once, as LSTMs do:

    1: mag   [T, N, bins],  state [4, N, units] -> mask      [T, N, bins],  state_out
    2: frame [T, N, block], state [4, N, units] -> frame_out [T, N, block], state_out

The state is h and c of the first LSTM, then those of the second. The signal processing between the two is the caller's.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.errors import ModelError
from denoise_wrapper.training.dtln.model import DTLN, EPSILON, CoreState, FrameCore, InstantNorm, MaskCore, TwoLSTMs

OPSET, IR_VERSION = 17, 8  # LayerNormalization is there; ONNX Runtime reads both from 1.13 on
VECTOR = 16  # floats, the most that any processor computes at a time
TOLERANCE = 1e-4  # greatest difference from torch
TORCH_TO_ONNX = [0, 3, 1, 2]  # order of an LSTM's gates: i f g o in torch and Keras, i o f c (which is g) in ONNX
CHECKED_SHAPES = ((1, 1), (7, 1), (1, 2), (7, 2))  # (frames, streams)

Array = NDArray[Any]


def export_pair(
    network: DTLN,
    target_1: Path,
    target_2: Path,
    metadata: Mapping[str, str],
    overwrite: bool = False,
    half: bool = False,
) -> None:
    """Write the network as two ONNX files; half: see `encode_pair`.

    metadata: strings for the files; `sample_rate` must be among them, `name`, `licence` and `origin` should be. Block,
    hop, norm and the like are added. Raises ModelError if onnxruntime does not compute what torch computes, and
    FileError if a file cannot be written, or exists and overwrite is False; then neither is there.
    """
    write_pair(encode_pair(network, metadata, half), target_1, target_2, overwrite)


def encode_pair(network: DTLN, metadata: Mapping[str, str], half: bool = False) -> tuple[bytes, bytes]:
    """The two files' bytes, checked as `export_pair` says.

    half: matrices are stored in 16 bits, in half the size. ONNX Runtime makes them float32 as it loads them, so that
    nothing else changes.
    """
    network = copy.deepcopy(network).cpu().float().eval()
    if half:
        with torch.no_grad():
            for weight in network.parameters():
                if weight.ndim > 1:
                    weight.copy_(weight.half())
    notes = {
        **complete(metadata, network),
        "pair": fingerprint(network),
        "precision": "float16" if half else "float32",
    }
    pair = (mask_graph(network.mask_core, half).model(1, notes), frame_graph(network.frame_core, half).model(2, notes))
    check_pair(pair, network)
    return pair


def write_pair(pair: tuple[bytes, bytes], target_1: Path, target_2: Path, overwrite: bool) -> None:
    """Both files, or neither."""
    if target_1.resolve() == target_2.resolve():
        raise ModelError(f"a pair is two files, and {target_1} is named twice; name another for the second model")
    with atomic_path(target_1, overwrite) as path_1, atomic_path(target_2, overwrite) as path_2:
        path_1.write_bytes(pair[0])
        path_2.write_bytes(pair[1])


def complete(metadata: Mapping[str, str], network: DTLN) -> dict[str, str]:
    """The metadata with what the network knows of itself."""
    rate = str(metadata.get("sample_rate", "unknown"))
    if not rate.isdecimal() or int(rate) == 0:
        raise ModelError(f"the network's sample_rate is {rate}; say for how many Hz it was trained (--rate 16000)")
    return {
        "name": "dtln",
        "licence": "unknown",
        "origin": "unknown",
        **{key: str(value) for key, value in metadata.items()},
        "block": str(network.block),
        "hop": str(network.hop),
        "norm": str(network.mask_core.norm is not None).lower(),
    }


def fingerprint(network: DTLN) -> str:
    """Twelve hex digits that change with any of the weights."""
    digest = hashlib.sha256()
    for weight in network.state_dict().values():
        digest.update(array(weight).tobytes())
    return digest.hexdigest()[:12]


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().float().cpu().contiguous().numpy()


class Graph:
    """Nodes and weights as they are added, and the model made of them. Values are named by strings."""

    def __init__(self, half: bool = False) -> None:
        self.half = half  # matrices are stored in 16 bits
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: list[Any]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, name: str, shape: list[Any]) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def constant(self, name: str, values: Array | list[int] | float) -> str:
        """Add a constant: whole numbers as int64 (shapes, axes), others as float32; matrices perhaps as float16, made
        float32 by a node."""
        content = np.array(values, np.int64 if isinstance(values, list) else np.float32)
        if self.half and content.dtype == np.float32 and content.squeeze().ndim > 1:
            self.weights.append(numpy_helper.from_array(content.astype(np.float16), f"{name}_half"))
            return self.node("Cast", [f"{name}_half"], name, to=TensorProto.FLOAT)
        self.weights.append(numpy_helper.from_array(content, name))
        return name

    def node(self, op: str, inputs: list[str], outputs: str | list[str], **attributes: Any) -> str:
        """Add one node, named after its first output, which is returned."""
        outputs = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(helper.make_node(op, inputs, outputs, name=f"{outputs[0]}_node", **attributes))
        return outputs[0]

    def model(self, stage: int, metadata: Mapping[str, str]) -> bytes:
        graph = helper.make_graph(self.nodes, f"dtln_{stage}", self.inputs, self.outputs, self.weights)
        model = helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="denoise_wrapper",
        )
        helper.set_model_props(model, {**metadata, "stage": str(stage)})
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def mask_graph(core: MaskCore, half: bool) -> Graph:
    """Model 1: magnitudes to the mask."""
    graph, bins = Graph(half), core.lstm1.input_size
    signal = graph.input("mag", ["T", "N", bins])
    if core.norm is not None:
        raised = graph.node("Add", [signal, graph.constant("least", EPSILON)], "raised")
        level = logarithm(graph, raised, bins)
        # Relative to one bin, which the norm takes out again: until 1.20 ONNX Runtime has variances as a difference of
        # large numbers, and answers NaN where all bins are alike, as in silence and in a click.
        first = graph.node("Slice", [level, "from", graph.constant("of_first", [1]), "of_axis"], "first_level")
        signal = norm(graph, core.norm, graph.node("Sub", [level, first], "relative_level"))
    two_lstms(graph, core, signal, "mask")
    graph.output("mask", ["T", "N", bins])
    return finish_state(graph, core)


def logarithm(graph: Graph, signal: str, channels: int) -> str:
    """Its Log, the same to the bit however many frames and streams are in a run.

    ONNX Runtime computes whole vectors of a tensor in another way than what is left over at its end, so there must be
    nothing left over.
    """
    filling = [graph.constant("filling", [0, 0, 0, 0, 0, -channels % VECTOR]), graph.constant("of_log_0", 1.0)]
    levels = graph.node("Log", [graph.node("Pad", [signal, *filling], "raised_filled")], "level_filled")
    part = [graph.constant("from", [0]), graph.constant("to", [channels]), graph.constant("of_axis", [2])]
    return graph.node("Slice", [levels, *part], "level")


def frame_graph(core: FrameCore, half: bool) -> Graph:
    """Model 2: blocks of samples to blocks."""
    graph, block = Graph(half), core.encode.in_features
    frame = graph.input("frame", ["T", "N", block])
    code = graph.node("MatMul", [frame, graph.constant("encode.weight", array(core.encode.weight.t()))], "code")
    two_lstms(graph, core, norm(graph, core.norm, code), "mask")
    kept = graph.node("Mul", [code, "mask"], "kept")
    graph.node("MatMul", [kept, graph.constant("decode.weight", array(core.decode.weight.t()))], "frame_out")
    graph.output("frame_out", ["T", "N", block])
    return finish_state(graph, core)


def norm(graph: Graph, module: InstantNorm, signal: str) -> str:
    weights = [graph.constant(f"norm.{name}", array(value)) for name, value in module.named_parameters()]
    return graph.node("LayerNormalization", [signal, *weights], "normal", axis=-1, epsilon=EPSILON)


def two_lstms(graph: Graph, core: TwoLSTMs, signal: str, mask: str) -> None:
    """signal [T, N, inputs] to the value called mask; the new states become h1_out, c1_out, h2_out and c2_out."""
    units = core.lstm1.hidden_size
    graph.node("Split", [graph.input("state", [4, "N", units])], ["h1", "c1", "h2", "c2"], axis=0)
    one = graph.constant("direction", [1])
    for layer, lstm in ((1, core.lstm1), (2, core.lstm2)):
        weights = [graph.constant(f"lstm{layer}.{name}", values) for name, values in lstm_weights(lstm).items()]
        states = [f"h{layer}", f"c{layer}"]
        outputs = [f"lstm{layer}_all", f"h{layer}_out", f"c{layer}_out"]
        every = graph.node("LSTM", [signal, *weights, "", *states], outputs, hidden_size=units)
        signal = graph.node("Squeeze", [every, one], f"lstm{layer}_out")  # [T, 1, N, units] before
    dense = graph.constant("dense.weight", array(core.dense.weight.t()))
    product = graph.node("MatMul", [signal, dense], "dense_product")
    logit = graph.node("Add", [product, graph.constant("dense.bias", array(core.dense.bias))], "logit")
    graph.node("Sigmoid", [logit], mask)


def finish_state(graph: Graph, core: TwoLSTMs) -> Graph:
    """Put the four new states together as they came."""
    graph.node("Concat", ["h1_out", "c1_out", "h2_out", "c2_out"], "state_out", axis=0)
    graph.output("state_out", [4, "N", core.lstm1.hidden_size])
    return graph


def lstm_weights(lstm: nn.LSTM) -> dict[str, Array]:
    """W [1, 4 units, inputs], R [1, 4 units, units], B [1, 8 units] as ONNX orders them."""

    def gates(values: torch.Tensor) -> Array:
        blocks = array(values).reshape(4, lstm.hidden_size, -1)[TORCH_TO_ONNX]
        return blocks.reshape(values.shape)

    weights = lstm.state_dict()
    bias = np.concatenate([gates(weights["bias_ih_l0"]), gates(weights["bias_hh_l0"])])
    return {"W": gates(weights["weight_ih_l0"])[None], "R": gates(weights["weight_hh_l0"])[None], "B": bias[None]}


def check_pair(pair: tuple[bytes, bytes], network: DTLN) -> None:
    """Raises ModelError if a model answers random input, silence among it, otherwise than torch does."""
    generator = np.random.default_rng(1)
    cores: tuple[MaskCore | FrameCore, ...] = (network.mask_core, network.frame_core)
    for stage, core in enumerate(cores, 1):
        session = make_session(pair[stage - 1])
        width = session.get_inputs()[0].shape[-1]
        for frames, streams in CHECKED_SHAPES:
            signal = 0.2 * generator.standard_normal((frames, streams, width), np.float32)
            if stage == 1:
                signal = np.abs(signal) * 10.0 ** generator.uniform(-6, 3, (frames, streams, 1)).astype(np.float32)
                signal[frames // 2 : frames // 2 + frames // 3] = 0.0
            state = generator.uniform(-1, 1, (4, streams, network.config.hidden_size)).astype(np.float32)
            wanted = by_torch(core, signal, state)
            answers = session.run(None, {session.get_inputs()[0].name: signal, "state": state})
            for name, answer, value in zip((item.name for item in session.get_outputs()), answers, wanted, strict=True):
                difference = float(np.abs(answer - value).max())
                if not difference <= TOLERANCE:
                    raise ModelError(
                        f"model {stage}: its {name} for {streams} streams of {frames} frames is {difference:.2g} off "
                        f"torch's, more than {TOLERANCE:g}; nothing was written"
                    )


def by_torch(core: MaskCore | FrameCore, signal: Array, state: Array) -> tuple[Array, Array]:
    """Answer of the core, in the models' layout."""
    before: CoreState = tuple(torch.from_numpy(state).split(1))  # type: ignore[assignment]
    with torch.no_grad():
        answer, after = core(torch.from_numpy(signal), before)
    return array(answer), np.concatenate([array(part) for part in after])


def make_session(content: bytes) -> Any:
    """The model in ONNX Runtime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

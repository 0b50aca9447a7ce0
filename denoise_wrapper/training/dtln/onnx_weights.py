"""The weights in a pair of ONNX files, ours or those of others: found by what the nodes do, not by their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from denoise_wrapper.backends.onnx import try_out
from denoise_wrapper.errors import DenoiseError, ModelError
from denoise_wrapper.models.onnx import read_onnx
from denoise_wrapper.models.pairs import recognise
from denoise_wrapper.training.dtln.export import TORCH_TO_ONNX, by_torch, make_session
from denoise_wrapper.training.dtln.model import DTLN, FrameCore, MaskCore
from denoise_wrapper.training.dtln.parts import Dense, Norm, Parts, Recurrent

Array = NDArray[Any]

ONNX_TO_TORCH = list(np.argsort(TORCH_TO_ONNX))
RESHAPING = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Pad", "Flatten", "Expand"}
QUANTISED = {"DynamicQuantizeLSTM", "MatMulInteger", "DynamicQuantizeMatMul", "QLinearMatMul", "DequantizeLinear"}
ALIKE = 1e-3  # greatest difference between what a pair answers and what the network made of it does


def read_models(paths: Sequence[Path]) -> list[onnx.ModelProto]:
    """The models of the files, the one with the encoder second.

    Raises FileError or ModelError if one cannot be read, has its weights in other files, or is quantised.
    """
    models = [read_model(path) for path in paths]
    notes = [properties(model) for model in models]
    if notes[0].get("pair") != notes[1].get("pair"):
        raise ModelError(f"{paths[0].name} and {paths[1].name} are halves of two different pairs; give two of one pair")
    return sorted(models, key=lambda model: len(Weights(model).parts().maps))


def read_model(path: Path) -> onnx.ModelProto:
    """One model. Raises FileError or ModelError: see `read_models`."""
    try:
        model = onnx.load_model_from_string(read_onnx(path))
        onnx.checker.check_model(model)
    except DenoiseError:
        raise
    except Exception as error:  # protobuf and the checker each have their own
        raise ModelError(f"{path} is no ONNX model: {error}") from error
    kinds = sorted({node.op_type for node in model.graph.node} & QUANTISED)
    if kinds:
        raise ModelError(
            f"{path} is quantised ({', '.join(kinds)}), its weights are gone; give the pair it was made of"
        )
    return model


def properties(model: onnx.ModelProto) -> dict[str, str]:
    return {item.key: item.value for item in model.metadata_props}


def pair_parts(models: Sequence[onnx.ModelProto]) -> Parts:
    """The layers of both models."""
    first, second = (Weights(model).parts() for model in models)
    return first + second


class Weights:
    """One graph, and what of it is constant."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = list(model.graph.node)
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.users: dict[str, list[onnx.NodeProto]] = {}
        self.from_signal: set[str] = set()  # values on which the signal has any influence
        inputs = [item for item in model.graph.input if item.name not in self.constants]
        self.from_signal.update(item.name for item in inputs[:1])
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            if node.op_type == "Cast" and node.input[0] in self.constants:  # stored in half precision
                self.constants[node.output[0]] = self.constants[node.input[0]].astype(np.float32)
            if self.from_signal & set(node.input):
                self.from_signal.update(node.output)
            for name in node.input:
                self.users.setdefault(name, []).append(node)

    def parts(self) -> Parts:
        """The layers, in the order of the graph."""
        parts = Parts()
        products = {node.output[0]: node for node in self.nodes if self.matrix(node) is not None}
        gates: set[str] = set()  # products that belong to an LSTM written out in single nodes
        for node in self.nodes:
            if node.op_type == "Add" and set(node.input) <= set(products):
                kernel, recurrent = sorted(node.input, key=lambda name: products[name].input[0] not in self.from_signal)
                lstm = self.written_out(node, products[kernel], products[recurrent])
                if lstm is not None:
                    gates |= set(node.input)
                    parts.lstms.append(lstm)
        for node in self.nodes:
            if node.output[0] not in gates:
                self.add(node, parts)
        return parts

    def add(self, node: onnx.NodeProto, parts: Parts) -> None:
        """Put what this node holds, if anything, where it belongs."""
        matrix = self.matrix(node)
        if matrix is not None:
            bias = self.bias(node, len(matrix))
            if bias is None:
                parts.maps.append(matrix)
            else:
                parts.denses.append(Dense(matrix, bias))
        elif node.op_type == "LSTM":
            parts.lstms.append(self.lstm(node))
        elif node.op_type in ("GRU", "RNN", "BatchNormalization", "InstanceNormalization", "Loop", "Scan", "If"):
            parts.others.append(f"a node {node.op_type}")
        elif node.op_type in ("LayerNormalization", "Mul"):
            norm = self.norm(node)
            if norm is not None:
                parts.norms.append(norm)

    def matrix(self, node: onnx.NodeProto) -> Array | None:
        """(outputs, inputs) if the node is a product with a constant matrix."""
        weight = self.constants.get(node.input[1]) if len(node.input) > 1 else None
        if weight is None:
            return None
        if node.op_type == "MatMul" and weight.ndim == 2:
            return weight.T
        if node.op_type == "Gemm" and weight.ndim == 2:
            return weight if attribute(node, "transB", 0) else weight.T
        if node.op_type == "Conv" and weight.size == np.prod(weight.shape[:2]) and attribute(node, "group", 1) == 1:
            return weight.reshape(weight.shape[:2])
        return None

    def bias(self, product: onnx.NodeProto, outputs: int) -> Array | None:
        """The constant vector that is added to a product, in its node or after it."""
        if len(product.input) > 2 and product.input[2] in self.constants:
            return self.constants[product.input[2]].reshape(-1)
        for node in self.after(product.output[0]):
            if node.op_type == "Add":
                return self.vector(node, outputs)
        return None

    def norm(self, node: onnx.NodeProto) -> Norm | None:
        """Weight and bias of a layer norm, one node or the last two of those that it was written out in."""
        if node.op_type == "LayerNormalization":
            weight = self.constants[node.input[1]].reshape(-1)
            bias = self.constants.get(node.input[2]) if len(node.input) > 2 else None
            return Norm(weight, np.zeros_like(weight) if bias is None else bias.reshape(-1))
        scale = self.vector(node)
        for user in self.after(node.output[0]):
            shift = self.vector(user, scale.size) if scale is not None and user.op_type == "Add" else None
            if scale is not None and shift is not None:
                return Norm(scale, shift)
        return None

    def vector(self, node: onnx.NodeProto, size: int | None = None) -> Array | None:
        """The vector of more than one value (of that size) among the node's constants."""
        for name in node.input:
            value = self.constants.get(name)
            if value is not None and value.dtype.kind == "f" and value.size == max(value.shape, default=1) > 1:
                return value.reshape(-1) if size in (None, value.size) else None
        return None

    def after(self, name: str) -> Iterator[onnx.NodeProto]:
        """The nodes that work on a value, whatever its shape is changed to in between."""
        for node in self.users.get(name, []):
            if node.op_type in RESHAPING:
                yield from self.after(node.output[0])
            else:
                yield node

    def lstm(self, node: onnx.NodeProto) -> Recurrent:
        """A node LSTM, if it is one of the usual kind."""
        names = [*node.input, *[""] * (8 - len(node.input))]
        odd = [item.name for item in node.attribute if item.name in ("activation_alpha", "clip", "input_forget")]
        activations = attribute(node, "activations", [b"Sigmoid", b"Tanh", b"Tanh"])
        if list(activations) != [b"Sigmoid", b"Tanh", b"Tanh"] or names[7] or odd:
            raise ModelError("an LSTM has other activations, peepholes or a clip, which no DTLN has")
        if attribute(node, "direction", b"forward") != b"forward" or not set(names[1:3]) <= set(self.constants):
            raise ModelError("an LSTM does not run forward in time, or its weights are computed")
        kernel, recurrent = (reorder(self.constants[name][0]) for name in names[1:3])
        bias = self.constants.get(names[3])
        both = np.zeros((2, len(kernel)), kernel.dtype) if bias is None else bias.reshape(2, -1)
        return Recurrent(kernel, recurrent, reorder(both[0]) + reorder(both[1]))

    def written_out(self, node: onnx.NodeProto, kernel: onnx.NodeProto, recurrent: onnx.NodeProto) -> Recurrent | None:
        """The LSTM whose gates this node sums, if it is one; in the order that Keras and torch have."""
        by_input, by_state = self.matrix(kernel), self.matrix(recurrent)
        if by_input is None or by_state is None or len(by_state) != 4 * by_state.shape[1]:
            return None
        bias = self.bias(node, len(by_state))
        return Recurrent(by_input, by_state, np.zeros(len(by_state), np.float32) if bias is None else bias)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of a node's attribute."""
    for item in node.attribute:
        if item.name == name:
            return onnx.helper.get_attribute_value(item) or default
    return default


def reorder(values: Array) -> Array:
    """Gates i o f c (ONNX) as i f g o."""
    return values.reshape(4, len(values) // 4, -1)[ONNX_TO_TORCH].reshape(values.shape)


def check_alike(models: Sequence[onnx.ModelProto], network: DTLN, source: str) -> None:
    """Raises ModelError if the network answers a random frame in a random state otherwise than the pair does."""
    cores: tuple[MaskCore | FrameCore, ...] = (network.mask_core, network.frame_core)
    generator = np.random.default_rng(1)
    for stage, (model, core) in enumerate(zip(models, cores, strict=True), 1):
        width = network.block if stage == 2 else network.block // 2 + 1
        signal = generator.uniform(0.1, 1, (1, 1, width)).astype(np.float32)
        state = generator.uniform(-1, 1, (4, 1, network.config.hidden_size)).astype(np.float32)
        try:
            content = model.SerializeToString()
            try_out(content, content)
            half = recognise(make_session(content))
            answer, after = half.run(signal, by_unit(state) if half.by_unit else state)
        except Exception as error:  # ONNX Runtime has many of its own
            raise ModelError(f"model {stage} of {source} cannot be run on a frame and its state: {error}") from error
        wanted, wanted_after = by_torch(core, signal, state)
        answer = half.mask(answer, signal) if stage == 1 else answer
        off = max(greatest(answer, wanted), greatest(after, by_unit(wanted_after) if half.by_unit else wanted_after))
        if not off <= ALIKE:
            raise ModelError(
                f"model {stage} of {source} does not answer what a DTLN of its weights does ({off:.2g} off), so it can "
                "be run as it is, but not converted"
            )


def by_unit(state: Array) -> Array:
    """[4, 1, units] as the published pair has it, [1, 2, units, 2]."""
    return np.ascontiguousarray(state.reshape(2, 2, 1, -1).transpose(2, 0, 3, 1))


def greatest(one: Array, other: Array) -> float:
    """The greatest difference, infinite where sizes differ."""
    return float(np.abs(one.reshape(-1) - other.reshape(-1)).max()) if one.size == other.size else float("inf")

"""Pairs of ONNX models made for testing: the DTLN's inputs and outputs, small, with random weights that pass speech."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from require import require

onnx = require("onnx", "pip install 'denoise-wrapper[training]'")
TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper

Array = NDArray[Any]


class Sketch:
    """Nodes and weights of a model as they are added. Values are named by strings."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def constant(self, name: str, values: Any) -> str:
        array = np.asarray(values, np.int64 if isinstance(values, list) else np.float32)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, list(outputs), **attributes))
        return outputs[0]

    def normal(self, *shape: int) -> Array:
        """Draw weights as large as the square root of their number of inputs asks for."""
        return self.random.standard_normal(shape) / np.sqrt(shape[-1])

    def two_lstms(self, signal: str, inputs: int, units: int, outputs: int, bias: float) -> str:
        """From [T, N, inputs] to a mask [T, N, outputs], of sigmoid(bias) where nothing is heard."""
        self.node("Split", ["state"], "h1", "c1", "h2", "c2", axis=0)
        one = self.constant("one", [1])
        for layer, width in ((1, inputs), (2, units)):
            weights = {
                "W": self.normal(1, 4 * units, width),
                "R": self.normal(1, 4 * units, units),
                "B": 0.1 * self.normal(1, 8 * units),
            }
            names = [self.constant(f"{name}{layer}", values) for name, values in weights.items()]
            every = self.node(
                "LSTM", [signal, *names, "", f"h{layer}", f"c{layer}"],
                f"all{layer}", f"h{layer}_out", f"c{layer}_out", hidden_size=units,
            )  # fmt: skip
            signal = self.node("Squeeze", [every, one], f"out{layer}")
        signal = self.node("MatMul", [signal, self.constant("dense", self.normal(units, outputs))], "product")
        self.node("Add", [signal, self.constant("bias", np.full(outputs, bias))], "logit")
        self.node("Concat", ["h1_out", "c1_out", "h2_out", "c2_out"], "state_out", axis=0)
        return self.node("Sigmoid", ["logit"], "mask")

    def model(self, signal: str, answer: str, width: int, units: int, free: bool, notes: dict[str, str]) -> bytes:
        channels, hops = ("N", "T") if free else (1, 1)
        ports = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (
                (signal, [hops, channels, width]),
                ("state", [4, channels, units]),
                (answer, [hops, channels, width]),
                ("state_out", [4, channels, units]),
            )
        ]
        graph = helper.make_graph(self.nodes, "sketch", ports[:2], ports[2:], self.weights)
        model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
        helper.set_model_props(model, notes)
        content: bytes = model.SerializeToString()
        return content


def make_pair(
    block: int = 512, units: int = 16, seed: int = 0, free: bool = True, notes: dict[str, str] | None = None
) -> tuple[bytes, bytes]:
    """(first, second) of a pair that lets most of a signal through, more or less of it by what it has heard.

    free: whether it takes any number of channels and hops, or one of each. notes: metadata of both.
    """
    bins, notes = block // 2 + 1, notes or {}
    first = Sketch(seed)
    first.node("Add", ["mag", first.constant("least", 1e-7)], "raised")
    # To a multiple of what a vector holds: the logarithm of what is left over is rounded otherwise.
    pads = first.constant("pads", [0, 0, 0, 0, 0, -bins % 16])
    first.node("Pad", ["raised", pads, first.constant("filling", 1.0)], "padded")
    first.node("Log", ["padded"], "levels")
    cut = [first.constant(name, [number]) for name, number in (("from", 0), ("to", bins), ("axis", 2))]
    first.node("Slice", ["levels", *cut], "level")
    scale, shift = first.constant("scale", np.ones(bins)), first.constant("shift", np.zeros(bins))
    first.node("LayerNormalization", ["level", scale, shift], "normal", axis=-1, epsilon=1e-7)
    first.two_lstms("normal", bins, units, bins, 2.0)

    second, half = Sketch(seed + 1), block // 2
    middle = np.eye(block)[:, block // 4 : -block // 4]  # each sample is in the middle half of two blocks
    second.node("MatMul", ["frame", second.constant("encode", middle)], "code")
    second.two_lstms("code", half, units, half, 1.0)
    second.node("Mul", ["code", "mask"], "kept")
    second.node("MatMul", ["kept", second.constant("decode", 0.5 * middle.T)], "frame_out")
    return (
        first.model("mag", "mask", bins, units, free, {**notes, "stage": "1"} if notes else {}),
        second.model("frame", "frame_out", block, units, free, {**notes, "stage": "2"} if notes else {}),
    )

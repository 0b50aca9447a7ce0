"""Streaming ONNX files of UL-UNAS and GTCRN: their weights, laid into our networks in the order of the graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from denoise_wrapper.errors import ModelError
from denoise_wrapper.training.dtln.onnx_weights import attribute, read_model
from denoise_wrapper.training.enhancer.bodies.parts import AffinePReLU, BandConv, CausalConv
from denoise_wrapper.training.enhancer.released.blocks import Banks
from denoise_wrapper.training.enhancer.released.frames import Released
from denoise_wrapper.training.enhancer.released.gtcrn import GTCRN
from denoise_wrapper.training.enhancer.released.ulunas import ULUNAS

Array = NDArray[Any]
Layers = dict[type[nn.Module], list[list[Array]]]

NETWORKS: dict[str, Callable[[], Released]] = {"tfa_cache": ULUNAS, "tra_cache": GTCRN}  # by an input that only it has
EPSILON = 1e-5  # of the batch norms
LAID = nn.GRU | nn.Linear | nn.LayerNorm | nn.PReLU | AffinePReLU  # whose parameters are laid in as they are


def read_streaming_onnx(path: Path) -> Released:
    """The network of a file. Raises FileError if it cannot be read, ModelError if it holds another network."""
    graph = read_model(path).graph
    kinds = [NETWORKS[item.name] for item in graph.input if item.name in NETWORKS]
    if len(kinds) != 1:
        inputs = ", ".join(item.name for item in graph.input)
        raise ModelError(f"{path} takes {inputs}; a streaming UL-UNAS takes tfa_cache, a streaming GTCRN tra_cache")
    network = kinds[0]()
    try:
        with torch.no_grad():
            fill(network, Graph(graph).layers())
    except (IndexError, KeyError, ValueError) as error:
        raise ModelError(f"{path} does not hold the layers of a {type(network).__name__}: {error}") from error
    return network.eval()


class Graph:
    """A graph's nodes and constants."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.users = {name: node for node in reversed(self.nodes) for name in node.input}  # the first of each value

    def layers(self) -> Layers:
        """The weights of each kind of layer, in torch's shapes, in the order in which the signal meets them."""
        layers: Layers = defaultdict(list)
        for node in self.nodes:
            constants = [self.constants[name] for name in node.input if name in self.constants]
            values = [value for value in constants if value.dtype.kind == "f" and value.size > 1]
            if node.op_type in ("Conv", "ConvTranspose"):
                layers[nn.Conv2d].append(self.convolution(node))
            elif node.op_type == "GRU":
                layers[nn.GRU].append(gru(*values[:3]))
            elif node.op_type == "PRelu":
                layers[nn.PReLU].append([self.constants[node.input[1]].reshape(-1)])
            elif node.op_type == "MatMul" and values:
                layers[nn.Linear].append([values[0].T, *self.added(node)])
            elif node.op_type == "Mul" and values and values[0].ndim == 2:
                layers[nn.LayerNorm].append([values[0], *self.added(node)])
            elif node.op_type == "Mul" and values and values[0].ndim == 4:
                scale = values[0]
                if scale.shape[3] > 1:
                    layers[AffinePReLU].append([part[0, :, 0].T for part in (scale, *self.added(node))])
                else:  # its slopes, which come next
                    layers[AffinePReLU][-1].append(scale.reshape(-1))
        return layers

    def added(self, node: onnx.NodeProto) -> list[Array]:
        """The constant that is added to what a node gives, if one is."""
        user = self.users.get(node.output[0])
        if user is None or user.op_type != "Add":
            return []
        return [self.constants[name] for name in user.input if name in self.constants]

    def convolution(self, node: onnx.NodeProto) -> list[Array]:
        """Weight and bias as a convolution has them, with the batch norm behind it multiplied in."""
        weight, bias = (self.constants[name] for name in node.input[1:3])
        if node.op_type == "ConvTranspose":
            weight = turned(weight, attribute(node, "group", 1))
        norm = self.users.get(node.output[0])
        while norm is not None and norm.op_type == "Slice":  # frames that the padding has made too many
            norm = self.users.get(norm.output[0])
        if norm is not None and norm.op_type == "BatchNormalization":
            scale, shift, mean, variance = (self.constants[name].astype(np.float64) for name in norm.input[1:5])
            gain = scale / np.sqrt(variance + attribute(norm, "epsilon", EPSILON))
            weight, bias = weight * gain[:, None, None, None], (bias - mean) * gain + shift
        return [weight, bias]


def turned(weight: Array, groups: int) -> Array:
    """The weight of a transposed convolution as that of a convolution: outputs first, taps in the other order."""
    inputs, outputs, *taps = weight.shape
    parts = weight.reshape(groups, inputs // groups, outputs, *taps).swapaxes(1, 2)
    return parts.reshape(groups * outputs, inputs // groups, *taps)[:, :, ::-1, ::-1]


def gru(kernel: Array, recurrent: Array, bias: Array) -> list[Array]:
    """A GRU's arrays in torch's order, one direction after the other: kernel, recurrent, both biases."""
    parts = []
    for direction in range(len(kernel)):
        rows = (kernel[direction], recurrent[direction], *np.split(bias[direction], 2))
        parts += [reordered(part) for part in rows]
    return parts


def reordered(rows: Array) -> Array:
    """Gates z, r, n to r, z, n."""
    update, reset, candidate = np.split(rows, 3)
    return np.concatenate([reset, update, candidate])


def fill(network: Released, layers: Layers) -> None:
    """Lay all weights into a network. Raises IndexError where they do not fit."""
    banks = next(part for part in network.modules() if isinstance(part, Banks))
    slots: dict[type[nn.Module], list[list[torch.Tensor]]] = defaultdict(list)
    for part in network.modules():
        if isinstance(part, BandConv | CausalConv):
            part.norm.weight.fill_((1.0 + part.norm.eps) ** 0.5)
            slots[nn.Conv2d].append([part.conv.weight, part.norm.bias])
        elif isinstance(part, LAID) and part is not banks.spread:  # whose turn comes last
            slots[type(part)].append(list(part.parameters()))
    slots[nn.Linear].append([banks.spread.weight])
    for kind in layers.keys() | slots.keys():
        if len(slots[kind]) != len(layers[kind]):
            raise IndexError(f"{len(layers[kind])} {kind.__name__} for {len(slots[kind])}")
        for targets, values in zip(slots[kind], layers[kind], strict=True):
            if [target.shape for target in targets] != [value.shape for value in values]:
                raise IndexError(f"{kind.__name__} of {[value.shape for value in values]}")
            for target, value in zip(targets, values, strict=True):
                target.copy_(torch.from_numpy(value.copy()))

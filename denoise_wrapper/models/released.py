"""What UL-UNAS and GTCRN released, a checkpoint of torch or a streaming ONNX, as layers.

Of either the layers are taken in the order in which the signal meets them, each kind for itself, in torch's shapes,
with norms folded into convolutions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.onnx_graph import Graph, Node, read_graph
from denoise_wrapper.models.torch_files import is_torch_file, read_torch_file

Array = NDArray[Any]
KINDS = ("ulunas", "gtcrn")  # by their number in the file
TITLES = {"ulunas": "UL-UNAS", "gtcrn": "GTCRN"}
CHANNELS = 16  # of a row in the middle of the network
EPSILON = 1e-5  # of the batch norms

CONVOLUTION, GRU, LINEAR, NORM, SLOPE, AFFINE = "convolution", "GRU", "linear map", "layer norm", "PReLU", "AffinePReLU"
Layers = dict[str, list[list[Array]]]


class Shape(NamedTuple):
    """A block of UL-UNAS's encoder; of its decoder with inputs and outputs, before and after in turn."""

    inputs: int
    outputs: int
    before: int  # bands
    after: int
    times: int  # taps in time
    taps: int  # and in frequency
    leaves: bool


ENCODER = (
    Shape(1, 12, 129, 65, 3, 3, False),
    Shape(12, 24, 65, 33, 2, 3, True),
    Shape(24, 24, 33, 33, 2, 3, False),
    Shape(24, 32, 33, 33, 1, 5, True),
    Shape(32, 16, 33, 33, 1, 5, False),
)


def read_layers(data: bytes) -> tuple[str, Layers]:
    """Which of KINDS a released file is, and its layers. Raises ModelError for a damaged file and another network's."""
    return checkpoint_layers(read_torch_file(data)) if is_torch_file(data) else graph_layers(read_graph(data))


# ---- layers of a checkpoint ----


def checkpoint_layers(weights: Mapping[str, Array]) -> tuple[str, Layers]:
    kind = "ulunas" if "dpgrnn.0.intra_fc.weight" in weights else "gtcrn"
    layers: Layers = defaultdict(list)
    try:
        (ulunas_checkpoint if kind == "ulunas" else gtcrn_checkpoint)(Checkpoint(weights, layers))
        layers[LINEAR] = [
            [weights["erb.erb_fc.weight"]],
            *layers[LINEAR],
            [weights["erb.ierb_fc.weight"]],
        ]
    except KeyError as error:
        raise ModelError(
            f"the checkpoint has no {error.args[0]}; one of UL-UNAS (16 kHz) or GTCRN is wanted, with all its weights"
        ) from error
    except ValueError as error:
        raise ModelError(f"the checkpoint is not of {TITLES[kind]} at 16 kHz: {error}") from error
    return kind, layers


class Checkpoint:
    """Weights by torch's names, laid into layers."""

    def __init__(self, weights: Mapping[str, Array], layers: Layers) -> None:
        self.weights, self.layers = weights, layers

    def convolution(self, name: str, norm: str, transposed: bool = False, groups: int = 1) -> None:
        """Add a convolution with the batch norm behind it."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        if transposed:
            weight = _turned(weight, groups)
        parts = [self.weights[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        self.layers[CONVOLUTION].append(_folded(weight, bias, parts, EPSILON))

    def gru(self, name: str, reverse: bool = False) -> None:
        """Add a GRU, of both directions if it says so."""
        suffixes = ("", "_reverse") if reverse else ("",)
        parts = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        self.layers[GRU].append([self.weights[f"{name}.{part}{suffix}"] for suffix in suffixes for part in parts])

    def pair(self, kind: str, name: str) -> None:
        """Add a layer of a weight and a bias."""
        self.layers[kind].append([self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]])

    def affine(self, name: str) -> None:
        """Add scales and offsets, as rows of channels, and slopes."""
        parts = [self.weights[f"{name}.{part}"] for part in ("affine_weight", "affine_bias", "slope_weight")]
        self.layers[AFFINE].append([parts[0].T, parts[1].T, parts[2]])

    def path(self, name: str) -> None:
        """Add GRUs along rows and along time."""
        for part, reverse in (("intra", True), ("inter", False)):
            for number in (1, 2):
                self.gru(f"{name}.{part}_rnn.rnn{number}", reverse)
            self.pair(LINEAR, f"{name}.{part}_fc")
            self.pair(NORM, f"{name}.{part}_ln")


def ulunas_checkpoint(checkpoint: Checkpoint) -> None:
    for number in range(len(ENCODER)):
        _ulunas_block(checkpoint, f"encoder.en_convs.{number}", ENCODER[number], False)
    for number in range(2):
        checkpoint.path(f"dpgrnn.{number}")
    for number, shape in enumerate(reversed(ENCODER)):
        _ulunas_block(checkpoint, f"decoder.de_convs.{number}", shape, True)


def _ulunas_block(checkpoint: Checkpoint, name: str, shape: Shape, decoder: bool) -> None:
    if shape.inputs == 1:
        checkpoint.convolution(f"{name}.ops.1", f"{name}.ops.2", decoder)
        if not decoder:
            checkpoint.affine(f"{name}.ops.3")
        gates = f"{name}.ops.4"
    else:
        outputs = shape.inputs if decoder else shape.outputs
        enter = f"{name}.pconv1" if shape.leaves else f"{name}.pconv"
        checkpoint.convolution(f"{enter}.0", f"{enter}.1")
        checkpoint.affine(f"{enter}.2")
        checkpoint.convolution(f"{name}.dconv.1", f"{name}.dconv.2", decoder, outputs)
        checkpoint.affine(f"{name}.dconv.3")
        gates = f"{name}.dconv.4"
        if shape.leaves:
            checkpoint.convolution(f"{name}.pconv2.0", f"{name}.pconv2.1")
            gates = f"{name}.pconv2.2"
    checkpoint.gru(f"{gates}.ta_gru")
    checkpoint.pair(LINEAR, f"{gates}.ta_fc")
    checkpoint.gru(f"{gates}.fa.gru", reverse=True)
    checkpoint.pair(LINEAR, f"{gates}.fa.fc")


def gtcrn_checkpoint(checkpoint: Checkpoint) -> None:
    for number in range(5):
        _gtcrn_block(checkpoint, f"encoder.en_convs.{number}", number >= 2, False, number)
    for number in (1, 2):
        checkpoint.path(f"dpgrnn{number}")
    for number in range(5):
        _gtcrn_block(checkpoint, f"decoder.de_convs.{number}", number < 3, True, 4 - number)


def _gtcrn_block(checkpoint: Checkpoint, name: str, works: bool, decoder: bool, depth: int) -> None:
    if not works:
        checkpoint.convolution(f"{name}.conv", f"{name}.bn", decoder, 2 if depth == 1 else 1)
        if not (decoder and depth == 0):
            checkpoint.layers[SLOPE].append([checkpoint.weights[f"{name}.act.weight"]])
        return
    for part, groups in (("point_{}1", 1), ("depth_{}", CHANNELS), ("point_{}2", 1)):
        checkpoint.convolution(f"{name}.{part.format('conv')}", f"{name}.{part.format('bn')}", decoder, groups)
        act = f"{name}.{part.format('act').rstrip('12')}.weight"
        if not part.endswith("2"):
            checkpoint.layers[SLOPE].append([checkpoint.weights[act]])
    checkpoint.gru(f"{name}.tra.att_gru")
    checkpoint.pair(LINEAR, f"{name}.tra.att_fc")


# ---- layers of a streaming ONNX ----

_BY_INPUT = {"tfa_cache": "ulunas", "tra_cache": "gtcrn"}  # that only that network takes


def graph_layers(graph: Graph) -> tuple[str, Layers]:
    kinds = [_BY_INPUT[name] for name in graph.inputs if name in _BY_INPUT]
    if len(kinds) != 1:
        raise ModelError(
            f"the ONNX model takes {', '.join(graph.inputs) or 'nothing'}; a streaming UL-UNAS takes tfa_cache, and a "
            "streaming GTCRN tra_cache"
        )
    layers: Layers = defaultdict(list)
    try:
        users = {name: node for node in reversed(graph.nodes) for name in node.inputs}  # the first of each value
        for node in graph.nodes:
            _add_layer(layers, node, graph.constants, users)
    except (LookupError, ValueError, AttributeError) as error:
        raise ModelError(f"the ONNX model does not hold {TITLES[kinds[0]]} as it was released: {error!r}") from error
    return kinds[0], layers


def _add_layer(layers: Layers, node: Node, constants: Mapping[str, Array], users: Mapping[str, Node]) -> None:
    known = [constants[name] for name in node.inputs if name in constants]
    values = [value for value in known if value.dtype.kind == "f" and value.size > 1]
    if node.operator in ("Conv", "ConvTranspose"):
        layers[CONVOLUTION].append(_graph_convolution(node, constants, users))
    elif node.operator == "GRU":
        layers[GRU].append(_graph_gru(*(constants[name] for name in node.inputs[1:4])))
    elif node.operator == "PRelu":
        layers[SLOPE].append([constants[node.inputs[1]].reshape(-1)])
    elif node.operator == "MatMul" and values:
        layers[LINEAR].append([values[0].T, *_added(node, constants, users)])
    elif node.operator == "Mul" and values and values[0].ndim == 2:
        layers[NORM].append([values[0], *_added(node, constants, users)])
    elif node.operator == "Mul" and values and values[0].ndim == 4:
        if values[0].shape[3] > 1:
            layers[AFFINE].append([part[0, :, 0].T for part in (values[0], *_added(node, constants, users))])
        else:  # its slopes, which come next
            layers[AFFINE][-1].append(values[0].reshape(-1))


def _added(node: Node, constants: Mapping[str, Array], users: Mapping[str, Node]) -> list[Array]:
    """The constant that is added to what a node gives, if one is."""
    user = users.get(node.outputs[0])
    if user is None or user.operator != "Add":
        return []
    return [constants[name] for name in user.inputs if name in constants]


def _graph_convolution(node: Node, constants: Mapping[str, Array], users: Mapping[str, Node]) -> list[Array]:
    weight, bias = constants[node.inputs[1]], constants[node.inputs[2]]
    if node.operator == "ConvTranspose":
        weight = _turned(weight, int(node.attributes.get("group", 1)))
    norm = users.get(node.outputs[0])
    for _ in range(len(users)):
        if norm is None or norm.operator != "Slice":  # frames that the padding has made too many
            break
        norm = users.get(norm.outputs[0])
    if norm is None or norm.operator != "BatchNormalization":
        return [weight, bias]
    return _folded(weight, bias, [constants[name] for name in norm.inputs[1:5]], EPSILON)


def _graph_gru(kernel: Array, recurrent: Array, bias: Array) -> list[Array]:
    """A GRU's arrays in torch's order, one direction after the other: kernel, recurrent, both biases."""
    parts = []
    for direction in range(len(kernel)):
        for rows in (kernel[direction], recurrent[direction], *np.split(bias[direction], 2)):
            update, reset, new = np.split(rows, 3)
            parts.append(np.concatenate([reset, update, new]))
    return parts


def _folded(weight: Array, bias: Array, norm: Sequence[Array], epsilon: float) -> list[Array]:
    """A convolution with the batch norm behind it multiplied in. norm: scale, shift, mean, variance."""
    scale, shift, mean, variance = norm
    gain = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    return [weight * gain[:, None, None, None], (bias - mean.astype(np.float64)) * gain + shift]


def _turned(weight: Array, groups: int) -> Array:
    """The weight of a transposed convolution as that of a convolution: outputs first, taps in the other order."""
    inputs, outputs, *taps = weight.shape
    parts = weight.reshape(groups, inputs // groups, outputs, *taps).swapaxes(1, 2)
    return parts.reshape(groups * outputs, inputs // groups, *taps)[:, :, ::-1, ::-1]

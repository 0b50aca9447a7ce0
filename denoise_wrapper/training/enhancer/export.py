"""The enhancer as what the engine reads: norms folded into the maps before them, weights as rows of channels."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.enhancer import KINDS, Sizes, encode_enhancer
from denoise_wrapper.training.enhancer.bodies.depthwise import Depthwise, DepthwiseBlock, Doubling, DualPath
from denoise_wrapper.training.enhancer.bodies.mixed import Mixed, MixedBlock
from denoise_wrapper.training.enhancer.bodies.parts import (
    AffinePReLU,
    BandConv,
    CausalConv,
    NarrowAttention,
    RowAttention,
    RowMap,
    folded,
)
from denoise_wrapper.training.enhancer.bodies.recurrent import TimeAttention
from denoise_wrapper.training.enhancer.bodies.rows import DecoderBlock, RowBlock, Rows
from denoise_wrapper.training.enhancer.network import Enhancer

Array = NDArray[Any]
Named = Iterator[tuple[str, Array]]


def encode_network(network: Enhancer, metadata: Mapping[str, Any], float16: bool = False) -> bytes:
    """The bytes of a model file of the network as it is in evaluation mode. float16: weights in 16 bits.

    metadata: `name`, `licence`, `origin` should be there; the guide's name is put in. Raises ModelError for a body that
    the engine has not, and for weights that are not finite.
    """
    network = copy.deepcopy(network).cpu().double().eval()
    body = network.body
    if isinstance(body, Mixed):
        sizes, weights = mixed_sizes(body), mixed_weights(body)
    elif isinstance(body, Rows):
        sizes, weights = rows_sizes(body), rows_weights(body)
    elif isinstance(body, Depthwise):
        sizes, weights = depthwise_sizes(body), depthwise_weights(body)
    else:
        raise ModelError(f"the engine runs bodies of kind {', '.join(KINDS)}; train one of these")
    sizes = sizes._replace(taps=network.taps, guided=network.is_guided)
    notes = {**metadata, **network.notes}
    return encode_enhancer(sizes, dict([*weights, *shell_weights(network)]), notes, float16)


def mixed_sizes(body: Mixed) -> Sizes:
    """The sizes that the file tells."""
    block = first_block(body)
    heads = 1 if block.attention is None else block.attention.heads  # the last one has none
    return Sizes(
        "mixed", body.join.conv.out_channels, body.width, body.rows, len(body.blocks), block.memory.units, heads
    )


def first_block(body: Mixed) -> MixedBlock:
    """Any of the blocks, which are alike in size."""
    block = body.blocks[0]
    assert isinstance(block, MixedBlock)
    return block


def mixed_weights(body: Mixed) -> Named:
    """Weights of the body, by the names of their records."""
    yield from conv_weights("first", body.first)
    for number, block in enumerate(body.blocks):
        assert isinstance(block, MixedBlock)
        yield from block_weights(f"block{number}", block)
    yield from conv_weights("join", body.join)
    last = body.last
    yield "last_weights", array(last.weight[:, :, 0].permute(0, 2, 1))  # [inputs][taps][outputs]
    assert last.bias is not None
    yield "last_bias", array(last.bias)


def block_weights(name: str, block: MixedBlock) -> Named:
    """Weights of a block; the queries are scaled here."""
    yield f"{name}_memory_weights", array(block.memory.matrix.weight.T)
    yield f"{name}_memory_bias", array(block.memory.bias)
    yield from row_weights(f"{name}_after_memory", block.after_memory)
    yield from conv_weights(f"{name}_enter", block.enter)
    yield from conv_weights(f"{name}_filter", block.conv)
    yield from conv_weights(f"{name}_leave", block.leave)
    if block.attention is None or block.after_attention is None:
        return
    scale = np.ones(block.attention.queries.out_features)
    scale[: len(scale) // 2] = NarrowAttention.KEYS**-0.5
    yield f"{name}_queries_weights", array(block.attention.queries.weight.T) * scale
    yield f"{name}_queries_bias", array(block.attention.places) * scale
    yield from row_weights(f"{name}_after_attention", block.after_attention)


def rows_sizes(body: Rows) -> Sizes:
    """The sizes that the file tells."""
    attention = body.get_submodule("blocks.0.attention")
    assert isinstance(attention, RowAttention)
    channels, units = body.widen.matrix.out_features, body.widen.matrix.in_features
    convolutions = len(body.encoder)
    return Sizes("rows", channels, body.width, body.rows, len(body.blocks), units, attention.heads, convolutions)


def rows_weights(body: Rows) -> Named:
    """Weights of the body, by the names of their records."""
    yield from conv_weights("first", body.first)
    yield "gather_weights", array(body.gather.weight)
    yield "spread_weights", array(body.spread.weight)
    yield from row_weights("narrow", body.narrow)
    yield from row_weights("widen", body.widen)
    for number, block in enumerate(body.blocks):
        assert isinstance(block, RowBlock)
        yield from row_block_weights(f"block{number}", block)
    for number, conv in enumerate(body.encoder):
        assert isinstance(conv, BandConv)
        yield from conv_weights(f"encoder{number}", conv)
    for number, decoder in enumerate(body.decoder):
        assert isinstance(decoder, DecoderBlock)
        yield from conv_weights(f"join{number}", decoder.join)
        if decoder.conv is not None:
            yield from conv_weights(f"decoder{number}", decoder.conv)
    yield "last_weights", array(body.last.weight[:, :, 0].permute(0, 2, 1))
    assert body.last.bias is not None
    yield "last_bias", array(body.last.bias)


def row_block_weights(name: str, block: RowBlock) -> Named:
    """Weights of a block: the gates as z, r, n, the biases of z and r in one, what tells rows apart as a bias."""
    yield from gru_weights(f"{name}_input", f"{name}_recurrent", block.gru.gru)
    (_, weights), (_, offset) = row_weights(name, block.after_gru)
    yield f"{name}_after_gru_weights", weights
    yield f"{name}_after_gru_bias", offset if block.places is None else offset + array(block.places)
    queries = array(block.attention.queries.weight.T).copy()
    queries[:, : block.attention.channels] *= (block.attention.channels // block.attention.heads) ** -0.5
    yield f"{name}_queries_weights", queries
    yield from row_weights(f"{name}_after_attention", block.after_attention)


def depthwise_sizes(body: Depthwise) -> Sizes:
    """The sizes that the file tells."""
    channels, units = body.widen.matrix.out_features, body.widen.matrix.in_features
    return Sizes("depthwise", channels, body.width, body.rows, len(body.paths), units, 1, len(body.encoder))


def depthwise_weights(body: Depthwise) -> Named:
    """Weights of the body, by the names of their records, channels and groups in the order in which they lie."""
    yield from conv_weights("first", body.first)
    yield from bend_weights("first_bend", body.bend)
    for part, blocks in (("halving", body.halving), ("encoder", body.encoder), ("decoder", body.decoder)):
        for number, block in enumerate(blocks):
            assert isinstance(block, DepthwiseBlock)
            yield from depthwise_block_weights(f"{part}{number}", block)
    yield from row_weights("narrow", body.narrow)
    yield from row_weights("widen", body.widen)
    for number, path in enumerate(body.paths):
        assert isinstance(path, DualPath)
        yield from path_weights(f"path{number}", path)
    for number, doubling in enumerate(reversed(body.doubling)):
        assert isinstance(doubling, Doubling)
        dealt = shuffled(doubling.map.conv.out_channels)
        weights, bias = group_map(doubling.map)
        yield f"doubling{number}_map_weights", weights[:, dealt]
        yield f"doubling{number}_map_bias", bias[dealt]
        yield from bend_weights(f"doubling{number}_bend", doubling.bend)
    assert body.last.bias is not None
    yield "last_weights", array(body.last.weight[:, :, 0].permute(2, 1, 0))
    yield "last_bias", array(body.last.bias)


def depthwise_block_weights(name: str, block: DepthwiseBlock) -> Named:
    """Weights of a block; what is shuffled after a map or after the gains comes out of it so."""
    dealt = shuffled(block.conv.conv.out_channels)
    weights, bias = group_map(block.enter)
    yield f"{name}_enter_weights", weights[:, dealt]
    yield f"{name}_enter_bias", bias[dealt]
    yield from bend_weights(f"{name}_bend_first", block.bend, dealt)
    yield from conv_weights(f"{name}_filter", block.conv)
    yield from bend_weights(f"{name}_bend", block.bend_again)
    weights, bias = group_map(block.leave)
    yield f"{name}_leave_weights", weights[:, dealt]
    yield f"{name}_leave_bias", bias[dealt]
    yield from time_weights(name, block.attention, dealt)


def path_weights(name: str, path: DualPath) -> Named:
    """Weights of GRUs along rows and along time."""
    parts: dict[str, list[Array]] = {}
    for suffix in ("", "_reverse"):
        for part, values in gru_weights("input", "recurrent", path.along_rows.gru, suffix):
            parts.setdefault(part, []).append(values)
    yield f"{name}_rows_input_weights", np.concatenate(parts["input_weights"], axis=1)
    yield f"{name}_rows_input_bias", np.concatenate(parts["input_bias"])
    yield f"{name}_rows_recurrent_weights", np.stack(parts["recurrent_weights"])
    yield f"{name}_rows_recurrent_bias", np.stack([np.split(bias, 3)[2] for bias in parts["recurrent_bias"]])
    yield from row_weights(f"{name}_rows_map", path.after_rows)
    yield from gru_weights(f"{name}_time_input", f"{name}_time_recurrent", path.along_time.gru)
    yield from row_weights(f"{name}_time_map", path.after_time)


def time_weights(name: str, attention: TimeAttention, order: Array) -> Named:
    """Weights of gains by the power of channels that lie in this order."""
    for part, values in gru_weights(f"{name}_time_input", f"{name}_time_recurrent", attention.gru):
        yield part, values[order] if part.endswith("input_weights") else values
    yield f"{name}_time_map_weights", array(attention.dense.weight.T)[:, order]
    yield f"{name}_time_map_bias", array(attention.dense.bias)[order]


def gru_weights(input_name: str, recurrent_name: str, gru: nn.GRU, suffix: str = "") -> Named:
    """Weights of a GRU as two maps, the biases of z and r in the first. suffix: of one direction's parameters."""
    part = dict(gru.named_parameters())
    bias, recurrent_bias = gates(part[f"bias_ih_l0{suffix}"]), gates(part[f"bias_hh_l0{suffix}"])
    shared = 2 * gru.hidden_size
    bias[:shared] += recurrent_bias[:shared]
    recurrent_bias[:shared] = 0.0
    yield f"{input_name}_weights", gates(part[f"weight_ih_l0{suffix}"]).T
    yield f"{input_name}_bias", bias
    yield f"{recurrent_name}_weights", gates(part[f"weight_hh_l0{suffix}"]).T
    yield f"{recurrent_name}_bias", recurrent_bias


def bend_weights(name: str, bend: AffinePReLU, order: Array | slice = slice(None)) -> Named:
    """Weights of a bend whose channels come in this order."""
    yield f"{name}_scale", array(bend.scale)[:, order]
    yield f"{name}_offset", array(bend.offset)[:, order]
    yield f"{name}_slope", array(bend.slope)[order]


def group_map(part: BandConv) -> tuple[Array, Array]:
    """A map of channel groups as one matrix [inputs][outputs], zeros between the groups, and its bias."""
    scale, offset = folded(part.norm)
    matrix = torch.block_diag(*part.conv.weight[:, :, 0, 0].chunk(part.conv.groups))
    return array(matrix.T * scale), array(offset)


def shuffled(channels: int) -> Array:
    """The channels as they lie after `parts.shuffle`, by what they were before."""
    return np.arange(channels).reshape(2, -1).T.ravel()


def gates(tensor: Tensor) -> Array:
    """A GRU's rows r, z, n of torch as z, r, n."""
    reset, update, new = np.split(array(tensor), 3)
    return np.concatenate([update, reset, new])


def shell_weights(network: Enhancer) -> Named:
    """Weights of what is around every body."""
    for name, head in (("low_head", network.low_head), ("upper_head", network.upper_head)):
        yield from dense_weights(name, head.weight[:, :, 0, 0], head.bias)
    for name, index in (("voice_hidden", 0), ("voice_output", 2)):
        layer = network.voice_head[index]
        assert isinstance(layer, nn.Linear)
        yield from dense_weights(name, layer.weight, layer.bias)


def conv_weights(name: str, part: BandConv | CausalConv) -> Named:
    """A convolution with its norm folded in: weights [times][bands][inputs][outputs]."""
    scale, offset = folded(part.norm)
    yield f"{name}_weights", array(part.conv.weight.permute(2, 3, 1, 0) * scale)
    yield f"{name}_bias", array(offset)


def row_weights(name: str, part: RowMap) -> Named:
    """A matrix with its norm folded in: weights [inputs][outputs]."""
    scale, offset = folded(part.norm)
    yield f"{name}_weights", array(part.matrix.weight.T * scale)
    yield f"{name}_bias", array(offset)


def dense_weights(name: str, weight: Tensor, bias: Tensor | None) -> Named:
    """A matrix [outputs, inputs] and its bias: weights [inputs][outputs]."""
    assert bias is not None
    yield f"{name}_weights", array(weight.T)
    yield f"{name}_bias", array(bias)


def array(tensor: Tensor) -> Array:
    return tensor.detach().numpy()

"""Records of named arrays, which model files are made of, and the weights of a v0.2 network in and out of them.

Of each linear map NAME: `NAME_bias`, and `NAME_weights_float` or `NAME_weights_int8` with `NAME_scale` and
`NAME_subias`; `NAME_weights_idx` and `NAME_weights_diag` where only blocks of 8 outputs x 4 inputs are stored.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ModelError

Float32 = NDArray[np.float32]
MAP_NAMES = ("conv1", "conv2", "gru1_input", "gru1_recurrent", "gru2_input", "gru2_recurrent", "gru3_input",
             "gru3_recurrent", "dense_out", "vad_dense")  # fmt: skip
HEAD = struct.Struct("<4siiii44s")
FLOAT, INT32, INT8, FLOAT16 = 0, 1, 3, 4
_DTYPES = {FLOAT: "<f4", INT32: "<i4", INT8: "i1", FLOAT16: "<f2"}
STEPS, PAIR_STEPS = 127, 129  # of int8: the largest weight of a column, and the sum of two neighbours


@dataclass(frozen=True, eq=False)
class MapWeights:
    """A linear map y = x W + b: weights float32 (inputs, outputs), bias float32 (outputs,); int8: to be stored so."""

    weights: Float32
    bias: Float32
    int8: bool


def record(name: str, kind: int, payload: bytes) -> bytes:
    """A head of 64 bytes, and the payload padded with zeros to a multiple of 64. kind: FLOAT, INT32, INT8, FLOAT16."""
    room = -(-len(payload) // 64) * 64
    return HEAD.pack(b"DNNw", 0, kind, len(payload), room, name.encode("ascii")) + payload.ljust(room, b"\0")


def column_scales(weights: Float32) -> Float32:
    """One step of int8 for each column of (inputs, outputs), inputs even.

    No weight is beyond 127 steps, no sum of the weights of two neighbouring inputs beyond 129.
    """
    pairs = np.abs(weights[0::2] + weights[1::2]).max(axis=0) / PAIR_STEPS
    return np.maximum(np.maximum(np.abs(weights).max(axis=0) / STEPS, pairs), 1e-12).astype(np.float32)


def encode_blob(maps: Mapping[str, MapWeights]) -> bytes:
    """The bytes of a weights blob. maps: one for each of MAP_NAMES.

    Raises ModelError for weights that are not finite, or cannot be stored in 8 bits for their shape.
    """
    return b"".join(_encode_map(name, maps[name]) for name in MAP_NAMES)


def _encode_map(name: str, item: MapWeights) -> bytes:
    inputs, outputs = item.weights.shape
    if not (np.isfinite(item.weights).all() and np.isfinite(item.bias).all()):
        raise ModelError(f"{name}: its weights are not all finite; go back to an earlier checkpoint")
    if not item.int8:
        return _floats(f"{name}_weights_float", item.weights) + _floats(f"{name}_bias", item.bias)
    if inputs % 4 or outputs % 8:
        raise ModelError(f"{name}: int8 weights have 4n inputs and 8n outputs, not {inputs} and {outputs}")
    step = column_scales(item.weights)
    steps = np.clip(np.rint(item.weights / step), -STEPS, STEPS).astype(np.int8)
    blocks = steps.reshape(inputs // 4, 4, outputs // 8, 8).transpose(2, 0, 3, 1)
    scale = step / np.float32(127.0)
    subias = item.bias - scale * steps.sum(axis=0, dtype=np.int32) * np.float32(127.0)
    return b"".join([
        record(f"{name}_weights_int8", INT8, blocks.tobytes()),
        _floats(f"{name}_subias", subias),
        _floats(f"{name}_scale", scale),
        _floats(f"{name}_bias", item.bias),
    ])  # fmt: skip


def _floats(name: str, values: NDArray[Any]) -> bytes:
    return record(name, FLOAT, np.ascontiguousarray(values, "<f4").tobytes())


def decode_blob(data: bytes) -> dict[str, MapWeights]:
    """The maps of a blob that the engine has loaded, int8 and sparse ones as the floats that they stand for."""
    arrays = read_records(data)
    return {name: _decode_map(name, arrays) for name in MAP_NAMES}


def read_records(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a file that the engine has loaded, by name, flat."""
    arrays: dict[str, NDArray[Any]] = {}
    place = 0
    while place < len(data):
        _, _, kind, size, room, name = HEAD.unpack_from(data, place)
        payload = data[place + HEAD.size : place + HEAD.size + size]
        key = name.rstrip(b"\0").decode("ascii", "replace")
        if kind in _DTYPES and key not in arrays:
            arrays[key] = np.frombuffer(payload, _DTYPES[kind])
        place += HEAD.size + room
    return arrays


def _decode_map(name: str, arrays: Mapping[str, NDArray[Any]]) -> MapWeights:
    bias = arrays[f"{name}_bias"]
    outputs = len(bias)
    stored, index = arrays.get(f"{name}_weights_float"), arrays.get(f"{name}_weights_idx")
    is_int8 = stored is None
    if stored is None:
        stored = arrays[f"{name}_weights_int8"]
    inputs = _inputs(name, arrays)
    if index is None and not is_int8:
        return MapWeights(stored.reshape(inputs, outputs), bias, False)
    weights = np.zeros((outputs // 8, inputs, 8), np.float32)
    shape = (-1, 8, 4) if is_int8 else (-1, 4, 8)
    blocks = stored.reshape(shape).transpose(0, 2, 1) if is_int8 else stored.reshape(shape)
    if index is None:
        weights[:] = blocks.reshape(outputs // 8, inputs, 8)
    else:
        at = used = 0
        for group in range(outputs // 8):
            count = int(index[at])
            for start in index[at + 1 : at + 1 + count]:
                weights[group, start : start + 4] = blocks[used]
                used += 1
            at += 1 + count
    whole: Float32 = weights.transpose(1, 0, 2).reshape(inputs, outputs)
    if is_int8:
        whole *= arrays[f"{name}_scale"] * np.float32(127.0)
    diagonal = arrays.get(f"{name}_weights_diag")
    if diagonal is not None:
        for gate in range(outputs // inputs):
            columns = np.arange(inputs) + gate * inputs
            whole[np.arange(inputs), columns] += diagonal[columns]
    return MapWeights(np.ascontiguousarray(whole, np.float32), bias, is_int8)


def _inputs(name: str, arrays: Mapping[str, NDArray[Any]]) -> int:
    """Inputs of a map, which the layer before it tells."""
    units = len(arrays["conv2_bias"])
    if name == "conv1":
        return len(arrays["conv1_weights_float"]) // len(arrays["conv1_bias"])
    if name == "conv2":
        return 3 * len(arrays["conv1_bias"])
    return 4 * units if name in ("dense_out", "vad_dense") else units

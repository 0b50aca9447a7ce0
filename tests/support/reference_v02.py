"""The network of RNNoise 0.2, slow and plain, in float64, written from its formulas and not from the engine."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import reference_signal
from blobs import record
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Records = dict[str, NDArray[Any]]


def read_records(blob: bytes) -> Records:
    """The arrays of a weights blob by name."""
    records, at = {}, 0
    while at < len(blob):
        kind, size, block = struct.unpack_from("<iii", blob, at + 8)
        name = blob[at + 20 : at + 64].split(b"\0")[0].decode("ascii")
        records[name] = np.frombuffer(blob, ["<f4", "<i4", "i1", "i1"][kind], size // (4 if kind < 2 else 1), at + 64)
        at += 64 + block
    return records


def without_integers(blob: bytes) -> bytes:
    """Copy a network with its int8 weights as the floats that they stand for."""
    records = read_records(blob)
    parts = []
    for name, values in records.items():
        layer = name.removesuffix("_weights_int8")
        if name.endswith("_weights_int8"):
            if f"{layer}_weights_float" in records:
                continue
            outputs = len(records[f"{layer}_bias"])
            parts.append(record(f"{layer}_weights_float", _floats(records, layer, len(values) // outputs)))
        elif not name.endswith(("_scale", "_subias")):
            parts.append(record(name, values))
    return b"".join(parts)


def _floats(records: Records, layer: str, inputs: int) -> NDArray[np.float32]:
    """The int8 weights of a layer: [inputs][outputs], or blocks [4 inputs][8 outputs] where it has an index."""
    scale, index = records[f"{layer}_scale"] * np.float32(127), records.get(f"{layer}_weights_idx")
    blocks = records[f"{layer}_weights_int8"].reshape(-1, 8, 4)
    if index is None:
        whole = blocks.reshape(-1, inputs // 4, 8, 4).transpose(1, 3, 0, 2).reshape(inputs, -1)
        return np.asarray(whole * scale, "<f4")
    counts, at = [], 0
    while at < len(index):
        counts.append(index[at])
        at += 1 + index[at]
    scales = np.repeat(scale.reshape(-1, 1, 8), counts, axis=0)
    return np.asarray(blocks.transpose(0, 2, 1) * scales, "<f4").ravel()


class Map:
    """y = W x + bias + diagonal * x, in whatever form the records have it."""

    def __init__(self, records: Records, name: str, inputs: int, rounded: bool) -> None:
        self.bias = records[f"{name}_bias"].astype(np.float64)
        outputs, is_float = len(self.bias), f"{name}_weights_float" in records
        weights = records[f"{name}_weights_float" if is_float else f"{name}_weights_int8"].astype(np.float64)
        index = records.get(f"{name}_weights_idx")
        if is_float and index is None:
            self.matrix = weights.reshape(inputs, outputs).T.copy()
        else:
            if index is None:
                index = np.array([[inputs // 4, *range(0, inputs, 4)]] * (outputs // 8)).ravel()
            self.matrix = np.zeros((outputs, inputs))
            blocks = iter(weights.reshape(-1, 4, 8).transpose(0, 2, 1) if is_float else weights.reshape(-1, 8, 4))
            at = 0
            for row in range(0, outputs, 8):
                count, at = index[at], at + 1 + index[at]
                for column in index[at - count : at]:
                    self.matrix[row : row + 8, column : column + 4] = next(blocks)
        if not is_float:
            self.matrix *= 127 * records[f"{name}_scale"].astype(np.float64)[:, None]
        self.rounded = rounded and not is_float
        self.diagonal = records.get(f"{name}_weights_diag")

    def __call__(self, x: Float64) -> Float64:
        steps = np.floor(0.5 + 127 * x) / 127 if self.rounded else x
        y = steps @ self.matrix.T + self.bias
        if self.diagonal is not None:
            y += self.diagonal * np.tile(x, y.shape[-1] // x.shape[-1])
        return np.asarray(y)


def sigmoid(x: Float64) -> Float64:
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))


class Network:
    """Features (65,) to (gains (32,), probability of speech), frame by frame.

    Of many frames at once, each from a memory of its own, all arrays are (frames, ...).
    rounded: the inputs of int8 maps in steps of 1/127, as an engine takes them that computes with integers.
    """

    look_ahead = True

    def __init__(self, blob: bytes, rounded: bool = False) -> None:
        records = read_records(blob)
        self.first, self.units = len(records["conv1_bias"]), len(records["conv2_bias"])
        first, n = self.first, self.units

        def read(name: str, inputs: int) -> Map:
            return Map(records, name, inputs, rounded)

        self.conv1, self.conv2 = read("conv1", 3 * 65), read("conv2", 3 * first)
        self.grus = [(read(f"gru{g}_input", n), read(f"gru{g}_recurrent", n)) for g in (1, 2, 3)]
        self.out, self.vad = read("dense_out", 4 * n), read("vad_dense", 4 * n)
        # What the convolutions have seen, the oldest first.
        self.past1: Float64 = np.zeros(2 * 65)
        self.past2: Float64 = np.zeros(2 * first)
        self.seen: list[Float64] = [np.zeros(n) for _ in range(4)]  # by the last layers: conv2, gru1, gru2, gru3

    def run(self, features: Float64) -> tuple[Float64, Any]:
        self.past1 = np.concatenate([self.past1, features], axis=-1)
        first = np.tanh(self.conv1(self.past1))
        self.past2 = np.concatenate([self.past2, first], axis=-1)
        self.seen[0] = np.tanh(self.conv2(self.past2))
        self.past1, self.past2 = self.past1[..., features.shape[-1] :], self.past2[..., self.first :]
        for g, (of_input, recurrent) in enumerate(self.grus):
            h = self.seen[g + 1]
            wz, wr, wn = np.split(of_input(self.seen[g]), 3, axis=-1)
            uz, ur, un = np.split(recurrent(h), 3, axis=-1)
            z, r = sigmoid(wz + uz), sigmoid(wr + ur)
            self.seen[g + 1] = z * h + (1 - z) * np.tanh(wn + r * un)
        together = np.concatenate(self.seen, axis=-1)
        return sigmoid(self.out(together)), sigmoid(self.vad(together))[..., 0]


class Denoiser(reference_signal.Denoiser):
    """All of it, for a weights blob: audio at 48 kHz, full scale +-1, late by 960 samples."""

    def __init__(self, blob: bytes) -> None:
        super().__init__(Network(blob))

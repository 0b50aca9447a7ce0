"""Weights blobs of RNNoise 0.2 with random weights."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray


def record(name: str, values: NDArray[np.generic]) -> bytes:
    kind = {"f": 0, "i": 1 if values.dtype.itemsize == 4 else 3}[values.dtype.kind]
    data = values.tobytes()
    room = -(-len(data) // 64) * 64
    return struct.pack("<4siiii44s", b"DNNw", 0, kind, len(data), room, name.encode()) + data.ljust(room, b"\0")


def random_blob(first: int, units: int, sparse: bool = False, quantised: bool = False, seed: int = 1) -> bytes:
    """A blob of these sizes with the variances that a trained one has; the two ends are always whole and float."""
    rng = np.random.default_rng(seed)
    parts = []

    def add(name: str, inputs: int, outputs: int, inner: bool, gain: float = 1.5) -> None:
        count, shape = inputs * outputs, "float"
        if inner and sparse:
            index: list[int] = []
            for _ in range(outputs // 8):
                places = np.flatnonzero(rng.random(inputs // 4) < 0.5) * 4
                index += [len(places), *places.tolist()]
            count = 32 * (len(index) - outputs // 8)
            parts.append(record(f"{name}_weights_idx", np.array(index, "<i4")))
            if name.endswith("recurrent"):
                parts.append(record(f"{name}_weights_diag", rng.normal(0, 0.3, outputs).astype("<f4")))
        weights = rng.normal(0, gain / np.sqrt(inputs), count)
        if inner and quantised:
            shape, weights = "int8", np.clip(np.round(weights * 127 * np.sqrt(inputs) / 4), -127, 127)
            parts.append(record(f"{name}_scale", np.full(outputs, 4 / 127**2 / np.sqrt(inputs), "<f4")))
        parts.append(record(f"{name}_weights_{shape}", weights.astype("i1" if shape == "int8" else "<f4")))
        parts.append(record(f"{name}_bias", rng.normal(0, 0.2, outputs).astype("<f4")))

    add("conv1", 195, first, False, 0.5)
    add("conv2", 3 * first, units, True)
    for g in (1, 2, 3):
        add(f"gru{g}_input", units, 3 * units, True)
        add(f"gru{g}_recurrent", units, 3 * units, True)
    add("dense_out", 4 * units, 32, False, 3)
    add("vad_dense", 4 * units, 1, False, 3)
    return b"".join(parts)

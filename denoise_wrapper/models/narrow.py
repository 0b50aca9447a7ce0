"""UL-UNAS and GTCRN, networks of others for 16 kHz: released files into records, which native/models/narrow.c reads.

The layers of `released` are laid out as the engine wants them: groups of channels as whole maps, shuffles as
the order of weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.classic import metadata_record
from denoise_wrapper.models.records import FLOAT, INT32, record
from denoise_wrapper.models.released import (
    AFFINE,
    CHANNELS,
    CONVOLUTION,
    ENCODER,
    GRU,
    KINDS,
    LINEAR,
    NORM,
    SLOPE,
    TITLES,
    Layers,
    Shape,
    read_layers,
)
from denoise_wrapper.models.torch_files import is_torch_file

Array = NDArray[Any]
RATE, BINS, LOW, UPPER, ROWS = 16000, 257, 65, 64, 33
BANK_APART = 1e-5  # of a bank's weights from the engine's, at most; files have them as float32


def is_narrow(data: bytes) -> bool:
    """True for what begins as a file of `encode_narrow` does."""
    return data.startswith(b"DNNw") and b"narrow_network\0" in data


def kind_of(data: bytes) -> str:
    """Which of KINDS a file is that begins as one of `encode_narrow`; the first where the engine will refuse it."""
    at = data.index(b"narrow_network\0") + 44  # the name's room, behind which its record has the number
    number = int.from_bytes(data[at : at + 4], "little")
    return KINDS[number] if number < len(KINDS) else KINDS[0]


def is_released(data: bytes) -> bool:
    """True for a checkpoint of torch, or what looks like an ONNX model."""
    return is_torch_file(data) or data[:1] == b"\x08"


def read_released(data: bytes, metadata: Mapping[str, Any] | None = None) -> tuple[str, bytes]:
    """Which of KINDS a released file is, and the bytes of the model file that the engine reads.

    metadata: beside what is found here: the network's name and the file's SHA-256. Raises ModelError for a damaged file
    and another network's.
    """
    kind, layers = read_layers(data)
    weights = dict((ulunas_weights if kind == "ulunas" else gtcrn_weights)(Taker(kind, layers)))
    about = {"network": TITLES[kind], "sample_rate": RATE, "released_sha256": hashlib.sha256(data).hexdigest()}
    return kind, encode_narrow(kind, weights, {**about, **(metadata or {})})


def encode_narrow(kind: str, weights: Mapping[str, Array], metadata: Mapping[str, Any]) -> bytes:
    """The bytes of a model file. weights: by the names of their records. Raises ModelError if not all are finite."""
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{name}: its weights are not all finite")
    number = np.array([KINDS.index(kind)], "<i4").tobytes()
    floats = (record(name, FLOAT, np.ascontiguousarray(array, "<f4").tobytes()) for name, array in weights.items())
    return b"".join([metadata_record(dict(metadata)), record("narrow_network", INT32, number), *floats])


# ---- records ----

Named = Iterator[tuple[str, Array]]


class Taker:
    """Layers, taken one after the other, each of the shapes that are expected."""

    def __init__(self, kind: str, layers: Layers) -> None:
        self.title, self.layers = TITLES[kind], {name: list(found) for name, found in layers.items()}

    def take(self, kind: str, *shapes: tuple[int, ...]) -> list[Array]:
        """The next layer of a kind. Raises ModelError for one of other shapes."""
        found = self.layers.get(kind)
        if not found:
            raise ModelError(f"the file has too few layers for {self.title} at 16 kHz: one more {kind} is wanted")
        layer = found.pop(0)
        came = [value.shape for value in layer]
        if came != list(shapes):
            raise ModelError(f"the file is not of {self.title} at 16 kHz: a {kind} of {came}, not {list(shapes)}")
        return [np.asarray(value, np.float64) for value in layer]

    def convolution(self, outputs: int, inputs: int, taps: tuple[int, int], groups: int = 1) -> tuple[Array, Array]:
        """Weights [outputs][inputs][times][bands], zeros between groups, and biases."""
        weight, bias = self.take(CONVOLUTION, (outputs, inputs // groups, *taps), (outputs,))
        whole = np.zeros((outputs, inputs, *taps))
        for group in range(groups):
            rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
            columns = slice(group * inputs // groups, (group + 1) * inputs // groups)
            whole[rows, columns] = weight[rows]
        return whole, bias

    def finish(self) -> None:
        """Raise ModelError if there is more than what was taken."""
        for kind, left in self.layers.items():
            if left:
                raise ModelError(f"the file is not of {self.title} at 16 kHz: it has {len(left)} more {kind}s")


def bank() -> Array:
    """Weights of bins, from LOW on, in upper bands, (UPPER, BINS - LOW): triangles on Glasberg and Moore's scale."""
    bin_hz = RATE / 2 / (BINS - 1)
    first, last = (21.4 * np.log10(0.00437 * hz + 1) for hz in (LOW * bin_hz, RATE / 2))
    scale = np.linspace(first, last, UPPER)
    peaks = np.rint((10 ** (scale / 21.4) - 1) / 0.00437 / bin_hz)
    bins = np.arange(LOW, BINS)
    return np.stack([np.interp(bins, peaks, np.eye(UPPER)[band]) for band in range(UPPER)])


def check_banks(taker: Taker) -> None:
    """Take the banks at both ends of the linear maps, and check that they are the engine's."""
    shape = (UPPER, BINS - LOW)
    (gather,) = taker.take(LINEAR, shape)
    taker.layers[LINEAR].insert(0, taker.layers[LINEAR].pop())
    (spread,) = taker.take(LINEAR, shape[::-1])
    if max(np.abs(gather - bank()).max(), np.abs(spread.T - bank()).max()) > BANK_APART:
        raise ModelError(f"the file's bands are not those of {taker.title} as it was released")


def _dealt(channels: int) -> Array:
    """Which of the channels each is once their halves are dealt out in turn."""
    return np.arange(channels).reshape(2, -1).T.ravel()


def _gates(rows: Array) -> Array:
    """A GRU's rows r, z, n of torch as z, r, n."""
    reset, update, new = np.split(rows, 3)
    return np.concatenate([update, reset, new])


def _gru_biases(bias: Array, inner: Array) -> tuple[Array, Array]:
    """Biases of the inputs, with those of z and r within U, and of n within the reset gate."""
    units = len(bias) // 3
    outside, inside = _gates(bias), _gates(inner)
    outside[: 2 * units] += inside[: 2 * units]
    inside[: 2 * units] = 0
    return outside, inside


def _gru_shapes(inputs: int, units: int) -> list[tuple[int, ...]]:
    return [(3 * units, inputs), (3 * units, units), (3 * units,), (3 * units,)]


def _time_weights(taker: Taker, name: str, channels: int, order: Array) -> Named:
    """Attention along time; order: of the channels as they come."""
    units = 2 * channels
    matrix, inner, bias, inner_bias = taker.take(GRU, *_gru_shapes(channels, units))
    dense, dense_bias = taker.take(LINEAR, (channels, units), (channels,))
    outside, inside = _gru_biases(bias, inner_bias)
    yield f"{name}_time_input_weights", _gates(matrix).T[order]
    yield f"{name}_time_input_bias", outside
    yield f"{name}_time_recurrent_weights", _gates(inner).T
    yield f"{name}_time_recurrent_bias", inside
    yield f"{name}_time_map_weights", dense.T[:, order]
    yield f"{name}_time_map_bias", dense_bias[order]


def _both_ways(taker: Taker, inputs: int) -> tuple[Array, Array, Array, Array]:
    """A GRU of four units up and one down: [inputs][gates][ways][4], bias; [gates][4][ways][4], bias of n."""
    up_and_down = taker.take(GRU, *(2 * _gru_shapes(inputs, 4)))
    sides = []
    for side in range(2):
        matrix, inner, bias, inner_bias = up_and_down[4 * side : 4 * side + 4]
        outside, inside = _gru_biases(bias, inner_bias)
        into = _gates(matrix).T.reshape(inputs, 3, 4)
        within = _gates(inner).T.reshape(4, 3, 4).swapaxes(0, 1)
        sides.append((into, outside.reshape(3, 4), within, inside[8:]))
    (into0, outside0, within0, inside0), (into1, outside1, within1, inside1) = sides
    return (
        np.stack([into0, into1], 2),
        np.stack([outside0, outside1], 1),
        np.stack([within0, within1], 2),
        np.stack([inside0, inside1]),
    )


def _path_weights(taker: Taker, name: str) -> Named:
    pairs = [_both_ways(taker, CHANNELS // 2) for _ in range(2)]
    into, outside, within, inside = (np.stack(part) for part in zip(*pairs, strict=True))
    yield f"{name}_rows_input_weights", into
    yield f"{name}_rows_input_bias", outside
    yield f"{name}_rows_recurrent_weights", within
    yield f"{name}_rows_recurrent_bias", inside
    yield from _after_path(taker, f"{name}_rows")
    halves = [taker.take(GRU, *_gru_shapes(CHANNELS // 2, CHANNELS // 2)) for _ in range(2)]
    biases = [_gru_biases(bias, inner_bias) for _, _, bias, inner_bias in halves]
    yield f"{name}_time_input_weights", np.stack([_gates(half[0]).T for half in halves])
    yield f"{name}_time_input_bias", np.stack([outside for outside, _ in biases])
    yield f"{name}_time_recurrent_weights", np.stack([_gates(half[1]).T for half in halves])
    yield f"{name}_time_recurrent_bias", np.stack([inside for _, inside in biases])
    yield from _after_path(taker, f"{name}_time")


def _after_path(taker: Taker, name: str) -> Named:
    matrix, bias = taker.take(LINEAR, (CHANNELS, CHANNELS), (CHANNELS,))
    scale, offset = taker.take(NORM, (ROWS, CHANNELS), (ROWS, CHANNELS))
    yield f"{name}_map_weights", matrix.T
    yield f"{name}_map_bias", bias
    yield f"{name}_norm_scale", scale
    yield f"{name}_norm_offset", offset


def _bend(taker: Taker, name: str, bands: int, channels: int, order: Array) -> Named:
    scale, offset, slope = taker.take(AFFINE, (bands, channels), (bands, channels), (channels,))
    yield f"{name}_scale", scale[:, order]
    yield f"{name}_offset", offset[:, order]
    yield f"{name}_slope", slope[order]


def ulunas_weights(taker: Taker) -> Named:
    check_banks(taker)
    for number, shape in enumerate(ENCODER):
        yield from _ulunas_block_weights(taker, f"encoder{number}", shape)
    for number in range(2):
        yield from _path_weights(taker, f"path{number}")
    for number, shape in enumerate(reversed(ENCODER)):
        turned = shape._replace(inputs=shape.outputs, outputs=shape.inputs, before=shape.after, after=shape.before)
        yield from _ulunas_block_weights(taker, f"decoder{number}", turned)
    taker.finish()


def _ulunas_block_weights(taker: Taker, name: str, shape: Shape) -> Named:
    inputs, outputs, taps = shape.inputs, shape.outputs, (shape.times, shape.taps)
    straight, dealt = np.arange(outputs), np.arange(1) if outputs == 1 else _dealt(outputs)
    if 1 in (inputs, outputs):
        weight, bias = taker.convolution(outputs, inputs, taps)
        # [taps][times] to channels; of the last block [times][channels] to taps
        yield f"{name}_conv_weights", weight[:, 0].transpose(2, 1, 0) if inputs == 1 else weight[0].swapaxes(0, 1)
        yield f"{name}_conv_bias", bias
    else:
        enter, bias = taker.convolution(outputs, inputs, (1, 1), 2)
        yield f"{name}_enter_weights", enter[dealt, :, 0, 0].T
        yield f"{name}_enter_bias", bias[dealt]
        yield from _bend(taker, f"{name}_bend_first", shape.before, outputs, dealt)
        weight, bias = taker.take(CONVOLUTION, (outputs, 1, *taps), (outputs,))
        yield f"{name}_filter_weights", weight[:, 0].transpose(1, 2, 0)
        yield f"{name}_filter_bias", bias
    if outputs > 1:
        yield from _bend(taker, f"{name}_bend", shape.after, outputs, straight)
    if shape.leaves:
        weight, bias = taker.convolution(outputs, outputs, (1, 1), 2)
        yield f"{name}_leave_weights", weight[dealt, :, 0, 0].T
        yield f"{name}_leave_bias", bias[dealt]
    yield from _time_weights(taker, name, outputs, dealt if shape.leaves else straight)
    into, outside, within, inside = _both_ways(taker, 4)
    yield f"{name}_bands_input_weights", into
    yield f"{name}_bands_input_bias", outside
    yield f"{name}_bands_recurrent_weights", within
    yield f"{name}_bands_recurrent_bias", inside
    matrix, bias = taker.take(LINEAR, (4, 8), (4,))
    yield f"{name}_bands_map_weights", matrix.T
    yield f"{name}_bands_map_bias", bias


def gtcrn_weights(taker: Taker) -> Named:
    check_banks(taker)
    for number, (inputs, groups) in enumerate([(9, 1), (CHANNELS, 2)]):
        weight, bias = taker.convolution(CHANNELS, inputs, (1, 5), groups)
        yield f"encoder{number}_conv_weights", weight[:, :, 0].transpose(2, 1, 0)
        yield f"encoder{number}_conv_bias", bias
        yield from _slope(taker, f"encoder{number}_bend")
    for number in range(2, 5):
        yield from _gtcrn_block_weights(taker, f"encoder{number}")
    for number in range(2):
        yield from _path_weights(taker, f"path{number}")
    for number in range(3):
        yield from _gtcrn_block_weights(taker, f"decoder{number}")
    for number, (outputs, groups) in enumerate([(CHANNELS, 2), (2, 1)], 3):
        weight, bias = taker.convolution(outputs, CHANNELS, (1, 5), groups)
        yield f"decoder{number}_conv_weights", weight[:, :, 0].transpose(2, 1, 0)[[0, 2, 4, 1, 3]]
        yield f"decoder{number}_conv_bias", bias
        if number == 3:
            yield from _slope(taker, f"decoder{number}_bend")
    taker.finish()


def _slope(taker: Taker, name: str) -> Named:
    (slope,) = taker.take(SLOPE, (1,))
    yield f"{name}_slope", np.repeat(slope, CHANNELS)


def _gtcrn_block_weights(taker: Taker, name: str) -> Named:
    half = CHANNELS // 2
    weight, bias = taker.convolution(CHANNELS, 3 * half, (1, 1))
    yield f"{name}_enter_weights", weight[:, :, 0, 0].T.reshape(half, 3, CHANNELS).swapaxes(0, 1)
    yield f"{name}_enter_bias", bias
    yield from _slope(taker, f"{name}_bend_first")
    weight, bias = taker.take(CONVOLUTION, (CHANNELS, 1, 3, 3), (CHANNELS,))
    yield f"{name}_filter_weights", weight[:, 0].transpose(1, 2, 0)
    yield f"{name}_filter_bias", bias
    yield from _slope(taker, f"{name}_bend")
    weight, bias = taker.convolution(half, CHANNELS, (1, 1))
    yield f"{name}_leave_weights", weight[:, :, 0, 0].T
    yield f"{name}_leave_bias", bias
    yield from _time_weights(taker, name, half, np.arange(half))

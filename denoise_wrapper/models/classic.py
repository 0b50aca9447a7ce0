"""The weights of the classic RNNoise network as Python sees them, and the file forms they can take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ModelError
from denoise_wrapper.models import rnn_data
from denoise_wrapper.models.records import INT8, INT32, record

Int8 = NDArray[np.int8]
ACTIVATIONS = ("tanh", "sigmoid", "relu")  # by their number in every file form
C_START = "/* A model compiled in,"
C_HEAD = f"{C_START} written by `denoise-wrapper convert`: do not edit."
ABOUT = ("name", "licence", "origin")  # metadata that C source names in a comment
TEXT_MAGIC = "rnnoise-nu model file version 1"


class Shape(NamedTuple):
    """The fixed part of a layer; its sizes are the model's own."""

    name: str
    is_gru: bool


SHAPES = (
    Shape("input_dense", False),
    Shape("vad_gru", True),
    Shape("noise_gru", True),
    Shape("denoise_gru", True),
    Shape("denoise_output", False),
    Shape("vad_output", False),
)


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer; its integers are weights times 256.

    weights: int8 (inputs, columns). recurrent: int8 (units, columns) of a GRU, else None. bias: int8 (columns,).
    columns is units for a dense layer and 3 * units (update, reset, candidate) for a GRU.
    activation: tanh, sigmoid or relu; the gates of a GRU are always sigmoid.
    """

    name: str
    activation: str
    weights: Int8
    recurrent: Int8 | None
    bias: Int8

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[0])

    @property
    def units(self) -> int:
        return int(self.bias.shape[0]) // (1 if self.recurrent is None else 3)

    @property
    def size(self) -> int:
        """Numbers, biases among them."""
        return sum(array.size for array in self.arrays)

    @property
    def description(self) -> str:
        """Kind, shape and activation, in words."""
        return f"{'dense' if self.recurrent is None else 'GRU'}, {self.inputs} -> {self.units}, {self.activation}"

    @property
    def arrays(self) -> list[Int8]:
        """Weights, recurrent weights if any, bias: the order of every file form."""
        return [array for array in (self.weights, self.recurrent, self.bias) if array is not None]


@dataclass(frozen=True, eq=False)
class ClassicModel:
    """A whole network: its six layers in the order of SHAPES, and what is known about it (name, licence, origin ...).

    Raises ModelError if layers are absent, or arrays do not fit each other. Whether the layers fit together is the
    engine's to say when it loads them.
    """

    layers: tuple[Layer, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    family: ClassVar[str] = "classic"

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        wanted = [shape.name for shape in SHAPES]
        if names != wanted:
            raise ModelError(f"a classic model has the layers {', '.join(wanted)}, not {', '.join(names) or 'none'}")
        for layer, shape in zip(self.layers, SHAPES, strict=True):
            _check_layer(layer, shape.is_gru)


def _check_layer(layer: Layer, is_gru: bool) -> None:
    if layer.activation not in ACTIVATIONS:
        raise ModelError(f"{layer.name}: activation {layer.activation!r} is none of {', '.join(ACTIVATIONS)}")
    if (layer.recurrent is not None) != is_gru:
        raise ModelError(f"{layer.name}: recurrent weights are {'absent' if is_gru else 'not wanted in a dense layer'}")
    for array in layer.arrays:
        if array.dtype != np.int8:
            raise ModelError(f"{layer.name}: weights are int8, 256 times their value, not {array.dtype}")
    columns = layer.bias.shape[0] if layer.bias.ndim == 1 else -1
    fits = layer.weights.ndim == 2 and layer.weights.shape[1] == columns and columns % (3 if is_gru else 1) == 0
    if layer.recurrent is not None:
        fits = fits and layer.recurrent.shape == (columns // 3, columns)
    if not fits:
        shapes = " ".join(str(array.shape) for array in layer.arrays)
        raise ModelError(f"{layer.name}: arrays of shapes {shapes} do not fit together")


def quantise(values: NDArray[Any]) -> Int8:
    """Floats as int8 of 1/256, as the classic network computes with them; clipped at -0.5 and 127/256."""
    return np.clip(np.round(np.asarray(values, np.float64) * 256.0), -128, 127).astype(np.int8)


def to_text(model: ClassicModel) -> bytes:
    """The `rnnoise-nu` text form (.rnnn), one array a line, which is what ffmpeg's reader relies on."""
    lines = [TEXT_MAGIC]
    for layer in model.layers:
        _check_sizes(layer, 128, ".rnnn")
        lines.append(f"{layer.inputs} {layer.units} {ACTIVATIONS.index(layer.activation)}")
        lines += [" ".join(map(str, array.ravel().tolist())) for array in layer.arrays]
    return ("\n".join(lines) + "\n").encode("ascii")


def to_bytes(model: ClassicModel) -> bytes:
    """The bytes of nnnoiseless (.rnn): the text's integers, each as one signed byte, and nothing else."""
    parts = []
    for layer in model.layers:
        _check_sizes(layer, 127, ".rnn")
        parts.append(bytes([layer.inputs, layer.units, ACTIVATIONS.index(layer.activation)]))
        parts += [array.tobytes() for array in layer.arrays]
    return b"".join(parts)


def _check_sizes(layer: Layer, limit: int, suffix: str) -> None:
    for what, size in (("inputs", layer.inputs), ("units", layer.units)):
        if size > limit:
            raise ModelError(f"{layer.name}: {size} {what}, but a {suffix} file holds {limit} at most; write .dnnw")


def to_records(model: ClassicModel) -> bytes:
    """Our own form (.dnnw): named records, with room for the metadata and for layers of any size."""
    sizes = [(layer.inputs, layer.units, ACTIVATIONS.index(layer.activation)) for layer in model.layers]
    records = [record("classic_layers", INT32, np.array(sizes, "<i4").tobytes())]
    if model.metadata:
        records.append(metadata_record(model.metadata))
    for layer in model.layers:
        for what, array in (("weights", layer.weights), ("recurrent", layer.recurrent), ("bias", layer.bias)):
            if array is not None:
                records.append(record(f"{layer.name}_{what}", INT8, array.tobytes()))
    return b"".join(records)


def metadata_record(metadata: dict[str, Any]) -> bytes:
    """Encode name, licence and origin of a model as a record that other programs pass over."""
    text = json.dumps(metadata, ensure_ascii=False, sort_keys=True)
    return record("metadata", INT8, text.encode("utf-8", "backslashreplace"))  # half a pair of surrogates: its escape


def to_c_source(model: ClassicModel) -> bytes:
    """C source that defines the record form's bytes: see `c_source`."""
    return c_source(to_records(model), model.metadata)


def to_rnn_data(model: ClassicModel, header: str) -> tuple[bytes, bytes]:
    """`rnn_data.c` and `rnn_data.h` of RNNoise 0.1, to be compiled into a librnnoise.

    header: name of the second. Raises ModelError for layers that librnnoise has no room for.
    """
    facts = [f"{key}: {model.metadata[key]}" for key in ABOUT if key in model.metadata]
    about = ["A network for librnnoise 0.1, written by `denoise-wrapper convert`.", *facts]
    try:
        return rnn_data.source(model, header, about), rnn_data.header_source(about[:1])
    except ValueError as error:
        raise ModelError(str(error)) from error


def from_rnn_data(data: bytes) -> bytes:
    """The text form of the network in an `rnn_data.c`. Raises ModelError that says what is wrong with it."""
    try:
        return rnn_data.to_text(data)
    except ValueError as error:
        raise ModelError(str(error)) from error


def c_source(data: bytes, metadata: dict[str, Any]) -> bytes:
    """C source that defines the bytes of a model file, to be compiled into the engine in place of the shipped one."""
    about = [f" * {key}: {_comment(metadata[key])}" for key in ABOUT if key in metadata]
    head = [C_HEAD, *about, " */"]
    rows = (",".join(map(str, data[start : start + 32])) + "," for start in range(0, len(data), 32))
    lines = [
        *head,
        "/* clang-format off */",
        '#include "rnn_data.h"',
        "",
        f"const size_t dn_builtin_size = {len(data)};",
        f"const unsigned char dn_builtin_data[{len(data)}] = {{",
        *rows,
        "};",
    ]
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _comment(value: Any) -> str:
    """Text that can neither end a C comment nor break its line."""
    return " ".join(str(value).replace("*/", "* /").split())


def is_c_source(data: bytes) -> bool:
    """True for the bytes of a file that to_c_source wrote."""
    head = data[:4096]
    return head.startswith(C_START.encode()) or (b"dn_builtin_data" in head and b"\0" not in head)


def from_c_source(data: bytes) -> bytes:
    """The model file within C source. Raises ModelError if its list of bytes is damaged."""
    data = _without_comments(data)
    head = re.search(rb"dn_builtin_data\s*+\[\s*+(\d*+)\s*+\]\s*+=\s*+\{", data)
    end = -1 if head is None else data.find(b"}", head.end())
    if head is None or end < 0:
        raise ModelError("the C source has no whole list 'dn_builtin_data[] = {...};': the file was cut short")
    try:
        content = bytes(_integers(data[head.end() : end]))
    except ValueError as error:
        raise ModelError(f"the list of dn_builtin_data holds something that is no byte: {error}") from error
    size = head[1].decode()  # compared as text: Python makes no number of thousands of digits
    if size and (size.lstrip("0") or "0") != str(len(content)):
        raise ModelError(f"dn_builtin_data holds {len(content)} bytes, but says it has {size[:20]}")
    return content


def _without_comments(data: bytes) -> bytes:
    """C source without its comments, in which the metadata may say anything; in one pass, however many there are."""
    parts, at = [], 0
    while (begin := data.find(b"/*", at)) >= 0:
        parts.append(data[at:begin])
        at = data.find(b"*/", begin + 2) + 2
        if at < 2:
            return b"".join(parts)
    return b"".join([*parts, data[at:]])


def _integers(text: bytes) -> Iterator[int]:
    return (int(word[0].decode("ascii", "replace"), 0) for word in re.finditer(rb"[^\s,]+", text))

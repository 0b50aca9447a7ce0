"""`rnn_data.c`, as the tools of RNNoise 0.1 write a network for compiling into librnnoise: read and written.

This module imports nothing of the package, as `build.py` loads it by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from denoise_wrapper.models.classic import ClassicModel

SIZE_MAX = 8 << 20  # bytes; a network of the largest layers that librnnoise runs has 2 MB
UNITS_MAX = 128  # of a layer in librnnoise, whose arrays have so many places
ACTIVATIONS = ("ACTIVATION_TANH", "ACTIVATION_SIGMOID", "ACTIVATION_RELU")  # by their number in every form
LAYERS = ("input_dense", "vad_gru", "noise_gru", "denoise_gru", "denoise_output", "vad_output")
GRUS = LAYERS[1:4]
MODEL = "rnnoise_model_orig"  # the name by which librnnoise 0.1 asks for it

_STATEMENT = re.compile(
    r"\s*(?:static\s+)?const\s+(?:struct\s+)?(rnn_weight|DenseLayer|GRULayer|RNNModel)\s+(\w{1,64})\s*"
    r"(?:\[\s*(\d{1,7})\s*\]\s*)?=\s*\{([^{}]*)\}\s*;"
)
_NUMBER = re.compile(r"(-?\d{1,5})(?:\.0)?")  # 24.0 is what the tools wrote for 24 under Python 3


class _Layer(NamedTuple):
    """A DenseLayer or GRULayer as it is written: names of its arrays, then its sizes."""

    bias: str
    weights: str
    recurrent: str | None
    inputs: int
    units: int
    activation: int


def is_rnn_data(data: bytes) -> bool:
    """True for the bytes of C source that defines arrays of rnn_weight."""
    head = data[: 1 << 16]
    return b"\0" not in head and re.search(rb"\bconst\s+rnn_weight\b", head) is not None


def to_text(data: bytes) -> bytes:
    """Convert rnn_data.c to the "rnnoise-nu" text form (.rnnn), of the same integers.

    data: the file's bytes. Raises ValueError that says what of it is lacking, wrong, or no part of such a file.
    """
    if len(data) > SIZE_MAX:
        raise ValueError(f"an rnn_data.c has {SIZE_MAX >> 20} MB at most, not {len(data)} bytes")
    arrays: dict[str, list[int]] = {}
    layers: dict[str, _Layer] = {}
    listed: list[str] | None = None
    for kind, name, size, body in _statements(_without_comments(data.decode("utf-8", "replace"))):
        words = [word.strip() for word in body.split(",")]
        words = words[:-1] if words[-1] == "" else words
        if name in arrays or name in layers:
            raise ValueError(f"{name} is defined twice")
        if kind == "rnn_weight":
            arrays[name] = [_number(word, name, -128, 127) for word in words]
            if size is not None and int(size) != len(words):
                raise ValueError(f"{name} holds {len(words)} values, but says it has {int(size)}")
        elif kind == "RNNModel":
            listed = [word.lstrip("& ") for word in words[1::2]]
        else:
            layers[name] = _layer(kind, name, words)
    if listed is not None and len(listed) != len(LAYERS):
        raise ValueError(f"struct RNNModel names {len(listed)} layers, not {len(LAYERS)}: {', '.join(LAYERS)}")
    lines = ["rnnoise-nu model file version 1"]
    for name in listed or LAYERS:
        if name not in layers:
            raise ValueError(f"the layer {name} is not there: the file was cut short, or is of another program")
        lines += _text_of(name, layers[name], arrays)
    return ("\n".join(lines) + "\n").encode("ascii")


def _without_comments(text: str) -> str:
    """C source without comments and preprocessor lines."""
    parts, at = [], 0
    while (begin := text.find("/*", at)) >= 0:
        end = text.find("*/", begin + 2)
        if end < 0:
            raise ValueError("a comment /* has no end: the file was cut short")
        parts.append(text[at:begin])
        at = end + 2
    lines = "".join([*parts, text[at:]]).splitlines()
    return "\n".join(line.partition("//")[0] for line in lines if not line.lstrip().startswith("#"))


def _statements(text: str) -> Iterator[tuple[str, str, str | None, str]]:
    """(kind, name, size in brackets or None, what is in braces) of each definition."""
    text, at = text.rstrip(), 0
    while at < len(text):
        match = _STATEMENT.match(text, at)
        if match is None:
            near = " ".join(text[at : at + 200].split())[:60]
            raise ValueError(
                f"'{near}' is no array of rnn_weight, layer or RNNModel: the file was cut short, or edited"
            )
        yield match[1], match[2], match[3], match[4]
        at = match.end()


def _number(word: str, where: str, low: int, high: int) -> int:
    match = _NUMBER.fullmatch(word)
    if match is None or not low <= int(match[1]) <= high:
        raise ValueError(f"{where}: {word[:20]!r} is no integer from {low} to {high}")
    return int(match[1])


def _layer(kind: str, name: str, words: list[str]) -> _Layer:
    arrays = 3 if kind == "GRULayer" else 2
    if len(words) != arrays + 3:
        raise ValueError(f"{name}: a {kind} has {arrays + 3} members, not {len(words)}")
    if words[-1] not in ACTIVATIONS:
        raise ValueError(f"{name}: {words[-1][:40]!r} is none of {', '.join(ACTIVATIONS)}")
    inputs, units = (_number(word, name, 1, 9999) for word in words[arrays : arrays + 2])
    recurrent = words[2] if arrays == 3 else None
    return _Layer(words[0], words[1], recurrent, inputs, units, ACTIVATIONS.index(words[-1]))


def _text_of(name: str, layer: _Layer, arrays: dict[str, list[int]]) -> Iterator[str]:
    """Lines of the text form: sizes, weights, recurrent weights of a GRU, bias."""
    columns = layer.units * (1 if layer.recurrent is None else 3)
    wanted = [(layer.weights, layer.inputs * columns), (layer.recurrent, layer.units * columns), (layer.bias, columns)]
    yield f"{layer.inputs} {layer.units} {layer.activation}"
    for array, size in wanted:
        if array is None:
            continue
        if len(arrays.get(array, ())) != size:
            came = f"has {len(arrays[array])} values" if array in arrays else "is not there"
            raise ValueError(f"{name}: its array {array[:64]} {came}; {size} are wanted")
        yield " ".join(map(str, arrays[array]))


def source(model: ClassicModel, header: str, about: list[str]) -> bytes:
    """Write the C file for librnnoise 0.1. header: name of the file that `header_source` is written to. about: lines
    of its comment. Raises ValueError for layers beyond what librnnoise has room for."""
    lines = [*_comment(about), "#ifdef HAVE_CONFIG_H", '#include "config.h"', "#endif", '#include "rnn.h"']
    lines += [f'#include "{header}"', ""]
    for layer in model.layers:
        if layer.units > UNITS_MAX:
            raise ValueError(f"{layer.name}: {layer.units} units, but librnnoise runs {UNITS_MAX} at most; write .dnnw")
        gru = layer.recurrent is not None
        names = [f"{layer.name}_bias", f"{layer.name}_weights", *([f"{layer.name}_recurrent_weights"] if gru else [])]
        arrays = [layer.bias, layer.weights, *([layer.recurrent] if layer.recurrent is not None else [])]
        for name, array in zip(names, arrays, strict=True):
            values = [str(value) for value in array.ravel().tolist()]
            rows = [", ".join(values[at : at + 24]) for at in range(0, len(values), 24)]
            lines += [f"static const rnn_weight {name}[{len(values)}] = {{", ",\n".join(rows), "};", ""]
        members = [*names, str(layer.inputs), str(layer.units), f"ACTIVATION_{layer.activation.upper()}"]
        lines += [f"static const {_kind(layer.name)} {layer.name} = {{{', '.join(members)}}};", ""]
    listed = ", ".join(f"{layer.units}, &{layer.name}" for layer in model.layers)
    lines += [f"const struct RNNModel {MODEL} = {{{listed}}};", ""]
    return "\n".join(lines).encode("utf-8", "backslashreplace")


def header_source(about: list[str]) -> bytes:
    """Write the header that goes with `source`: the structures of librnnoise 0.1 that hold a network and its state."""
    lines = [*_comment(about), "#ifndef RNN_DATA_H", "#define RNN_DATA_H", "", '#include "rnn.h"', ""]
    members = [f"    int {name}_size;\n    const {_kind(name)} *{name};" for name in LAYERS]
    lines += ["struct RNNModel {", *members, "};", "", "struct RNNState {", "    const RNNModel *model;"]
    lines += [*(f"    float *{name}_state;" for name in GRUS), "};", "", "#endif", ""]
    return "\n".join(lines).encode("utf-8", "backslashreplace")


def _kind(name: str) -> str:
    return "GRULayer" if name in GRUS else "DenseLayer"


def _comment(lines: list[str]) -> list[str]:
    """Lines within a C comment, which they cannot end."""
    plain = [" ".join(line.replace("*/", "* /").split()) for line in lines]
    return ["/* " + "\n * ".join(plain) + " */"]

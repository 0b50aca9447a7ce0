"""The two ONNX files of a pair: which are meant, and what must be known of each before it is run.

They are looked into by hand, without the onnx package, because ONNX Runtime opens whatever file a model names as the
place of its weights. A model for this package is a file that speaks of nothing but itself and the standard's operators.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from denoise_wrapper.errors import ModelError, file_error
from denoise_wrapper.models.shipped import MODELS, read_model_bytes

Buffer = bytes | bytearray | memoryview
Source = str | os.PathLike[str] | Buffer

BYTES_MAX = 64 << 20  # of one file; the published ones have 1.5 and 2.5 MB
BESIDE_MAX = 256 << 10  # of them beside the numbers of tensors; the published ones have 12 kB at most

# Protocol buffers: each field is a key (number << 3 | kind) and a value of one of these kinds.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# message -> {field number: the message that is in it}, of those in which there may be weights, domains or more graphs.
_INSIDE = {
    "Model": {7: "Graph", 8: "Opset", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 9: "Opset", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
    "Opset": {},
}
_DOMAIN = {"Opset": 1, "Node": 7, "Function": 10}  # the field that names a set of operators
_METADATA = 14  # of Model
_IR_VERSION, _EXTERNAL_DATA, _DATA_LOCATION = 1, 13, 14  # of Model, Tensor, Tensor
_OPERATOR = 4  # of Node
_SIZES = {"Tensor": 1, "Sparse": 3}  # the field of a tensor's axes
_NUMBERS = tuple(("Tensor", field) for field in (4, 5, 9, 10))  # nothing but numbers: float, int32, raw, double
_FLOW = ("Loop", "Scan", "SequenceMap", "If")  # operators that run for as long, or what, their input says
_KNOWN_DOMAINS = ("", "ai.onnx", "com.microsoft")  # those of the standard and of ONNX Runtime itself
_DEEPEST = 40  # messages within messages


def find_pair(model: Any, name: str) -> tuple[Source, Source]:
    """The two files that are meant, in either order.

    model: two paths or bytes; or the folder that they are in; None for those that were shipped for the backend called
    name. Raises ModelError, or FileError for a folder that cannot be looked into.
    """
    if model is None:
        shipped = MODELS / f"{name}_1.onnx", MODELS / f"{name}_2.onnx"
        if not all(path.is_file() for path in shipped):
            raise ModelError(f"this copy comes without weights for {name}; give model=(first, second)")
        return shipped
    if isinstance(model, str | os.PathLike):
        if not os.path.isdir(model):
            raise ModelError(f"the model of {name} is two files, model=(first, second), or their folder, not {model}")
        return _in_folder(Path(model), name)
    if isinstance(model, Buffer) or not isinstance(model, Sequence) or len(model) != 2:
        came = f"{len(model)} of them" if isinstance(model, list | tuple) else type(model).__name__
        raise ModelError(f"the model of {name} is two files, model=(first, second), or their folder, not {came}")
    for source in model:
        if not isinstance(source, str | os.PathLike | Buffer):
            raise ModelError(f"each of the two models of {name} is a path or bytes, not {type(source).__name__}")
    return model[0], model[1]


def _in_folder(folder: Path, name: str) -> tuple[Path, Path]:
    """The only two models in a folder; or those called NAME_1 and NAME_2; or the only ones that end with _1 and _2."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".onnx")
    except OSError as error:
        raise file_error(f"cannot look into {folder}: {error.strerror}", error) from error
    named = [path for path in files if path.stem in (f"{name}_1", f"{name}_2")]
    numbered = [path for path in files if path.stem.endswith(("_1", "_2"))]
    for pair in (files, named, numbered):
        if len(pair) == 2:
            return pair[0], pair[1]
    raise ModelError(f"{folder} holds {len(files)} .onnx files, and a pair is two; name them, model=(first, second)")


def read_onnx(source: Source) -> bytes:
    """The bytes of a model, checked as `check_onnx` says. Raises FileError or ModelError that names the file."""
    data = read_source(source)
    check_source(data, source)
    return data


def read_source(source: Source) -> bytes:
    """The bytes of a model, as they are. Raises FileError, or ModelError if there are too many."""
    data = bytes(source) if isinstance(source, Buffer) else read_model_bytes(source, BYTES_MAX)
    if len(data) > BYTES_MAX:
        raise ModelError(f"the model {called(source)} has more than {BYTES_MAX >> 20} MB; no DTLN is so large")
    return data


def check_source(data: bytes, source: Source) -> None:
    """Raises ModelError that names the file unless its bytes pass `check_onnx`."""
    try:
        check_onnx(data)
    except ModelError as error:
        raise ModelError(f"the model {called(source)} cannot be used: {error}") from error


def read_notes(data: bytes) -> dict[str, str]:
    """The metadata of a model that has been read before: strings by name."""
    notes = {}
    for number, _, entry in fields(memoryview(data), Beside(BESIDE_MAX, "DTLN")):
        if number == _METADATA and isinstance(entry, memoryview):
            texts = {
                key: bytes(value).decode("utf-8", "replace")
                for key, _, value in fields(entry, Beside(BESIDE_MAX, "DTLN"))
                if isinstance(value, memoryview)
            }
            notes[texts.get(1, "")] = texts.get(2, "")
    return notes


def check_length(block: int, rate: int, wanted: int) -> None:
    """Raises ModelError unless a pair's blocks have as many samples as those at that rate."""
    if block != wanted:
        raise ModelError(f"it takes blocks of {block} samples; at {rate} Hz they have {wanted}")


def check_notes(notes: tuple[Mapping[str, str], Mapping[str, str]], rate: int, block: int) -> None:
    """Raises ModelError unless what the two files, the first one first, say of themselves is of one such pair."""
    if all("pair" in note for note in notes) and notes[0]["pair"] != notes[1]["pair"]:
        raise ModelError("the two do not belong together: they are halves of different pairs, as their metadata says")
    for stage, note in enumerate(notes, 1):
        _check_note(note, {"sample_rate": rate, "block": block, "hop": block // 4, "stage": stage})


def _check_note(note: Mapping[str, str], facts: Mapping[str, int]) -> None:
    for key, fact in facts.items():
        if note.get(key, str(fact)) != str(fact):
            raise ModelError(f"its metadata says {key} = {note[key]}, and here it is {fact}")


def called(source: Source) -> str:
    """Name a model in a message."""
    return "given as bytes" if isinstance(source, Buffer) else os.fspath(source)


def check_onnx(data: bytes, beside_max: int = BESIDE_MAX, network: str = "DTLN") -> None:
    """Raises ModelError, in a few words, if the bytes are no ONNX model, or one that needs more than itself.

    beside_max: bytes of it beside the numbers of tensors, of which a network of that name has fewer.
    """
    if data.startswith((b"DNNw", b"rnnoise-nu")):
        raise ModelError("it is a model of RNNoise, which the backend rnnoise runs")
    view = memoryview(data)
    has_graph = has_version = False
    for number, kind, _ in fields(view, Beside(beside_max, network)):
        has_version |= number == _IR_VERSION and kind == _VARINT
        has_graph |= number == 7 and kind == _BYTES
    if not (has_graph and has_version):
        raise ModelError("it is no ONNX model")
    _check(view, "Model", 0, Beside(beside_max, network))


class Beside:
    """Counts the bytes of a model that are not numbers of tensors: what reads it takes time and memory for each."""

    def __init__(self, most: int, network: str) -> None:
        self._bytes, self._most, self.network = 0, most, network

    def count(self, size: int) -> None:
        """Raises ModelError once there are too many."""
        self._bytes += size
        if self._bytes > self._most:
            raise ModelError(
                f"it has more than {self._most >> 10} kB beside the numbers of its tensors, and no {self.network} has; "
                "save it with its weights as raw data, and without what only training needs"
            )


def _check(view: memoryview, message: str, depth: int, beside: Beside) -> None:
    if depth > _DEEPEST:
        raise ModelError("it is no ONNX model (messages too deep within each other)")
    inside, domain, sizes = _INSIDE[message], _DOMAIN.get(message), _SIZES.get(message)
    declared = 1
    for number, _, value in fields(view, beside):
        if isinstance(value, memoryview) and number not in inside and (message, number) not in _NUMBERS:
            beside.count(len(value))
        if number == sizes:
            for size in numbers_of(value):
                declared = min(declared * size, 1 << 64)  # which is beyond any limit
        if message == "Tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
            raise ModelError("its weights are in another file; save it with all of them inside")
        if not isinstance(value, memoryview):
            continue
        if number == domain:
            _check_domain(bytes(value).decode("utf-8", "backslashreplace"))
        elif message == "Node" and number == _OPERATOR and bytes(value).decode("latin-1") in _FLOW:
            raise ModelError(
                f"it holds a loop or a branch ({bytes(value).decode('latin-1')}), which may never end; no "
                f"{beside.network} has one"
            )
        elif number in inside:
            _check(value, inside[number], depth + 1, beside)
    # The smallest weights have half a byte; of a sparse tensor only some are there, but all are made of it.
    if sizes is not None and declared > (2 * len(view) if message == "Tensor" else BYTES_MAX):
        raise ModelError(f"it declares a tensor of {declared} numbers or more, and does not hold them")


def numbers_of(value: int | memoryview) -> Iterator[int]:
    """A repeated number's: one, or several packed into bytes."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        yield number


def _check_domain(name: str) -> None:
    if name not in _KNOWN_DOMAINS and not name.startswith(("ai.onnx.", "com.microsoft.", "com.ms.internal.")):
        raise ModelError(f"it needs operators of its own ({name}), which are not run")


def fields(view: memoryview, beside: Beside) -> Iterator[tuple[int, int, int | memoryview]]:
    """(field number, kind, value) of a message, one after another: an int, or a view of the bytes of kind _BYTES.

    beside: counts all but those bytes.
    """
    at = 0
    while at < len(view):
        begin = at
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        value: int | memoryview = 0
        if kind == _VARINT:
            value, at = _varint(view, at)
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        elif kind == _BYTES:
            length, at = _varint(view, at)
            value, at, begin = view[at : at + length], at + length, begin + length
        else:
            raise ModelError("it is no ONNX model")
        if at > len(view) or number == 0:
            raise ModelError("it is no ONNX model, or only the beginning of one")
        beside.count(at - begin)
        yield number, kind, value


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """A number of up to 64 bits, seven in each byte, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            break
        byte = view[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ModelError("it is no ONNX model, or only the beginning of one")

"""The nodes and weights of an ONNX model, read without the onnx package, after `check_onnx` has gone through it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.onnx import Beside, check_onnx, fields, numbers_of

Array = NDArray[Any]
BESIDE_MAX = 1 << 20  # bytes beside the numbers of tensors; UL-UNAS's file has 390 kB
NODES_MAX = 20_000  # UL-UNAS's have 1,700
_TYPES = {1: "<f4", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}


@dataclass
class Node:
    """An operator, the names of what goes in and comes out, and its attributes that are numbers or tensors."""

    operator: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    """A model's nodes in the order in which they are run, its weights and its inputs by name."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)


def read_graph(data: bytes) -> Graph:
    """The graph of a model. Constants in nodes of their own are among the weights. Raises ModelError."""
    check_onnx(data, BESIDE_MAX, "such network")
    graph = Graph()
    for number, value in _parts(memoryview(data)):
        if number == 7 and isinstance(value, memoryview):
            _read_graph(value, graph)
    if len(graph.nodes) > NODES_MAX:
        raise ModelError(f"it has {len(graph.nodes)} operators, and there may be {NODES_MAX}")
    for node in graph.nodes:
        if node.operator == "Constant" and isinstance(node.attributes.get("value"), np.ndarray):
            graph.constants.update(dict.fromkeys(node.outputs[:1], node.attributes["value"]))
    return graph


def _parts(view: memoryview) -> Any:
    for number, _, value in fields(view, Beside(len(view), "such network")):
        yield number, value


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8", "backslashreplace") if isinstance(value, memoryview) else ""


def _read_graph(view: memoryview, graph: Graph) -> None:
    for number, value in _parts(view):
        if not isinstance(value, memoryview):
            continue
        if number == 1:
            graph.nodes.append(_node(value))
        elif number == 5:
            name, array = _tensor(value)
            graph.constants[name] = array
        elif number == 11:
            graph.inputs += [_text(part) for field_number, part in _parts(value) if field_number == 1]


def _node(view: memoryview) -> Node:
    node = Node()
    for number, value in _parts(view):
        if number == 1:
            node.inputs.append(_text(value))
        elif number == 2:
            node.outputs.append(_text(value))
        elif number == 4:
            node.operator = _text(value)
        elif number == 5 and isinstance(value, memoryview):
            name, attribute = _attribute(value)
            node.attributes[name] = attribute
    return node


def _attribute(view: memoryview) -> tuple[str, Any]:
    name = ""
    value: Any = None
    for number, part in _parts(view):
        if number == 1:
            name = _text(part)
        elif number == 3 and isinstance(part, int):
            value = part
        elif number == 5 and isinstance(part, memoryview):
            value = _tensor(part)[1]
    return name, value


def _tensor(view: memoryview) -> tuple[str, Array]:
    """Name and numbers of a tensor; an empty array of a type that no weights have."""
    name, shape, kind, raw, floats = "", [], 0, memoryview(b""), []
    for number, value in _parts(view):
        if number == 1:
            shape += list(numbers_of(value))
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 4 and isinstance(value, memoryview):
            floats.append(np.frombuffer(value, "<f4"))
        elif number == 8:
            name = _text(value)
        elif number == 9 and isinstance(value, memoryview):
            raw = value
    if kind not in _TYPES:
        return name, np.zeros(0, np.float32)
    dtype = np.dtype(_TYPES[kind])
    if floats and kind == 1:
        numbers: Array = np.concatenate(floats)
    elif len(raw) % dtype.itemsize:
        raise ModelError(f"its tensor {name} ends within a number")
    else:
        numbers = np.frombuffer(raw, dtype)
    if math.prod(shape) != len(numbers):
        if not len(numbers):  # given in another way, as whole numbers may be
            return name, np.zeros(0, np.float32)
        raise ModelError(f"its tensor {name} has {len(numbers)} numbers for a shape of {shape}")
    return name, numbers.reshape(shape)

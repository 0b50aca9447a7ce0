"""Graphs that are nearly a DTLN's: what the engine says it knows, it computes as ONNX Runtime does."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pairs import make_pair
from recorded import signal_to_difference_db
from require import require

from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.errors import DenoiseError

onnx = require("onnx", "pip install 'denoise-wrapper[training]'")

KNOWN = 12  # mutants that the engine takes, of each pair
MOST = 400  # mutants that are made for that


def rewired(data: bytes, chance: random.Random) -> bytes:
    """A model with an input, an output, an operator, an attribute or a whole number that is another one."""
    model = onnx.load_from_string(data)
    graph = model.graph
    names = [name for node in graph.node for name in node.output if name]
    names += [port.name for port in (*graph.initializer, *graph.input)]
    for _ in range(chance.choice((1, 1, 2))):
        node, other, kind = chance.choice(graph.node), chance.choice(graph.node), chance.randrange(6)
        if kind <= 1 and node.input:
            node.input[chance.randrange(len(node.input))] = chance.choice(names)
        elif kind == 2 and len(node.input) > 1:
            node.input[:] = chance.sample(list(node.input), len(node.input))
        elif kind == 3:
            node.output[:] = chance.sample(list(node.output), len(node.output))
        elif kind == 4:
            node.op_type, other.op_type = other.op_type, node.op_type
        elif node.attribute:
            change_attribute(chance.choice(node.attribute), chance)
    content: bytes = model.SerializeToString()
    return content


def change_attribute(attribute: Any, chance: random.Random) -> None:
    if attribute.type == onnx.AttributeProto.INT:
        attribute.i = chance.choice((-1, 0, 1, 2))
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = chance.choice((1e-3, 1e-7))
    elif attribute.ints:
        attribute.ints[chance.randrange(len(attribute.ints))] = chance.choice((-1, 0, 1, 2))


@pytest.mark.parametrize("names", [None, ("lhwcv_p1", "lhwcv_p2"), ("model_1", "model_2")])
def test_a_graph_that_the_engine_knows_means_what_it_does_elsewhere(
    shared: Path, names: tuple[str, str] | None
) -> None:
    folder = shared / "reference" / "dtln"
    pair = make_pair() if names is None else tuple((folder / f"{name}.onnx").read_bytes() for name in names)
    chance, known, compared = random.Random(1), 0, 0
    noise = (0.1 * np.random.default_rng(1).standard_normal((1, 12 * 128))).astype(np.float32)
    for number in range(MOST):
        mutant = list(pair)
        mutant[number % 2] = rewired(pair[number % 2], chance)
        try:
            engine = DTLNBackend(mutant, runtime="engine")
        except DenoiseError:
            continue
        known += 1
        try:  # the engine may understand what ONNX Runtime takes for a fault of form
            wanted = DTLNBackend(mutant, runtime="onnxruntime").new_state(1).process(noise)[0]
        except DenoiseError:
            continue
        compared += 1
        assert signal_to_difference_db(wanted, engine.new_state(1).process(noise)[0]) > 60, number
        if known >= KNOWN:
            break
    assert compared >= 3

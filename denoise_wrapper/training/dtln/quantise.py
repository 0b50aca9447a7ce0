"""A pair in int8: the LSTMs and dense layers, a third of the size, and faster where the processor multiplies bytes.

Signals are quantised as they come (dynamically), by the greatest value in one run; so what comes out depends a little
on how many frames and streams share a run. Encoder and decoder stay float32, as the audio itself passes through them.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx

from denoise_wrapper.errors import ModelError
from denoise_wrapper.training.dtln.export import make_session, write_pair
from denoise_wrapper.training.dtln.onnx_pairs import properties, read_model

QUANTISED_OPS = ["LSTM", "MatMul"]


def quantise_pair(source_1: Path, source_2: Path, target_1: Path, target_2: Path, overwrite: bool = False) -> None:
    """Write a pair of ours in int8.

    Raises ModelError if the sources are no pair that `export_pair` wrote, or the result cannot be run; FileError if a
    target cannot be written, or exists and overwrite is False. Then neither target is there.
    """
    models = [read_model(source_1), read_model(source_2)]
    for stage, (path, model) in enumerate(zip((source_1, source_2), models, strict=True), 1):
        if properties(model).get("stage") != str(stage):
            raise ModelError(
                f"{path} is not the {['first', 'second'][stage - 1]} model of a pair of ours; convert it first"
            )
    write_pair((quantise(models[0]), quantise(models[1])), target_1, target_2, overwrite)


def quantise(model: onnx.ModelProto) -> bytes:
    """The model's bytes in int8, run once."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    keep = [node.name for node in model.graph.node if node.output[0] in ("code", "frame_out")]
    notes = properties(model) | {"precision": "int8"}
    logging.disable(logging.WARNING)  # advice on preparing models of other kinds
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            quantize_dynamic(
                model, path, op_types_to_quantize=QUANTISED_OPS, nodes_to_exclude=keep, weight_type=QuantType.QInt8
            )
            small = onnx.load(path)
    finally:
        logging.disable(logging.NOTSET)
    onnx.helper.set_model_props(small, notes)
    content: bytes = small.SerializeToString(deterministic=True)
    session = make_session(content)
    shapes = [[size if isinstance(size, int) else 2 for size in item.shape] for item in session.get_inputs()]
    fed = {item.name: np.ones(shape, np.float32) for item, shape in zip(session.get_inputs(), shapes, strict=True)}
    if not all(np.isfinite(answer).all() for answer in session.run(None, fed)):
        raise ModelError("the pair in int8 answers what is no number; use it in float32")
    return content

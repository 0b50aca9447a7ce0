"""A pair in int8: the LSTMs, half the size of both files, and faster where the processor multiplies bytes.

Signals are quantised as they come (dynamically), by the greatest value in one run; so what comes out depends a little
on how many frames and streams share a run. What is not quantised would cost most of the likeness and save little: dense
layers, encoder and decoder, and an LSTM that hears plain magnitudes, of which the loud hide the faint.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx

from denoise_wrapper.atomic import transient
from denoise_wrapper.errors import ModelError
from denoise_wrapper.training.dtln.export import make_session
from denoise_wrapper.training.dtln.onnx_weights import properties


def quantise(model: onnx.ModelProto) -> bytes:
    """The model's bytes in int8, run once."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    notes = properties(model) | {"precision": "int8"}
    plain = notes.get("stage") == "1" and notes.get("norm") != "true"
    lstms = [node.name for node in model.graph.node if node.op_type == "LSTM"]
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # advice on preparing models of other kinds
    try:
        with tempfile.TemporaryDirectory() as folder, transient(Path(folder)):
            path = Path(folder) / "int8.onnx"
            quantize_dynamic(
                model,
                path,
                op_types_to_quantize=["LSTM"],
                nodes_to_exclude=lstms[:1] if plain else [],
                weight_type=QuantType.QUInt8,
                per_channel=True,
                reduce_range=True,  # 7 bits: AVX2 without VNNI adds two products of 8 bits in too few
            )
            small = onnx.load(path)
    finally:
        logging.disable(disabled)
    onnx.helper.set_model_props(small, notes)
    content: bytes = small.SerializeToString(deterministic=True)
    session = make_session(content)
    shapes = [[size if isinstance(size, int) else 2 for size in item.shape] for item in session.get_inputs()]
    fed = {item.name: np.ones(shape, np.float32) for item, shape in zip(session.get_inputs(), shapes, strict=True)}
    if not all(np.isfinite(answer).all() for answer in session.run(None, fed)):
        raise ModelError("the pair in int8 answers what is no number; use it in float32")
    return content

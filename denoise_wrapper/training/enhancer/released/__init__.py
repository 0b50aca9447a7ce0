"""Networks of others in our building blocks, with their released weights: to check those by, and as teachers."""

from __future__ import annotations

from pathlib import Path

from denoise_wrapper.training.enhancer.released.fastenhancer import MAGIC, read_fastenhancer
from denoise_wrapper.training.enhancer.released.frames import Released
from denoise_wrapper.training.enhancer.released.onnx_files import read_streaming_onnx

__all__ = ["Released", "load_teacher"]


def load_teacher(path: Path) -> Released:
    """The network of a file: FastEnhancer's FEW1, or UL-UNAS's or GTCRN's streaming ONNX.

    `denoise` cleans clips (clips, n) at `rate`, 48000 or 16000 Hz. Raises FileError or ModelError.
    """
    with open(path, "rb") as file:
        magic = file.read(len(MAGIC))
    return read_fastenhancer(path) if magic == MAGIC else read_streaming_onnx(path)

"""Weights in any form that we read, to the pair of ONNX files that the backends run, or to ncnn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from denoise_wrapper.atomic import make_folder
from denoise_wrapper.training.config import check_run_name
from denoise_wrapper.training.dtln.export import encode_pair, write_pair
from denoise_wrapper.training.dtln.importers import import_network
from denoise_wrapper.training.dtln.ncnn import write_ncnn
from denoise_wrapper.training.dtln.quantise import quantise


def convert(
    sources: Sequence[Path],
    folder: Path,
    name: str,
    changes: Mapping[str, str] | None = None,
    precision: str = "float32",
    overwrite: bool = False,
) -> tuple[Path, Path]:
    """Write NAME_1.onnx and NAME_2.onnx into a folder, which is made if need be, and return their paths.

    sources: see `import_network`; the folder of a training run stands for its best checkpoint. changes: metadata in
    place of what the sources say (licence, origin, sample_rate ...). precision: "float32"; "float16", half the size
    and next to no difference, see `encode_pair`; "int8", see `quantise`.
    Raises ConfigError for a name that no file can have, ModelError or FileError as reading and writing do.
    """
    check_run_name("name", name)
    network, metadata = import_network(sources)
    pair = encode_pair(network, {**metadata, **(changes or {}), "name": name}, precision == "float16")
    if precision == "int8":
        first, second = (quantise(onnx.load_model_from_string(content)) for content in pair)
        pair = (first, second)
    make_folder(folder)
    targets = (folder / f"{name}_1.onnx", folder / f"{name}_2.onnx")
    write_pair(pair, *targets, overwrite)
    return targets


def convert_ncnn(
    sources: Sequence[Path],
    folder: Path,
    name: str,
    changes: Mapping[str, str] | None = None,
    precision: str = "float32",
    overwrite: bool = False,
) -> tuple[list[Path], tuple[float, float]]:
    """Write a DTLN for ncnn, as `convert` does for ONNX Runtime; see `write_ncnn` for precisions, result and errors."""
    check_run_name("name", name)
    network, metadata = import_network(sources)
    return write_ncnn(network, folder, {**metadata, **(changes or {}), "name": name}, precision, overwrite)

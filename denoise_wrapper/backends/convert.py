"""Model files in and out: each form of RNNoise models, read into a ClassicModel or V02Model and written from it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from denoise_wrapper.atomic import atomic_path, check_target
from denoise_wrapper.backends.engine import MODEL_BYTES_MAX, ModelSource
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.errors import FileError, ModelError
from denoise_wrapper.models import classic
from denoise_wrapper.models.classic import ClassicModel, Layer
from denoise_wrapper.models.keras import is_keras
from denoise_wrapper.models.shipped import MODELS, read_model_bytes
from denoise_wrapper.models.v02 import Map, V02Model

__all__ = [
    "ClassicModel",
    "Layer",
    "Map",
    "RNNoiseBackend",
    "V02Model",
    "encode_model",
    "fingerprint",
    "may_be_rnnoise",
    "model_of",
    "read_any_model",
    "read_model",
    "shipped_pair",
    "write_model",
]

TORCH_MAGIC = (b"PK\x03\x04", b"\x80")  # of a file of tensors: a zip, or a bare pickle

_CLASSIC: dict[str, Callable[[ClassicModel], bytes]] = {
    ".rnnn": classic.to_text,
    ".rnn": classic.to_bytes,
    ".dnnw": classic.to_records,
    ".dnnw.c": classic.to_c_source,
    ".c": lambda model: classic.to_rnn_data(model, "rnn_data.h")[0],
}
_V02: dict[str, Callable[[V02Model], bytes]] = {
    ".bin": lambda model: model.data,
    ".dnnw": lambda model: model.data,
    ".dnnw.c": lambda model: classic.c_source(model.data, model.metadata),
}


def read_any_model(source: ModelSource | None) -> ClassicModel | V02Model:
    """A model of any form: .rnnn text, .rnn bytes, .dnnw records, a v0.2 blob, rnn_data.c (or our own C source), or
    Keras' .hdf5.

    source: path or bytes; None for the model compiled in. The form is told from the content, the engine's loader
    checks it. Raises FileError, or ModelError that names the layer and what is wrong.
    """
    return model_of(RNNoiseBackend(source))


def model_of(backend: RNNoiseBackend) -> ClassicModel | V02Model:
    """The model that a backend has loaded."""
    if backend.family == "classic":
        return ClassicModel(
            tuple(layer for layer in backend.layers if isinstance(layer, Layer)), dict(backend.metadata)
        )
    return V02Model(backend.data, tuple(m for m in backend.layers if isinstance(m, Map)), dict(backend.metadata))


def may_be_rnnoise(path: Path) -> bool:
    """True unless a file is, by its content, of a family whose weights lie in torch files, ONNX models or folders.

    An HDF5 file is RNNoise's if Keras saved it whole and it has a GRU. Raises FileError if it cannot be read.
    """
    if path.is_dir() or path.suffix.lower() == ".onnx":
        return False
    data = read_model_bytes(path, MODEL_BYTES_MAX)
    if data.startswith(TORCH_MAGIC):
        return False
    return not is_keras(data) or re.search(rb'"GRU"', data) is not None


def shipped_pair(name: str) -> list[Path]:
    """Return the paths of the two models of a DTLN that comes with the package."""
    return [MODELS / f"{name}_{number}.onnx" for number in (1, 2)]


def read_model(source: ModelSource | None) -> ClassicModel:
    """Read a classic network as `read_any_model` does. Raises ModelError for a v0.2 one."""
    model = read_any_model(source)
    if isinstance(model, V02Model):
        raise ModelError("this is the v0.2 network; a classic one is wanted (.rnnn, .rnn, .dnnw or .hdf5)")
    return model


def encode_model(model: ClassicModel | V02Model, suffix: str) -> bytes:
    """The bytes of a model file of that suffix: .rnnn, .rnn, .dnnw, .dnnw.c or .c.

    Only .dnnw and .dnnw.c, C source of its bytes for this package's own engine, hold the metadata; .c is the
    rnn_data.c of RNNoise 0.1, of which `write_model` writes the header too.
    A v0.2 model is written as .bin or .dnnw, which are the bytes that were read, or as .dnnw.c.
    Raises FileError for another suffix, ModelError if the model does not fit the form, or the engine could not load
    what would be written.
    """
    suffix = suffix.lower()
    if isinstance(model, V02Model):
        if suffix in _V02:
            return _V02[suffix](model)
        if suffix in _CLASSIC:
            raise ModelError(f"the model is the v0.2 network; {suffix} holds the classic one: write {', '.join(_V02)}")
    elif suffix in _CLASSIC:
        data = _CLASSIC[suffix](model)
        RNNoiseBackend(data)
        return data
    forms = _V02 if isinstance(model, V02Model) else _CLASSIC
    raise FileError(f"models are written as {', '.join(forms)}, not {suffix or 'without a suffix'}")


def write_model(model: ClassicModel | V02Model, path: str | os.PathLike[str], overwrite: bool = False) -> list[Path]:
    """Write a model in the form that the path's suffix names, see `encode_model`; returns the files written.

    NAME.c has NAME.h beside it. Raises FileError if a file exists and overwrite is False, or cannot be written;
    ModelError for a model that cannot be run, or does not fit the form.
    """
    target = Path(path)
    suffix = ".dnnw.c" if target.name.lower().endswith(".dnnw.c") else target.suffix
    contents = {target: encode_model(model, suffix)}
    if suffix.lower() == ".c" and isinstance(model, ClassicModel):
        header = target.with_suffix(".h")
        source, declared = classic.to_rnn_data(model, header.name)
        check_target(target, overwrite)
        contents = {header: declared, target: source}
    for file, data in contents.items():
        with atomic_path(file, overwrite) as part:
            part.write_bytes(data)
    return list(contents)


def fingerprint(model: ClassicModel | V02Model) -> str:
    """SHA-256, in hexadecimal: of the layers, the same for one classic network in whatever form; or of a v0.2 blob."""
    data = model.data if isinstance(model, V02Model) else classic.to_records(ClassicModel(model.layers))
    return hashlib.sha256(data).hexdigest()

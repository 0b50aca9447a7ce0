"""Model files in and out: each form of RNNoise models, read into one ClassicModel and written from it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.backends import classic
from denoise_wrapper.backends.classic import ClassicModel, Layer
from denoise_wrapper.backends.rnnoise import ModelSource, RNNoiseBackend
from denoise_wrapper.errors import FileError

__all__ = ["ClassicModel", "Layer", "encode_model", "fingerprint", "read_model", "write_model"]

_ENCODERS: dict[str, Callable[[ClassicModel], bytes]] = {
    ".rnnn": classic.to_text,
    ".rnn": classic.to_bytes,
    ".dnnw": classic.to_records,
    ".c": classic.to_c_source,
}


def read_model(source: ModelSource | None) -> ClassicModel:
    """A model of any form: .rnnn text, .rnn bytes, .dnnw records, rnn_data.c source, or Keras' .hdf5.

    source: path or bytes; None for the model compiled in. The form is told from the content, the engine's loader
    checks it. Raises FileError, or ModelError that names the layer and what is wrong.
    """
    backend = RNNoiseBackend(source)
    return ClassicModel(backend.layers, backend.metadata)


def encode_model(model: ClassicModel, suffix: str) -> bytes:
    """The bytes of a model file of that suffix: .rnnn, .rnn, .dnnw or .c (only the last two hold the metadata).

    Raises FileError for another suffix, ModelError if the engine could not load what would be written.
    """
    encoder = _ENCODERS.get(suffix.lower())
    if encoder is None:
        raise FileError(f"models are written as {', '.join(_ENCODERS)}, not {suffix or 'without a suffix'}")
    data = encoder(model)
    RNNoiseBackend(data)
    return data


def write_model(model: ClassicModel, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write a model in the form that the path's suffix names: see `encode_model`.

    Raises FileError if the file exists and overwrite is False, or cannot be written; ModelError for a model that
    cannot be run, or does not fit the form.
    """
    data = encode_model(model, Path(path).suffix)
    with atomic_path(path, overwrite) as part:
        part.write_bytes(data)


def fingerprint(model: ClassicModel) -> str:
    """SHA-256 of the layers, in hexadecimal: the same for one network in whatever form of file."""
    return hashlib.sha256(classic.to_records(ClassicModel(model.layers))).hexdigest()

"""UL-UNAS and GTCRN, networks of others for 16 kHz, by the C engine in native/, from the files that they released."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from denoise_wrapper._native import lib
from denoise_wrapper.backends.engine import (
    MODEL_BYTES_MAX,
    Buffer,
    EngineBackend,
    ModelSource,
    called,
    check_bytes,
    read_file,
    right_backend,
)
from denoise_wrapper.errors import FileError, ModelError
from denoise_wrapper.models.narrow import encode_narrow, is_narrow, is_released, kind_of, read_released
from denoise_wrapper.models.records import read_records
from denoise_wrapper.models.released import TITLES
from denoise_wrapper.models.shipped import MODELS, read_model_bytes


class NarrowBackend(EngineBackend):
    """UL-UNAS or GTCRN: 16 kHz, 256 samples (16 ms) a hop, late by 256 samples; no probability of speech.

    Immutable, shared by threads and streams. min_gain is the original's share of what comes out, bin by bin.

    model: path or bytes of a checkpoint or a streaming ONNX as they were released, or of a .dnnw that `convert` wrote;
    None for NAME.dnnw in models/. name: the backend's name, which says the network. isa: as `RNNoiseBackend` has it.
    Pickles by name and hash of the model, and its bytes if it is not the shipped one. Raises FileError, ModelError or
    ConfigError.
    """

    kind = "narrow"
    has_vad = False

    def __init__(self, model: ModelSource | None = None, name: str = "ulunas", isa: str | None = None) -> None:
        file = MODELS / f"{name}.dnnw" if model is None else model
        super().__init__(narrow_bytes(file, name), file, name, isa, shipped=model is None)

    def check_family(self, model: ModelSource | None) -> None:
        """Raise ModelError for another's model."""
        if lib.dn_model_family(self._model) != lib.DN_NARROW:
            raise ModelError(f"the model {called(model)} is {right_backend(self._model)}")

    @property
    def title(self) -> str:
        """The network's own name."""
        return TITLES[kind_of(self.data)]


def narrow_bytes(model: ModelSource, name: str) -> bytes:
    """A model file of the network called name as bytes that the engine loads; released files are converted.

    Raises FileError or ModelError.
    """
    data = bytes(model) if isinstance(model, Buffer) else read_file(model, name)
    check_bytes(data, model)
    kind = name
    try:
        if is_released(data):
            about = {} if isinstance(model, Buffer) else {"origin": Path(model).name}
            kind, data = read_released(data, about)
        elif is_narrow(data):
            kind = kind_of(data)
    except ModelError as error:
        raise ModelError(f"the model {called(model)} cannot be used: {error}") from error
    if name in TITLES and kind != name:
        raise ModelError(f"the model {called(model)} is {TITLES[kind]}'s; give it to the backend {kind}")
    return data


def renamed(backend: NarrowBackend, changes: dict[str, str]) -> bytes:
    """The bytes of a backend's model file with other metadata."""
    weights = read_records(backend.data)
    for other in ("metadata", "narrow_network"):
        weights.pop(other, None)
    return encode_narrow(kind_of(backend.data), weights, {**backend.metadata, **changes})


def narrow_kind(path: Any) -> str | None:
    """The backend that a file is for, if it holds one of these networks, in whatever form; None otherwise."""
    if not isinstance(path, str | os.PathLike) or os.path.isdir(path):
        return None
    try:
        data = read_model_bytes(path, MODEL_BYTES_MAX)
        if is_narrow(data):
            return kind_of(data)
        return read_released(data)[0] if is_released(data) else None
    except (FileError, ModelError):
        return None

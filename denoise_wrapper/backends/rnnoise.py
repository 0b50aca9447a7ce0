"""RNNoise by the C engine in native/."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.backends.engine import (
    Buffer,
    EngineBackend,
    ModelSource,
    called,
    check_bytes,
    read_file,
    right_backend,
)
from denoise_wrapper.backends.native import known_instruction_sets, text
from denoise_wrapper.errors import ConfigError, ModelError
from denoise_wrapper.models import classic
from denoise_wrapper.models import keras as keras_files
from denoise_wrapper.models.classic import ACTIVATIONS, Layer
from denoise_wrapper.models.rnn_data import is_rnn_data
from denoise_wrapper.models.shipped import LIBRARY_MAGIC, MODELS
from denoise_wrapper.models.v02 import Map

COMPILED_IN = "rnnoise"  # the name of the backend whose model is in the engine


class RNNoiseBackend(EngineBackend):
    """An RNNoise network: 48 kHz, 10 ms a hop, late by 480 samples if it is the classic one, by 960 if it is v0.2's.

    Immutable, shared by threads and streams.

    model: path or bytes of a model in any form that `model_bytes` knows; None for the one shipped under name, of which
    `rnnoise` is compiled in and any other is NAME.dnnw in models/.
    name: the backend's name. isa: the instruction set to use, one of `instruction_sets()`; None for the environment's
    DENOISE_WRAPPER_ISA, and without that the fastest that this processor has.
    Pickles by name and hash of the model, and its bytes if it is not the shipped one. Raises FileError, ModelError or
    ConfigError.
    """

    kind = "rnnoise"

    def __init__(self, model: ModelSource | None = None, name: str = "rnnoise", isa: str | None = None) -> None:
        file = MODELS / f"{name}.dnnw" if model is None and name != COMPILED_IN else model
        super().__init__(None if file is None else model_bytes(file), file, name, isa, shipped=model is None)

    def check_family(self, model: ModelSource | None) -> None:
        """Raise ModelError for another's model."""
        if lib.dn_model_family(self._model) not in (lib.DN_CLASSIC, lib.DN_V02):
            raise ModelError(f"the model {called(model)} is {right_backend(self._model)}")

    @property
    def family(self) -> str:
        """The network that the model is of: `classic` or `v0.2`."""
        return "v0.2" if lib.dn_model_family(self._model) == lib.DN_V02 else "classic"

    @cached_property
    def layers(self) -> tuple[Layer, ...] | tuple[Map, ...]:
        """The layers of a classic model with their weights, or what there is to say of those of a v0.2 model."""
        if self.family == "v0.2":
            return tuple(_map(lib.dn_model_map(self._model, index)) for index in range(lib.DN_MAPS))
        return tuple(_layer(lib.dn_model_layer(self._model, index)) for index in range(lib.DN_LAYERS))


def instruction_sets() -> tuple[str, ...]:
    """List the instruction sets that this processor runs, the fastest first."""
    return tuple(name for name in known_instruction_sets() if _runs(name))


def _runs(isa: str) -> bool:
    try:
        RNNoiseBackend(isa=isa)
    except ConfigError:
        return False
    return True


def model_bytes(model: ModelSource) -> bytes:
    """A model file as bytes that the engine loads: .rnnn, .rnn, .dnnw, .bin as they are, HDF5 and C source converted.

    model: its path, or its bytes. Which form it is, is told from the content. Raises FileError or ModelError.
    """
    data = bytes(model) if isinstance(model, Buffer) else read_file(model, "rnnoise")
    check_bytes(data, model)
    if data.startswith(LIBRARY_MAGIC):
        raise ModelError(f"{called(model)} is a shared library; its backend is librnnoise (-b librnnoise --model FILE)")
    try:
        if keras_files.is_keras(data):
            return classic.to_records(keras_files.read_keras(data))
        if classic.is_c_source(data):
            return classic.from_c_source(data)
        if is_rnn_data(data):
            return classic.from_rnn_data(data)
    except ModelError as error:
        raise ModelError(f"{called(model)}: {error}") from error
    return data


def _layer(layer: Any) -> Layer:
    """A Layer that shares no memory with the engine."""
    columns = layer.units * (3 if layer.is_gru else 1)

    def array(pointer: Any, *shape: int) -> NDArray[np.int8]:
        flat = np.frombuffer(ffi.buffer(pointer, int(np.prod(shape))), np.int8)
        return flat.reshape(shape).copy()

    return Layer(
        name=text(layer.name),
        activation=ACTIVATIONS[layer.activation],
        weights=array(layer.weights, layer.inputs, columns),
        recurrent=array(layer.recurrent, layer.units, columns) if layer.is_gru else None,
        bias=array(layer.bias, columns),
    )


def _map(entry: Any) -> Map:
    kind = "int8" if entry.is_int8 else "float"
    return Map(text(entry.name), entry.inputs, entry.outputs, kind, entry.weights, bool(entry.has_diagonal))

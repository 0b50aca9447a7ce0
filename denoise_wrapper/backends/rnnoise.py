"""RNNoise by the C engine in native/."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.arguments import shown
from denoise_wrapper.backends.base import Float32, Loaded, check_block, check_channels, remember, split_channels
from denoise_wrapper.backends.native import FLOATS, FRAME, check_status, known_instruction_sets, text
from denoise_wrapper.errors import ConfigError, ModelError
from denoise_wrapper.models import classic
from denoise_wrapper.models import keras as keras_files
from denoise_wrapper.models.classic import ACTIVATIONS, Layer
from denoise_wrapper.models.rnn_data import is_rnn_data
from denoise_wrapper.models.shipped import LIBRARY_MAGIC, MODELS, read_model_bytes
from denoise_wrapper.models.v02 import Map

COMPILED_IN = "rnnoise"  # the name of the backend whose model is in the engine
MODEL_BYTES_MAX = 64 << 20  # the classic network has 0.09 MB, a Keras file of it 1 MB, the v0.2 network 2 to 12 MB
METADATA_MAX = 1 << 20  # bytes, of which what is read takes many times as much

_FLOAT32 = np.dtype(np.float32)
_process, _empty, _from_buffer = lib.dn_process, np.empty, ffi.from_buffer  # at hand, as each live hop needs them

Buffer = bytes | bytearray | memoryview
ModelSource = str | os.PathLike[str] | Buffer


class RNNoiseBackend(Loaded):
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
    sample_rate: int = lib.DN_RATE
    hop: int = FRAME
    has_vad: bool = True

    def __init__(self, model: ModelSource | None = None, name: str = "rnnoise", isa: str | None = None) -> None:
        self.name, self.shipped = name, model is None
        self.options = {} if isa is None else {"isa": isa}
        if model is None and name != COMPILED_IN:
            model = MODELS / f"{name}.dnnw"
        self._source = None if model is None else model_bytes(model)
        self._model = _load(self._source, model)
        self.delay: int = lib.dn_model_delay(self._model)
        wanted = (os.environ.get("DENOISE_WRAPPER_ISA") or None) if isa is None else isa
        known = wanted is None or (isinstance(wanted, str) and wanted in known_instruction_sets())
        if not known or (wanted and lib.dn_model_set_isa(self._model, wanted.encode()) != lib.DN_OK):
            raise ConfigError(
                f"the instruction set {shown(wanted)} cannot be used here; this build knows "
                f"{' '.join(known_instruction_sets())} (isa=None and no DENOISE_WRAPPER_ISA: the fastest)"
            )
        remember(self)

    def new_state(self, channels: int) -> RNNoiseState:
        """Memory for one signal of so many channels, from silence."""
        return RNNoiseState(self, channels)

    def process_many(
        self, states: Sequence[RNNoiseState], blocks: Sequence[Float32], min_gain: float = 0.0
    ) -> list[tuple[Float32, Float32]]:
        """Clean a block of as many hops with each state in one call into C: bit for bit as in separate calls.

        The channels of all then read the weights together. AudioError leaves all states as they were.
        """
        for state, each in zip(states, blocks, strict=True):
            check_block(each, state.channels, FRAME)
        pointers = ffi.new("dn_state *[]", [pointer for state in states for pointer in state.owned])
        return split_channels(blocks, *_run(pointers, np.concatenate(blocks), min_gain))

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        return text(lib.dn_isa(self._model))

    @property
    def family(self) -> str:
        """The network that the model is of: `classic` or `v0.2`."""
        return "v0.2" if lib.dn_model_family(self._model) == lib.DN_V02 else "classic"

    @property
    def data(self) -> bytes:
        """The model file that the engine has loaded, bit for bit; what was converted for it is as it was converted."""
        if self._source is not None:
            return self._source
        size = ffi.new("size_t *")
        return bytes(ffi.buffer(lib.dn_builtin_bytes(size), size[0]))

    @cached_property
    def layers(self) -> tuple[Layer, ...] | tuple[Map, ...]:
        """The layers of a classic model with their weights, or what there is to say of those of a v0.2 model."""
        if self.family == "v0.2":
            return tuple(_map(lib.dn_model_map(self._model, index)) for index in range(lib.DN_MAPS))
        return tuple(_layer(lib.dn_model_layer(self._model, index)) for index in range(lib.DN_LAYERS))

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the model file (name, licence, origin ...); empty if there is none."""
        size = ffi.new("size_t *")
        text = lib.dn_model_metadata(self._model, size)
        if text == ffi.NULL:
            return {}
        if size[0] > METADATA_MAX:
            raise ModelError(f"metadata: {size[0]} bytes of it, and there may be {METADATA_MAX}")
        try:
            metadata = json.loads(ffi.buffer(text, size[0])[:].decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise ModelError(f"metadata: not JSON in UTF-8 ({error})") from error
        if not isinstance(metadata, dict):
            raise ModelError(f"metadata: a JSON object is wanted, not {type(metadata).__name__}")
        return metadata

    def __repr__(self) -> str:
        return f"<RNNoiseBackend {self.name!r} on {self.isa}>"


class RNNoiseState:
    """The memory of one signal, a C state a channel; one thread at a time. Copies and pickles go on bit for bit."""

    def __init__(self, backend: RNNoiseBackend, channels: int) -> None:
        self.backend = backend
        self.channels = check_channels(channels)
        self.owned = [_new_state(backend._model) for _ in range(channels)]
        self._states = ffi.new("dn_state *[]", self.owned)

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        """Clean whole hops: see `base.State`. The GIL is free during the one call into C."""
        check_block(block, self.channels, FRAME)
        return _run(self._states, block, min_gain)

    def reset(self) -> None:
        """Go back to silence, as fresh."""
        for state in self.owned:
            lib.dn_state_reset(state)

    def saved(self) -> list[bytes]:
        """Return the memory of each channel."""
        return [_saved(state) for state in self.owned]

    def restore(self, saved: Sequence[bytes]) -> None:
        """Go on from what `saved` returned. Raises ModelError if it is of another model."""
        for state, memory in zip(self.owned, saved, strict=True):
            check_status(lib.dn_state_restore(state, memory, len(memory)))

    def __reduce__(self) -> tuple[Any, ...]:
        from denoise_wrapper.backends import restore_state

        return restore_state, (self.backend, self.channels, self.saved())


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
    data = bytes(model) if isinstance(model, Buffer) else _read_file(model)
    if not data:
        raise ModelError(f"the model {_called(model)} is empty")
    if len(data) > MODEL_BYTES_MAX:
        raise ModelError(f"the model {_called(model)} has more than {MODEL_BYTES_MAX >> 20} MB; no model is so large")
    if data.startswith(LIBRARY_MAGIC):
        raise ModelError(
            f"{_called(model)} is a shared library; its backend is librnnoise (-b librnnoise --model FILE)"
        )
    try:
        if keras_files.is_keras(data):
            return classic.to_records(keras_files.read_keras(data))
        if classic.is_c_source(data):
            return classic.from_c_source(data)
        if is_rnn_data(data):
            return classic.from_rnn_data(data)
    except ModelError as error:
        raise ModelError(f"{_called(model)}: {error}") from error
    return data


def _read_file(model: str | os.PathLike[str]) -> bytes:
    if not isinstance(model, str | os.PathLike):
        came = f"{len(model)} of them" if isinstance(model, (list, tuple)) else type(model).__name__
        raise ModelError(f"the model of rnnoise is one path, or the file's bytes, not {came}")
    return read_model_bytes(model, MODEL_BYTES_MAX)


def _called(model: ModelSource | None) -> str:
    if model is None:
        return "compiled in"
    return "given as bytes" if isinstance(model, Buffer) else os.fspath(model)


def _load(data: bytes | None, model: ModelSource | None) -> Any:
    """A dn_model that frees itself. model is what the message calls it."""
    out = ffi.new("dn_model **")
    message = ffi.new("char[]", lib.DN_MESSAGE)
    if data is None:
        status = lib.dn_model_builtin(out, message)
    else:
        status = lib.dn_model_load(ffi.from_buffer(data), len(data), out, message)
    if status == lib.DN_BAD_MODEL:
        called = _called(model)
        hint = "; ONNX files are models of the dtln backends" if called.lower().endswith(".onnx") else ""
        raise ModelError(f"the model {called} cannot be used: {text(message)}{hint}")
    check_status(status)
    return ffi.gc(out[0], lib.dn_model_destroy)


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


def _run(states: Any, block: Float32, min_gain: float) -> tuple[Float32, Float32]:
    """(cleaned, voice) of a block whose rows are the channels of the states. The GIL is free during the call into C."""
    channels, samples = block.shape
    frames = samples // FRAME
    cleaned = _empty((channels, samples), _FLOAT32)
    voice = _empty((channels, frames), _FLOAT32)
    if frames == 0:
        return cleaned, voice
    noisy_at, clean_at = _from_buffer(FLOATS, block), _from_buffer(FLOATS, cleaned)
    status = _process(states, channels, noisy_at, clean_at, _from_buffer(FLOATS, voice), frames, min_gain)
    if status:
        check_status(status, block)
    return cleaned, voice


def _new_state(model: Any) -> Any:
    out = ffi.new("dn_state **")
    check_status(lib.dn_state_create(model, out))
    # The destructor holds model too: whatever is collected first, the state goes before the model it borrows.
    return ffi.gc(out[0], partial(_destroy_state, model))


def _destroy_state(model: Any, state: Any) -> None:
    lib.dn_state_destroy(state)


def _saved(state: Any) -> bytes:
    memory = bytearray(lib.dn_state_size(state))
    lib.dn_state_save(state, ffi.from_buffer(memory))
    return bytes(memory)

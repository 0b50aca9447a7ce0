"""Backends whose network and signal processing are the C engine's, native/, in one: RNNoise's, enhancers, DTLNs."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.arguments import shown
from denoise_wrapper.backends.base import (
    Float32,
    Loaded,
    check_block,
    check_blocks,
    check_channels,
    remember,
    split_channels,
)
from denoise_wrapper.backends.native import FLOATS, check_status, known_instruction_sets, text
from denoise_wrapper.errors import ConfigError, ModelError
from denoise_wrapper.models.shipped import read_model_bytes

MODEL_BYTES_MAX = 64 << 20  # the largest that there is has 12 MB
METADATA_MAX = 1 << 20  # bytes, of which what is read takes many times as much

_FLOAT32 = np.dtype(np.float32)
# At hand, as each live hop needs them.
_process, _empty, _from_buffer = lib.dn_process, np.empty, ffi.from_buffer

Buffer = bytes | bytearray | memoryview
ModelSource = str | os.PathLike[str] | Buffer


class EngineBackend(Loaded):
    """A model of the engine, at its own rate and hop. Immutable, shared by threads and streams.

    source: the bytes of a file that the engine reads; None for the model compiled in. model: its path or bytes, as
    messages name it. name: the backend's name. isa: the instruction set to use; None for the environment's
    DENOISE_WRAPPER_ISA, and without that the fastest that this processor has. shipped: see `Loaded`.
    Raises ModelError or ConfigError.
    """

    has_vad: bool = True

    def __init__(
        self, source: bytes | None, model: ModelSource | None, name: str, isa: str | None, shipped: bool
    ) -> None:
        self.name, self.shipped = name, shipped
        self.options = {} if isa is None else {"isa": isa}
        self._source = source
        self._model = _load(source, model)
        self.check_family(model)
        self.sample_rate: int = lib.dn_model_rate(self._model)
        self.hop: int = lib.dn_model_hop(self._model)
        self.delay: int = lib.dn_model_delay(self._model)
        choose_isa(self._model, isa)
        remember(self)

    @abstractmethod
    def check_family(self, model: ModelSource | None) -> None:
        """Raise ModelError if the model is not for this backend."""

    def new_state(self, channels: int) -> EngineState:
        """Memory for one signal of so many channels, from silence."""
        return EngineState(self, channels)

    def process_many(
        self, states: Sequence[EngineState], blocks: Sequence[Float32], min_gain: float = 0.0
    ) -> list[tuple[Float32, Float32]]:
        """Clean a block of as many hops with each state in one call into C: bit for bit as in separate calls.

        The channels of all then read the weights together. AudioError leaves all states as they were.
        """
        return process_states(states, blocks, self.hop, min_gain)

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        return text(lib.dn_isa(self._model))

    @property
    def data(self) -> bytes:
        """The model file that the engine has loaded, bit for bit; what was converted for it is as it was converted."""
        if self._source is not None:
            return self._source
        size = ffi.new("size_t *")
        return bytes(ffi.buffer(lib.dn_builtin_bytes(size), size[0]))

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the model file (name, licence, origin ...); empty if there is none."""
        import json  # here, as a DTLN needs none

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
        return f"<{type(self).__name__} {self.name!r} on {self.isa}>"


class EngineModel(Protocol):
    """A backend with a model in the engine."""

    _model: Any  # dn_model *
    hop: int


class EngineState:
    """The memory of one signal, a C state a channel; one thread at a time. Copies and pickles go on bit for bit."""

    def __init__(self, backend: EngineModel, channels: int) -> None:
        self.backend = backend
        self.channels = check_channels(channels)
        self._hop = backend.hop
        self.owned = [_new_state(backend._model) for _ in range(channels)]
        self.pointers = together([self])

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        """Clean whole hops: see `base.State`. The GIL is free during the one call into C."""
        frames = check_block(block, self.channels, self._hop)
        return _run(self.pointers, block, frames, min_gain)

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


def read_file(model: str | os.PathLike[str], name: str) -> bytes:
    """The bytes of the model file of backend name. Raises FileError or ModelError."""
    if not isinstance(model, str | os.PathLike):
        came = f"{len(model)} of them" if isinstance(model, (list, tuple)) else type(model).__name__
        raise ModelError(f"the model of {name} is one path, or the file's bytes, not {came}")
    return read_model_bytes(model, MODEL_BYTES_MAX)


def check_bytes(data: bytes, model: ModelSource) -> None:
    """Raise ModelError for a file that has no bytes, or too many."""
    if not data:
        raise ModelError(f"the model {called(model)} is empty")
    if len(data) > MODEL_BYTES_MAX:
        raise ModelError(f"the model {called(model)} has more than {MODEL_BYTES_MAX >> 20} MB; no model is so large")


def right_backend(model: Any) -> str:
    """Say whose a dn_model is, and which backend it is for, where it was given to another one."""
    family = lib.dn_model_family(model)
    if family == lib.DN_ENHANCER:
        return "an enhancer's; give it to the backend enhancer"
    if family == lib.DN_NARROW:
        return "one of the networks for 16 kHz; give it to the backend ulunas or gtcrn"
    return "an RNNoise network; give it to the backend rnnoise"


def called(model: ModelSource | None) -> str:
    """Name of a model in a message."""
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
        words = called(model)
        hint = "; ONNX files are models of the dtln backends" if words.lower().endswith(".onnx") else ""
        raise ModelError(f"the model {words} cannot be used: {text(message)}{hint}")
    check_status(status)
    return ffi.gc(out[0], lib.dn_model_destroy)


def process_states(
    states: Sequence[EngineState], blocks: Sequence[Float32], hop: int, min_gain: float
) -> list[tuple[Float32, Float32]]:
    """Clean a block of as many hops with each state of one model in one call into C."""
    frames = check_blocks((state.channels for state in states), blocks, hop)
    return split_channels(blocks, *_run(together(states), np.concatenate(blocks), frames, min_gain))


def together(states: Sequence[EngineState]) -> Any:
    """The C states of all channels, for one call."""
    return ffi.new("dn_state *[]", [pointer for state in states for pointer in state.owned])


def process_behind(
    guides: Any, states: Any, block: Float32, frames: int, held: Float32, min_gain: float
) -> tuple[Float32, Float32]:
    """(cleaned, voice) of a block through two models in a row in one call into C, as dn_process_behind has it.

    guides, states: the C states of the channels, the rows of block. held: float32 (channels, delay of the guides),
    moved on.
    """
    cleaned, voice = _empty(block.shape, _FLOAT32), _empty((len(block), frames), _FLOAT32)
    if frames:
        arrays = (_from_buffer(FLOATS, array) for array in (block, held, cleaned, voice))
        status = lib.dn_process_behind(guides, states, len(block), *arrays, frames, min_gain)
        if status:
            check_status(status, block)
    return cleaned, voice


def choose_isa(model: Any, isa: str | None) -> None:
    """Have a model use an instruction set; None for the environment's DENOISE_WRAPPER_ISA, or the fastest.

    Raises ConfigError if this processor or this build has none of that name.
    """
    wanted = (os.environ.get("DENOISE_WRAPPER_ISA") or None) if isa is None else isa
    known = wanted is None or (isinstance(wanted, str) and wanted in known_instruction_sets())
    if not known or (wanted and lib.dn_model_set_isa(model, wanted.encode()) != lib.DN_OK):
        raise ConfigError(
            f"the instruction set {shown(wanted)} cannot be used here; this build knows "
            f"{' '.join(known_instruction_sets())} (isa=None and no DENOISE_WRAPPER_ISA: the fastest)"
        )


def _run(states: Any, block: Float32, frames: int, min_gain: float) -> tuple[Float32, Float32]:
    """(cleaned, voice) of a block whose rows are the channels of the states. The GIL is free during the call into C."""
    channels, samples = block.shape
    cleaned = _empty((channels, samples), _FLOAT32)
    voice = _empty((channels, frames), _FLOAT32)
    if frames == 0:
        return cleaned, voice
    noisy_at, clean_at, voice_at = (_from_buffer(FLOATS, array) for array in (block, cleaned, voice))
    status = _process(states, channels, noisy_at, clean_at, voice_at, frames, min_gain)
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

"""RNNoise by the C engine in native/."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.backends.base import Float32, Loaded, remember, split_channels
from denoise_wrapper.errors import AudioError, ConfigError, DenoiseError, ModelError
from denoise_wrapper.models import classic
from denoise_wrapper.models import keras as keras_files
from denoise_wrapper.models.classic import ACTIVATIONS, Layer
from denoise_wrapper.models.shipped import MODELS, read_model_bytes
from denoise_wrapper.models.v02 import Map

FRAME: int = lib.DN_FRAME  # samples, 10 ms
COMPILED_IN = "rnnoise"  # the name of the backend whose model is in the engine
LOUDEST = float(lib.DN_LIMIT)  # full scale being 1
MODEL_BYTES_MAX = 64 << 20  # the classic network has 0.09 MB, a Keras file of it 1 MB, the v0.2 network 2 to 12 MB

_FLOATS, _FLOAT32 = ffi.typeof("float[]"), np.dtype(np.float32)
_process, _empty, _from_buffer = lib.dn_process, np.empty, ffi.from_buffer  # at hand, as each live hop needs them

Buffer = bytes | bytearray | memoryview
ModelSource = str | os.PathLike[str] | Buffer


class RNNoiseBackend(Loaded):
    """An RNNoise network: 48 kHz, 10 ms a hop, late by 480 samples if it is the classic one, by 960 if it is v0.2's.

    Immutable, shared by threads and streams.

    model: path or bytes of a model in any form that `model_bytes` knows; None for the one shipped under name, of which
    `rnnoise` is compiled in and any other is NAME.dnnw in models/.
    name: what it goes by. isa: the instruction set to use, `avx512`, `avx2`, `sse4.1`, `neon-dotprod`, `neon` or
    `scalar`; None for the environment's DENOISE_WRAPPER_ISA, and without that the fastest that this processor has.
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
        isa = isa or os.environ.get("DENOISE_WRAPPER_ISA") or None
        if isa is not None and lib.dn_model_set_isa(self._model, isa.encode()) != lib.DN_OK:
            raise ConfigError(
                f"the instruction set {isa!r} cannot be used here; this build knows {_text(lib.dn_isa_names())} "
                "(isa=None and no DENOISE_WRAPPER_ISA: the fastest)"
            )
        remember(self)

    def new_state(self, channels: int) -> RNNoiseState:
        """Memory for one signal of so many channels, from silence."""
        return RNNoiseState(self, channels)

    def process_many(
        self, states: Sequence[RNNoiseState], blocks: Sequence[Float32], min_gain: float = 0.0
    ) -> list[tuple[Float32, Float32]]:
        """What each state makes of its block, all of as many hops, in one call into C: the same bit for bit.

        The channels of all then read the weights together. AudioError leaves all states as they were.
        """
        for state, each in zip(states, blocks, strict=True):
            state.check(each)
        pointers = ffi.new("dn_state *[]", [pointer for state in states for pointer in state.owned])
        return split_channels(blocks, *_run(pointers, np.concatenate(blocks), min_gain))

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        return _text(lib.dn_isa(self._model))

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
        """What the model file says about itself (name, licence, origin ...); empty if it does not."""
        size = ffi.new("size_t *")
        text = lib.dn_model_metadata(self._model, size)
        if text == ffi.NULL:
            return {}
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
        if channels < 1:
            raise AudioError(f"a signal has 1 channel or more, not {channels}")
        self.backend = backend
        self._channels = channels
        self.owned = [_new_state(backend._model) for _ in range(channels)]
        self._states = ffi.new("dn_state *[]", self.owned)

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        """Clean whole hops: see `base.State`. The GIL is free during the one call into C."""
        self.check(block)
        return _run(self._states, block, min_gain)

    def check(self, block: Float32) -> None:
        """Raises AudioError for a block of another shape or type."""
        channels, samples = block.shape
        if channels != self._channels or samples % FRAME or block.dtype != _FLOAT32:
            raise AudioError(
                f"a block of {self._channels} channel(s) is float32 ({self._channels}, n * {FRAME}), "
                f"not {block.dtype} {block.shape}"
            )

    def reset(self) -> None:
        """Go back to silence, as fresh."""
        for state in self.owned:
            lib.dn_state_reset(state)

    def restore(self, saved: Sequence[bytes]) -> None:
        """Go on from there. saved: the bytes of each channel. Raises ModelError if they are of another model."""
        for state, memory in zip(self.owned, saved, strict=True):
            _check(lib.dn_state_restore(state, memory, len(memory)))

    def __reduce__(self) -> tuple[Any, ...]:
        from denoise_wrapper.backends import restore_state

        return restore_state, (self.backend, self._channels, [_saved(state) for state in self.owned])


@dataclass(frozen=True)
class Extracted:
    """What `FeatureExtractor` finds of n frames; F features and B bands as its network has them.

    Energies have the scale of the features: powers of int16 samples / 960, summed over a band.
    """

    features: Float32  # (n, F), zero in frames too quiet to be run
    gains: Float32  # (n, B), 0 to 1, or -1 where no answer can be told
    clean_energy: Float32  # (n, B), of the clean bands
    energy: Float32  # (n, B), of the noisy bands
    pitch_energy: Float32  # (n, B), of the noisy bands one pitch period ago
    coherence: Float32  # (n, B), of the noisy bands and themselves one pitch period ago


@dataclass(frozen=True)
class Spectra:
    """Spectra of n frames: complex64 (n, 481), 50 Hz a bin, of the 20 ms that end with it; scaled as energies."""

    noisy: NDArray[np.complex64]
    pitch: NDArray[np.complex64]  # of the noisy signal one pitch period ago
    clean: NDArray[np.complex64]


class FeatureExtractor:
    """What a network sees and should answer, computed by the engine's own code; one signal, one thread at a time.

    family: the network, `classic` (42 features, 22 bands) or `v0.2` (65 features, 32 bands).
    """

    def __init__(self, family: str = "classic") -> None:
        sizes = {"classic": (lib.DN_FEATURES, lib.DN_BANDS), "v0.2": (lib.DN_V02_FEATURES, lib.DN_V02_BANDS)}
        if family not in sizes:
            raise ConfigError(f"the family of a network is {' or '.join(sizes)}, not {family!r}")
        self.features, self.bands = sizes[family]
        out = ffi.new("dn_extractor **")
        _check(lib.dn_extractor_create(lib.DN_V02 if family == "v0.2" else lib.DN_CLASSIC, out))
        self._extractor = ffi.gc(out[0], lib.dn_extractor_destroy)

    def extract(self, noisy: Float32, clean: Float32) -> Extracted:
        """Features and targets of whole frames; memory carries on from call to call.

        noisy, clean: float32 (n * 480,), 48 kHz, full scale +-1, in time with each other.
        Raises AudioError for other shapes or types, or a sample that is not finite (nothing has changed then).
        """
        return self.extract_spectra(noisy, clean, spectra=False)[0]

    def extract_spectra(self, noisy: Float32, clean: Float32, spectra: bool = True) -> tuple[Extracted, Spectra | None]:
        """The same, and the spectra that it comes from."""
        for what, signal in (("noisy", noisy), ("clean", clean)):
            if signal.ndim != 1 or signal.dtype != np.float32 or signal.shape != noisy.shape or len(signal) % FRAME:
                raise AudioError(
                    f"noisy and clean are both float32 (n * {FRAME},); {what} is {signal.dtype} {signal.shape}"
                )
        frames, widths = len(noisy) // FRAME, {"features": self.features}
        found = {item.name: np.empty((frames, widths.get(item.name, self.bands)), np.float32)
                 for item in dataclasses.fields(Extracted)}  # fmt: skip
        shape = (frames, lib.DN_BINS) if spectra else (0, lib.DN_BINS)
        bins = [np.empty(shape, np.complex64) for _ in range(3)]
        if frames:
            out = ffi.new("dn_extracted *", {name: _floats(array) for name, array in found.items()})
            if spectra:
                out.spectrum, out.pitch_spectrum, out.clean_spectrum = (_floats(array) for array in bins)
            noisy, clean = np.ascontiguousarray(noisy), np.ascontiguousarray(clean)
            _check(lib.dn_extract(self._extractor, _floats(noisy), _floats(clean), frames, out), noisy, clean)
        return Extracted(**found), Spectra(*bins) if spectra else None


def known_instruction_sets() -> tuple[str, ...]:
    """The instruction sets that this build of the engine knows, the fastest first."""
    return tuple(_text(lib.dn_isa_names()).split())


def instruction_sets() -> tuple[str, ...]:
    """Those of them that this processor runs."""
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
    try:
        if keras_files.is_keras(data):
            return classic.to_records(keras_files.read_keras(data))
        if classic.is_c_source(data):
            return classic.from_c_source(data)
    except ModelError as error:
        raise ModelError(f"{_called(model)}: {error}") from error
    return data


def _read_file(model: str | os.PathLike[str]) -> bytes:
    if not isinstance(model, str | os.PathLike):
        found = f"{len(model)} of them" if isinstance(model, (list, tuple)) else type(model).__name__
        raise ModelError(f"the model of rnnoise is one path, or the file's bytes, not {found}")
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
        raise ModelError(f"the model {called} cannot be used: {_text(message)}{hint}")
    _check(status)
    return ffi.gc(out[0], lib.dn_model_destroy)


def _layer(layer: Any) -> Layer:
    """A Layer that shares no memory with the engine."""
    columns = layer.units * (3 if layer.is_gru else 1)

    def array(pointer: Any, *shape: int) -> NDArray[np.int8]:
        flat = np.frombuffer(ffi.buffer(pointer, int(np.prod(shape))), np.int8)
        return flat.reshape(shape).copy()

    return Layer(
        name=_text(layer.name),
        activation=ACTIVATIONS[layer.activation],
        weights=array(layer.weights, layer.inputs, columns),
        recurrent=array(layer.recurrent, layer.units, columns) if layer.is_gru else None,
        bias=array(layer.bias, columns),
    )


def _map(found: Any) -> Map:
    kind = "int8" if found.is_int8 else "float"
    return Map(_text(found.name), found.inputs, found.outputs, kind, found.weights, bool(found.has_diagonal))


def _run(states: Any, block: Float32, min_gain: float) -> tuple[Float32, Float32]:
    """(cleaned, voice) of a block whose rows are the channels of the states. The GIL is free during the call into C."""
    channels, samples = block.shape
    frames = samples // FRAME
    cleaned = _empty((channels, samples), _FLOAT32)
    voice = _empty((channels, frames), _FLOAT32)
    if frames == 0:
        return cleaned, voice
    given, made, heard = _from_buffer(_FLOATS, block), _from_buffer(_FLOATS, cleaned), _from_buffer(_FLOATS, voice)
    status = _process(states, channels, given, made, heard, frames, min_gain)
    if status:
        _check(status, block)
    return cleaned, voice


def _new_state(model: Any) -> Any:
    out = ffi.new("dn_state **")
    _check(lib.dn_state_create(model, out))
    # The destructor holds model too: whatever is collected first, the state goes before the model it borrows.
    return ffi.gc(out[0], partial(_destroy_state, model))


def _destroy_state(model: Any, state: Any) -> None:
    lib.dn_state_destroy(state)


def _saved(state: Any) -> bytes:
    memory = bytearray(lib.dn_state_size(state))
    lib.dn_state_save(state, ffi.from_buffer(memory))
    return bytes(memory)


def _floats(array: Float32) -> Any:
    """A pointer to a C-contiguous float32 array, without a copy."""
    return _from_buffer(_FLOATS, array)


def _text(pointer: Any) -> str:
    text: bytes = ffi.string(pointer)
    return text.decode("utf-8", "replace")


def _check(status: int, *signals: Float32) -> None:
    """Turn a dn_status into the exception it means. signals: what was given to C, for the place of a bad sample."""
    if status == lib.DN_OK:
        return
    if status == lib.DN_NO_MEMORY:
        raise MemoryError("no memory for the engine")
    if status == lib.DN_NOT_FINITE:
        raise AudioError(_where_not_finite(signals))
    if status == lib.DN_BAD_STATE:
        raise ModelError(
            "the saved state is damaged, or was saved from a stream with another model; start a new stream"
        )
    raise DenoiseError(f"the engine answered with an unknown code, {status}")


def _where_not_finite(signals: tuple[Float32, ...]) -> str:
    for signal in signals:
        bad = np.argwhere(~(np.abs(signal) <= LOUDEST))
        if len(bad):
            channel = f" of channel {bad[0][0]}" if signal.ndim == 2 else ""
            value = signal[tuple(bad[0])]
            rule = f"be within +-{LOUDEST:g}, full scale being 1" if np.isfinite(value) else "be finite"
            return f"sample {bad[0][-1]}{channel} of the block is {value}; every sample must {rule}"
    return f"a sample is not finite, or beyond +-{LOUDEST:g}"

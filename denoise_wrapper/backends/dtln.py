"""The DTLN backends: pairs of ONNX models in the engine, and in ONNX Runtime those that the engine does not know."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.arguments import shown, whole
from denoise_wrapper.backends.base import Float32, Loaded, State, remember
from denoise_wrapper.backends.engine import EngineState, choose_isa, process_states
from denoise_wrapper.backends.native import check_status, text
from denoise_wrapper.errors import ConfigError, ModelError, needs_package
from denoise_wrapper.models.onnx import (
    Source,
    called,
    check_length,
    check_notes,
    check_source,
    find_pair,
    read_notes,
    read_source,
)

RATES = {"dtln-16k": 16000, "dtln-32k": 32000}  # Hz, by the name of the backend
RUNTIMES = ("engine", "onnxruntime")
PRECISIONS = ("float", "int8")
SHIPPED_PRECISION = {"dtln-16k": "int8", "dtln-32k": "float"}  # within 0.02 PESQ, 0.1 dB and 0.01 OVRL of floats
BLOCK_S = 0.032  # seconds of a block
OVERLAP = 4  # blocks that each sample is in
MOST_THREADS = 1024  # beyond which no machine has cores


class DTLNBackend(Loaded):
    """A DTLN as a pair of ONNX models: blocks of 32 ms, a hop every 8 ms, late by 24 ms. Immutable, shared by threads.

    model: the two files, paths or bytes in either order; or the folder they are in; None for the shipped pair.
    name: `dtln-16k` or `dtln-32k`, which tells the rate.
    runtime: `engine`, this package's own; or `onnxruntime`, which needs the extra [onnx]; None for the engine, and ONNX
    Runtime for pairs that the engine does not know. threads: those that ONNX Runtime may use for one run; more than one
    asks for it.
    precision: of the engine's weights, `float`, as the files have them, or `int8`; None for floats, but int8 of a
    shipped pair that cleans as well with it. isa: as `RNNoiseBackend` has it.
    Pickles by name and hash of the models, and their bytes if they are not the shipped pair. Raises FileError,
    ModelError or ConfigError.
    """

    kind = "dtln"
    has_vad: bool = False

    def __init__(
        self,
        model: str | os.PathLike[str] | Sequence[Source] | None = None,
        name: str = "dtln-16k",
        threads: int = 1,
        runtime: str | None = None,
        precision: str | None = None,
        isa: str | None = None,
    ) -> None:
        if not isinstance(name, str) or name not in RATES:
            raise ModelError(f"there is no DTLN called {shown(name)}; known are {', '.join(RATES)}")
        count = whole(threads)
        if count is None or not 1 <= count <= MOST_THREADS:
            raise ConfigError(f"threads is a number, 1 to {MOST_THREADS}, not {shown(threads)}")
        _check_choices(count, runtime, precision, isa)
        self.name, self.shipped = name, model is None
        options = {"runtime": runtime, "precision": precision, "isa": isa}
        self.options = {"threads": count} if count > 1 else {}
        self.options |= {key: value for key, value in options.items() if value is not None}
        only_engine = runtime == "engine" or precision is not None or isa is not None
        self.sample_rate: int = RATES[name]
        block = round(BLOCK_S * self.sample_rate)
        self.hop: int = block // OVERLAP
        self.delay: int = block - self.hop
        self._onnx: Any = None  # OnnxPair, where ONNX Runtime runs it
        sources = find_pair(model, name)
        data = read_source(sources[0]), read_source(sources[1])
        pair = " and ".join(map(called, sources))
        self._model, reason, is_wrong = None, None, False
        if runtime != "onnxruntime" and count == 1:
            precision = precision or (SHIPPED_PRECISION[name] if self.shipped else "float")
            self._model, reason, is_wrong = _load(data, precision)
        if self._model is None:
            for each, source in zip(data, sources, strict=True):
                check_source(each, source)
        if is_wrong:
            raise ModelError(f"{pair} cannot be used as {name}: {reason}")
        if self._model is None:
            self._onnx = self._open(data, sources, reason, only_engine, count)
            self._data: tuple[bytes, bytes] = self._onnx.data
        else:
            choose_isa(self._model, isa)
            self._data = data[::-1] if lib.dn_model_is_swapped(self._model) else data
            try:
                check_length(OVERLAP * lib.dn_model_hop(self._model), self.sample_rate, block)
                check_notes((read_notes(self._data[0]), read_notes(self._data[1])), self.sample_rate, block)
            except ModelError as error:
                raise ModelError(f"{pair} cannot be used as {name}: {error}") from error
        remember(self)

    def _open(
        self,
        data: tuple[bytes, bytes],
        sources: tuple[Source, Source],
        reason: str | None,
        only_engine: bool,
        threads: int,
    ) -> Any:
        """The pair in ONNX Runtime. reason: why the engine does not run it; None if it was not asked."""
        unknown = f"the engine does not know {' and '.join(map(called, sources))}: {reason}"
        if only_engine:
            raise ModelError(f"{unknown}; runtime='onnxruntime' may run it")
        try:
            from denoise_wrapper.backends.onnx import OnnxPair
        except ModuleNotFoundError as error:
            if error.name != "onnxruntime":
                raise
            what = (
                "ONNX Runtime was asked for, which needs" if reason is None else f"{unknown}; to run it otherwise needs"
            )
            raise ModelError(needs_package(what, error, "onnx")) from error
        return OnnxPair(data, sources, self.name, self.sample_rate, self.hop, threads, strange=not self.shipped)

    @property
    def runtime(self) -> str:
        """The one that runs the pair, `engine` or `onnxruntime`."""
        return "engine" if self._onnx is None else "onnxruntime"

    @property
    def isa(self) -> str:
        """The instruction set that the engine uses; "" where ONNX Runtime runs the pair, which has its own."""
        return "" if self._model is None else text(lib.dn_isa(self._model))

    @property
    def data(self) -> tuple[bytes, bytes]:
        """The files that were loaded, bit for bit, the first model first."""
        return self._data

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of the two files (name, licence, origin ...); empty if there is none."""
        notes = {key: note for each in self._data for key, note in read_notes(each).items()}
        notes.pop("stage", None)
        return notes

    def new_state(self, channels: int) -> State:
        """Memory for one signal of so many channels, from silence."""
        if self._onnx is not None:
            state: State = self._onnx.new_state(self, channels)
            return state
        return EngineState(self, channels)

    def process_many(
        self, states: Sequence[Any], blocks: Sequence[Float32], min_gain: float = 0.0
    ) -> list[tuple[Float32, Float32]]:
        """Clean a block of as many hops with each state, in one call: in the engine bit for bit as in separate calls.

        ONNX Runtime does not promise to sum in the same order then, though no difference has been seen.
        AudioError leaves all states as they were.
        """
        if self._onnx is not None:
            done: list[tuple[Float32, Float32]] = self._onnx.process_many(states, blocks, min_gain)
            return done
        return process_states(states, blocks, self.hop, min_gain)

    def __repr__(self) -> str:
        return f"<DTLNBackend {self.name!r} in {self.runtime}>"


def _check_choices(threads: int, runtime: str | None, precision: str | None, isa: str | None) -> None:
    """Raise ConfigError for choices that are none, or do not go together."""
    for name, value, known in (("runtime", runtime, RUNTIMES), ("precision", precision, PRECISIONS)):
        if value is not None and (not isinstance(value, str) or value not in known):
            raise ConfigError(f"{name} is {' or '.join(known)}, not {shown(value)}")
    if runtime == "engine" and threads > 1:
        raise ConfigError(f"the engine runs a pair in one thread, not {threads}; leave threads or runtime='engine' out")
    if (precision is not None or isa is not None) and (runtime == "onnxruntime" or threads > 1):
        raise ConfigError("precision and isa are the engine's, and ONNX Runtime is asked for; leave them out")


def _load(data: tuple[bytes, bytes], precision: str) -> tuple[Any, str | None, bool]:
    """A dn_model that frees itself; or None, the reason, and whether it is a fault of the files, and no ignorance."""
    out, message = ffi.new("dn_model **"), ffi.new("char[]", lib.DN_MESSAGE)
    weights = lib.DN_INT8 if precision == "int8" else lib.DN_AS_STORED
    first, second = map(ffi.from_buffer, data)
    status = lib.dn_model_load_pair(first, len(first), second, len(second), weights, out, message)
    if status in (lib.DN_UNKNOWN_MODEL, lib.DN_BAD_MODEL):
        return None, text(message), status == lib.DN_BAD_MODEL
    check_status(status)
    return ffi.gc(out[0], lib.dn_model_destroy), None, False

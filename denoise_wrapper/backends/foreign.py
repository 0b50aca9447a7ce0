"""A librnnoise shared library made by someone else, as a backend: whatever weights are compiled into it."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from denoise_wrapper.backends.base import Float32
from denoise_wrapper.backends.opaque import OpaqueState
from denoise_wrapper.errors import MissingFileError, ModelError
from denoise_wrapper.models.shipped import LIBRARY_MAGIC

# rnnoise_create took nothing in v0.1 and takes a model, or NULL for its own, since: an argument that is not looked
# for does no harm in any C calling convention, so one declaration serves both.
_DECLARATIONS = """
void *rnnoise_create(void *model);
void rnnoise_destroy(void *state);
float rnnoise_process_frame(void *state, float *out, const float *in);
int rnnoise_get_frame_size(void);
"""
_SUFFIX = re.compile(r"\.(so(\.\d+)*|dylib|dll)$", re.IGNORECASE)
FULL_SCALE = np.float32(32768)  # of the samples that librnnoise takes and gives
USUAL_FRAME = 480


def is_library(path: str | os.PathLike[str]) -> bool:
    """True for a shared library, by the file's first bytes, or by its name if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith(LIBRARY_MAGIC)
    except OSError:
        return _SUFFIX.search(os.fspath(path)) is not None


class ForeignBackend:
    """librnnoise as somebody built it, loaded at run time: 48 kHz, mono frames of 10 ms.

    path: the library. name: what it goes by; None for that of the file. delay: samples by which its output is late;
    None to measure it.
    Raises FileError if there is no such file, ModelError if it is no librnnoise that this machine can run.
    """

    sample_rate = 48000
    has_vad = True
    loudest = float(np.finfo(np.float32).max)
    instead = "use a model file (.rnnn) with the rnnoise backend"

    def __init__(self, path: str | os.PathLike[str], name: str | None = None, delay: int | None = None) -> None:
        self.path = Path(path).absolute()
        self.name = self.path.name if name is None else name
        self.ffi, self.lib = _load(self.path)
        self.hop = self._frame_size()
        self.delay = self._measured_delay() if delay is None else delay

    def new_state(self, channels: int) -> OpaqueState:
        """Memory for one signal of so many channels, from silence."""
        return OpaqueState(self, channels)

    def new_memory(self) -> Any:
        """Memory of one channel from silence."""
        memory = self.lib.rnnoise_create(self.ffi.NULL)
        if memory == self.ffi.NULL:
            raise MemoryError(f"{self.path} made no state")
        return self.ffi.gc(memory, self.lib.rnnoise_destroy)

    def clean_channel(self, memory: Any, samples: Float32, voice: Float32) -> None:
        """Clean the hops of one channel in place: see `opaque.OpaqueBackend`."""
        process, hop = self.lib.rnnoise_process_frame, self.hop
        samples *= FULL_SCALE
        frames = self.ffi.from_buffer("float[]", samples)
        for index in range(len(voice)):
            frame = frames + index * hop
            voice[index] = process(memory, frame, frame)
        samples /= FULL_SCALE

    def _frame_size(self) -> int:
        try:
            size = int(self.lib.rnnoise_get_frame_size())
        except AttributeError:  # the first versions did not tell
            return USUAL_FRAME
        if not 1 <= size <= self.sample_rate:
            raise ModelError(f"{self.path} says that its frames have {size} samples; {USUAL_FRAME} are usual")
        return size

    def _measured_delay(self) -> int:
        """Measure the output delay in samples by a click too faint to be cleaned, so that it passes as it is."""
        frames, at = 6, self.hop // 4
        click = np.zeros((1, frames * self.hop), np.float32)
        click[0, at] = 1 / FULL_SCALE
        cleaned, _ = OpaqueState(self, 1, delay=0).process(click)
        level = np.abs(cleaned[0])
        late = int(level.argmax()) - at
        return late if late >= 0 and level.max() > 0.1 / FULL_SCALE else self.hop

    def __reduce__(self) -> tuple[Any, ...]:
        from denoise_wrapper.backends import restore_backend

        return restore_backend, ("librnnoise", self.name, "", str(self.path), {"delay": self.delay})

    def __repr__(self) -> str:
        return f"ForeignBackend({str(self.path)!r})"


@functools.cache
def _load(path: Path) -> tuple[Any, Any]:
    """(ffi, library), checked to be a librnnoise."""
    from cffi import FFI

    if not path.is_file():
        raise MissingFileError(f"there is no library {path}")
    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        lib = ffi.dlopen(str(path))
    except OSError as error:
        raise ModelError(f"{path} is no shared library that can be loaded here: {error}") from error
    for name in ("rnnoise_create", "rnnoise_destroy", "rnnoise_process_frame"):
        if not hasattr(lib, name):
            raise ModelError(f"{path} is no librnnoise: it has no function {name}")
    return ffi, lib

"""Thin helpers between cffi and NumPy: pointers, texts, status codes as exceptions, instruction sets."""

from __future__ import annotations

from itertools import count, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.backends.base import Float32, refuse_bad_sample
from denoise_wrapper.errors import AudioError, DenoiseError, ModelError

FRAME: int = lib.DN_FRAME  # samples, 10 ms at 48 kHz
LOUDEST = float(lib.DN_LIMIT)  # the largest sample that the engine takes, full scale being 1
FLOATS = ffi.typeof("float[]")


def floats(array: Float32 | NDArray[np.complex64]) -> Any:
    """Point to the samples of a C-contiguous float32 array, or to the parts of a complex64 one, without a copy."""
    return ffi.from_buffer(FLOATS, array)


def text(pointer: Any) -> str:
    """Decode a C string."""
    content: bytes = ffi.string(pointer)
    return content.decode("utf-8", "replace")


def check_status(status: int, *signals: Float32) -> None:
    """Raise the exception that a dn_status means; none for DN_OK.

    signals: float32 (n,) or (channels, n), the input of the call, in which a bad sample is looked for.
    """
    if status == lib.DN_OK:
        return
    if status == lib.DN_NO_MEMORY:
        raise MemoryError("no memory for the engine")
    if status == lib.DN_NOT_FINITE:
        for signal in signals:
            refuse_bad_sample(signal, LOUDEST)
        raise AudioError(f"a sample is not finite, or beyond +-{LOUDEST:g}")
    if status == lib.DN_BAD_STATE:
        raise ModelError(
            "the saved state is damaged, or was saved from a stream with another model; start a new stream"
        )
    raise DenoiseError(f"the engine answered with an unknown code, {status}")


def known_instruction_sets() -> tuple[str, ...]:
    """List the instruction sets that this build of the engine knows, the fastest first."""
    return tuple(map(text, takewhile(bool, map(lib.dn_isa_name, count()))))  # a NULL ends them

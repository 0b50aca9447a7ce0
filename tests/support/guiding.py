"""A guided enhancer with a guide's answer by hand, as `dn_process_behind` gives it one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.backends.engine import EngineState
from denoise_wrapper.backends.native import FLOATS, FRAME, check_status

Float32 = NDArray[np.float32]


def process_guided(state: EngineState, block: Float32, guide: Float32, min_gain: float) -> tuple[Float32, Float32]:
    """Clean whole hops; (cleaned, voice). block, guide: float32 (channels, n * 480), in time with each other."""
    assert guide.shape == block.shape == (state.channels, block.shape[1])
    frames, remainder = divmod(block.shape[1], FRAME)
    assert not remainder
    cleaned, voice = np.empty_like(block), np.empty((state.channels, frames), np.float32)
    arrays = [ffi.from_buffer(FLOATS, array) for array in (block, guide, cleaned, voice)]
    check_status(lib.dn_process_guided(state.pointers, state.channels, *arrays, frames, min_gain), block)
    return cleaned, voice

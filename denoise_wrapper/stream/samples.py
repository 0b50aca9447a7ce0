"""Chunks as they come live into the engine's rows of floats, and out of a queue of them, in a call each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.audio import LOUDEST, Array

Float32 = NDArray[np.float32]

_NUMBERS: dict[np.dtype[Any], int] = {
    np.dtype(np.int16): lib.DN_INT16,
    np.dtype(np.int32): lib.DN_INT32,
    np.dtype(np.float32): lib.DN_FLOAT,
    np.dtype(np.float64): lib.DN_DOUBLE,
}
_FLOATS = ffi.typeof("float[]")
_empty, _from_buffer = np.empty, ffi.from_buffer
_take, _exchange = lib.dn_take_samples, lib.dn_exchange_samples


def type_number(chunk: Any, channels: int) -> int | None:
    """What the engine calls the type of a chunk; None unless it is an array of so many channels as it lies in C."""
    if type(chunk) is not np.ndarray:
        return None
    shape = chunk.shape
    if (len(shape) != 1 or channels != 1) and (len(shape) != 2 or shape[1] != channels):
        return None
    flags = chunk.flags
    return _NUMBERS.get(chunk.dtype) if flags.c_contiguous and flags.aligned else None


class Inlet:
    """Where one chunk at a time is laid out for the engine; the next one of the same length overwrites it."""

    def __init__(self, channels: int) -> None:
        self._channels, self._count = channels, -1  # frames of the chunk

    def take(self, chunk: Array, number: int) -> Float32 | None:
        """A chunk as float32 (channels, frames), full scale +-1; None if a sample is not finite or beyond LOUDEST.

        number: of its type.
        """
        count = len(chunk)
        if count != self._count:
            self._block = np.empty((self._channels, count), np.float32)
            self._at, self._count = _from_buffer(_FLOATS, self._block), count
        return None if _take(number, _from_buffer(chunk), self._channels, count, LOUDEST, self._at) else self._block

    def __reduce__(self) -> tuple[Any, ...]:
        return Inlet, (self._channels,)


class Fifo:
    """A queue of frames that begins with silence, and of which as many are taken as are put in.

    channels: samples a frame. silence: frames of zeros in it at first.
    """

    def __init__(self, channels: int, silence: int) -> None:
        self._start, self._end = 0, silence
        self._hold(np.zeros((channels, silence), np.float32))

    def _hold(self, data: Float32) -> None:
        self._data, self._room = data, data.shape[1]
        self._at = ffi.from_buffer(_FLOATS, data)

    def exchange(self, fresh: Float32, count: int) -> Float32:
        """Put frames (n, channels) in, and take the oldest count out, (count, channels), to be kept."""
        have = self._end - self._start
        taken = np.empty((count, len(self._data)), np.float32)
        if count <= have:
            self._put(fresh)
            taken[:] = self._data[:, self._start : self._start + count].T
            self._start += count
            return taken
        taken[:have] = self._data[:, self._start : self._end].T
        self._start = self._end = 0
        missing = count - have
        assert missing <= len(fresh), f"the queue ran dry: {have + len(fresh)} of {count} frames"
        taken[have:] = fresh[:missing]
        self._put(fresh[missing:])
        return taken

    def swap(self, fresh: Float32, number: int, like: Array) -> Array:
        """The same with a block (channels, n), as many out; what is taken has the shape and type of like.

        like: an array of n frames. number: of its type.
        """
        channels, count = fresh.shape
        if self._end + count > self._room:
            self._make_room(count)
        taken = _empty(like.shape, like.dtype)
        _exchange(
            number, self._at, self._room, self._start, self._end, _from_buffer(_FLOATS, fresh), channels, count,
            _from_buffer(taken),
        )  # fmt: skip
        self._start += count
        self._end += count
        return taken

    def _put(self, piece: Float32) -> None:
        end = self._end + len(piece)
        if end > self._room:
            self._make_room(len(piece))
            end = self._end + len(piece)
        self._data[:, self._end : end] = piece.T
        self._end = end

    def _make_room(self, count: int) -> None:
        """Move what is queued to the beginning, in twice the room that it needs now, so that this is seldom done."""
        have = self._end - self._start
        room = self._data
        if 2 * (have + count) > self._room:
            room = np.empty((len(room), 4 * (have + count)), np.float32)
        room[:, :have] = self._data[:, self._start : self._end].copy()
        self._start, self._end = 0, have
        if room is not self._data:
            self._hold(room)

    def __getstate__(self) -> dict[str, Any]:
        return {"start": 0, "end": self._end - self._start, "data": self._data[:, self._start : self._end].copy()}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._start, self._end = saved["start"], saved["end"]
        self._hold(saved["data"])

"""WAV files that grow for hours: readable at every moment, and past 4 GB."""

from __future__ import annotations

import os
import struct
import threading
from collections import deque

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import DenoiseError, file_error

Float32 = NDArray[np.float32]
MOST = 0xFFFFFFFF  # bytes that the sizes of a RIFF file can say
FLUSH_S = 0.5  # between two writes, after each of which the file is whole
WAITING_S = 20.0  # of sound that a slow disk may keep waiting


class GrowingWav:
    """A new WAV file of float32 that can be read after every `write`, whatever becomes of this process.

    Beyond 4 GB it becomes RF64 (EBU Tech 3306), for which room is left in its head. Raises FileError if path exists or
    cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str], rate: int, channels: int) -> None:
        self.path, self._rate, self._width, self._channels = path, rate, 4 * channels, channels
        try:
            self._file = open(path, "xb", buffering=0)  # noqa: SIM115  closed by close
        except FileExistsError as error:
            raise file_error(f"{path} exists, and a recording replaces nothing; name another", error) from error
        except OSError as error:
            raise file_error(f"cannot write {path}: {error.strerror}", error) from error
        self.size = 0  # bytes of samples
        self._put(self._head(), 0)
        self._start = len(self._head())

    def write(self, samples: Float32) -> None:
        """Append (frames, channels), and bring the sizes in the head up to it. Raises FileError."""
        data = samples.astype("<f4", copy=False).tobytes()
        self._put(data, self._start + self.size)  # first the samples: a head never says more than there is
        self.size += len(data)
        self._put(self._head(), 0)

    def close(self) -> None:
        self._file.close()

    def _put(self, data: bytes, at: int) -> None:
        try:
            self._file.seek(at)
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise file_error(f"cannot write {self.path}: {error.strerror}", error) from error

    def _head(self) -> bytes:
        frames = self.size // self._width
        form = struct.pack("<HHIIHHH", 3, self._channels, self._rate, self._rate * self._width, self._width, 32, 0)
        # RIFF, the room for ds64, fmt, fact, and the beginning of data
        length = 4 + (8 + 28) + (8 + len(form)) + (8 + 4) + 8 + self.size
        if length > MOST:
            name, junk = b"RF64", b"ds64" + struct.pack("<IQQQI", 28, length, self.size, frames, 0)
            length = size = count = MOST
        else:
            name, junk, size, count = b"RIFF", b"JUNK" + struct.pack("<I", 28) + bytes(28), self.size, frames
        return b"".join(
            (name, struct.pack("<I", length), b"WAVE", junk, b"fmt ", struct.pack("<I", len(form)), form,
             b"fact", struct.pack("<II", 4, count), b"data", struct.pack("<I", size))
        )  # fmt: skip


class Recorder:
    """Two recordings, noisy and clean, in time with each other, written by a thread of their own.

    latency: frames by which the clean one comes late; so many of it are left out. lost: frames that a disk was too slow
    for. error: why nothing more is written, or None.
    """

    def __init__(self, noisy: str, clean: str, rate: int, channels: int, latency: int) -> None:
        self._noisy = GrowingWav(noisy, rate, channels)
        try:
            self._clean = GrowingWav(clean, rate, channels)
        except DenoiseError:
            self._noisy.close()
            os.unlink(noisy)
            raise
        self._early, self._most = latency, round(WAITING_S * rate)
        self._waiting: deque[tuple[Float32, Float32]] = deque()
        self._frames = self.lost = 0
        self.error: DenoiseError | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="denoise-record", daemon=True)
        self._thread.start()

    def put(self, noisy: Float32, clean: Float32) -> None:
        """Take a copy of both. Never waits."""
        if self.error is not None or self._frames > self._most:
            self.lost += len(noisy)
            return
        self._frames += len(noisy)
        self._waiting.append((noisy.copy(), clean.copy()))

    def close(self, tail: Float32, keep: bool = True) -> None:
        """Write what waits, and the last frames of the clean one; raises what went wrong.

        keep: whether the files stay, which hold nothing if no device was ever open.
        """
        self._ended.set()
        self._thread.join()
        if self.error is None:
            self._drain()
            self._clean.write(tail[self._early :])
        self._noisy.close()
        self._clean.close()
        if not keep:
            for path in (self._noisy.path, self._clean.path):
                os.unlink(path)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        while not self._ended.wait(FLUSH_S) and self.error is None:
            try:
                self._drain()
            except DenoiseError as error:
                self.error = error

    def _drain(self) -> None:
        pairs = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not pairs:
            return
        self._noisy.write(np.concatenate([noisy for noisy, _ in pairs]))
        clean = np.concatenate([each for _, each in pairs])
        self._frames -= len(clean)
        cut = min(self._early, len(clean))
        self._early -= cut
        self._clean.write(clean[cut:])

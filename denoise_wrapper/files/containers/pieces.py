"""A file made of stretches of another one and of bytes between them, for readers that want a file as it should be."""

from __future__ import annotations

import bisect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

_BLOCK = 1 << 17  # bytes read at a time


@dataclass(frozen=True)
class Stretch:
    """A part of a file, in bytes."""

    start: int
    length: int


class FileBytes:
    """The bytes of a file by their places, read when asked for.

    Not a mmap: a file that another program cuts meanwhile would end the process.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._start, self._block = 0, b""
        self.found: dict[tuple[str, int], Any] = {}  # what readers have made of it, by their names and places

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, places: slice) -> bytes:
        start, stop = places.start or 0, places.stop
        at = start - self._start
        if at >= 0 and stop is not None and stop - self._start <= len(self._block):
            return self._block[at : stop - self._start]
        stop = self._size if stop is None else min(stop, self._size)
        if start >= stop:
            return b""
        if stop - start > _BLOCK:
            return self._read(start, stop - start)
        self._start, self._block = start, self._read(start, _BLOCK)
        return self._block[: stop - start]

    def _read(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        return self._file.read(length)

    def find(self, wanted: bytes, start: int = 0, stop: int | None = None) -> int:
        """Place of the first such bytes from start on; -1 if there are none."""
        end = self._size if stop is None else min(stop, self._size)
        while start < end:
            place = self[start : min(end, start + _BLOCK)].find(wanted)
            if place >= 0:
                return start + place
            start += _BLOCK - len(wanted) + 1
        return -1


def find_all(data: FileBytes, word: bytes, begin: int = 0) -> list[int]:
    """All places of a word of four bytes from begin on. NumPy compares pairs of bytes, several at once.

    Wherever the word lies, its first two bytes or those in its middle are a pair that begins at an even place.
    """
    pairs = [(np.frombuffer(word, "<u2", 1, at)[0], at) for at in (0, 1)]
    places = []
    for start in range(begin, len(data), _BLOCK - len(word)):
        block = data[start : start + _BLOCK]
        words = np.frombuffer(block, "<u2", len(block) // 2)
        for pair, at in pairs:
            if (found := words == pair).any():
                ends = (2 * int(place) - at for place in np.flatnonzero(found))
                places += [start + place for place in ends if place >= 0 and block[place : place + 4] == word]
    return sorted(set(places))


class Pieces:
    """A binary file for reading only: stretches of another file, and bytes, one behind the other.

    data: of the whole file. pieces: Stretch of it, or bytes in their place.
    """

    def __init__(self, data: FileBytes, pieces: Sequence[Stretch | bytes]) -> None:
        self._data = data
        self._pieces = [piece for piece in pieces if (piece if isinstance(piece, bytes) else piece.length)]
        self._ends: list[int] = []
        end = 0
        for piece in self._pieces:
            end += len(piece) if isinstance(piece, bytes) else piece.length
            self._ends.append(end)
        self._size, self._at = end, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes, all that are left for a size below 0."""
        buffer = bytearray(self._size - self._at if size < 0 else min(size, max(0, self._size - self._at)))
        return bytes(memoryview(buffer)[: self.readinto(buffer)])

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill a buffer as far as there are bytes; returns how many."""
        view, done = memoryview(buffer), 0
        index = bisect.bisect_right(self._ends, self._at)
        while done < len(view) and index < len(self._pieces):
            piece, left = self._pieces[index], self._ends[index] - self._at
            count = min(left, len(view) - done)
            if isinstance(piece, bytes):
                view[done : done + count] = piece[len(piece) - left : len(piece) - left + count]
            else:
                start = piece.start + piece.length - left
                view[done : done + count] = self._data[start : start + count]
            done, self._at = done + count, self._at + count
            index += self._at == self._ends[index]
        return done

"""MPEG transport streams as they lie on disk: packets that count themselves, so that missing ones show."""

from __future__ import annotations

from collections.abc import Collection
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_SYNC, _HEADER = 0x47, 4  # the first byte of each packet; bytes in which a packet says what it is
# Bytes of a packet, and where in them the sync byte is: plain, with a time in front (M2TS), with a checksum behind.
_FORMS = ((188, 0), (192, 4), (204, 0))
_SURE = 5  # packets in a row that tell the form
_BLOCK = 1 << 12  # packets looked at at once
_PERIOD = 16  # of the counter


def missing_packets(file: BinaryIO, pids: Collection[int]) -> dict[int, list[int]]:
    """Find where packets of streams are missing.

    pids: numbers of the streams. Returns for each the places, in bytes, of packets whose counter does not follow that
    of the one before; up to the place from which on the file is no row of packets any more.
    """
    places: dict[int, list[int]] = {pid: [] for pid in pids}
    file.seek(0)
    head = file.read(_SURE * 204 + 4)
    form = _form_of(head)
    if form is None:
        return places
    size, sync = form
    last: dict[int, int] = {}
    start = 0
    while True:
        file.seek(start)
        content = file.read(size * _BLOCK)
        count = len(content) // size
        if not count:
            return places
        packets = np.frombuffer(content, np.uint8, count * size).reshape(count, size)
        heads = packets[:, sync : sync + _HEADER + 2]
        synced = heads[:, 0] == _SYNC
        whole = count if synced.all() else int(np.argmin(synced))
        numbers = (heads[:whole, 1].astype(np.int64) & 0x1F) << 8 | heads[:whole, 2]
        for pid in pids:
            at = np.flatnonzero(numbers == pid)
            found, last[pid] = _jumps(heads[at], last.get(pid, -1))
            places[pid] += [start + int(place) * size for place in at[found]]
        if whole < count:
            return places
        start += count * size


def begins_mpegts(head: bytes) -> bool:
    """Tell if these bytes are the beginning of a transport stream."""
    return _form_of(head) is not None


def has_times(head: bytes) -> bool:
    """Tell if these bytes are the beginning of a transport stream with a time in front of each packet, an M2TS."""
    return _form_of(head) == _FORMS[1]


def _form_of(head: bytes) -> tuple[int, int] | None:
    return next(((size, sync) for size, sync in _FORMS if _is_row(head, size, sync)), None)


def _is_row(head: bytes, size: int, sync: int) -> bool:
    return all(head[sync + number * size : sync + number * size + 1] == b"G" for number in range(_SURE))


def _jumps(heads: NDArray[np.uint8], last: int) -> tuple[NDArray[np.intp], int]:
    """Which packets of one stream do not follow the one before, and the last counter; last: that of the one before.

    Only packets with content count; one may come twice; one may say itself that the counter jumps.
    """
    with_content = heads[:, 3] & 0x10 != 0
    adapted = heads[:, 3] & 0x20 != 0
    announced = adapted & (heads[:, 4] > 0) & (heads[:, 5] & 0x80 != 0)
    counters = heads[:, 3].astype(np.int64) & 0x0F
    index = np.flatnonzero(with_content)
    if not len(index):
        return index, last
    counters = counters[index]
    before = np.concatenate([[counters[0] - 1 if last < 0 else last], counters[:-1]])
    step = (counters - before) % _PERIOD
    return index[(step > 1) & ~announced[index]], int(counters[-1])

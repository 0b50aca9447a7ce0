"""Files of uploads while they are worked on: under one quota, in a folder that nobody else reads, gone at exit."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from denoise_wrapper.atomic import scratch
from denoise_wrapper.errors import MissingFileError
from denoise_wrapper.serve.limits import RefusalError

NAME = "denoise-wrapper-serve"  # of the folder, which `scratch` makes a name of, and finds again after a kill


class Spool:
    """A folder for uploads, of so many bytes in all. One thread, that of the loop, opens and closes its places."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._places: set[Place] = set()

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        return sum(place.size for place in list(self._places))

    @contextlib.contextmanager
    def place(self) -> Iterator[Place]:
        """Make a folder for one upload and its result, which is gone at the end of the block."""
        with room():
            folder = Path(tempfile.mkdtemp(dir=self._folder))
        place = Place(folder, self)
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.discard(place)
            shutil.rmtree(folder, ignore_errors=True)

    def check(self) -> None:
        """Raise RefusalError if more is taken than may be."""
        if self.used > self._limit:
            raise _full("the server's room for uploads is taken; try later, or with a shorter file")


class Place:
    """The folder of one upload. source: the file that came. target: that which is made. size: bytes of both.

    whole: whether all of the source has come.
    """

    def __init__(self, folder: Path, spool: Spool) -> None:
        # Named as results are, so that no list of results is made beside it; without a suffix, so that the content says
        # what it is.
        self.source, self.target = folder / "audio", folder / "audio_denoised"
        self.folder, self.size, self._spool = folder, 0, spool
        self.whole = False

    def grow(self, size: int) -> None:
        """Take room for so many bytes more. Raises RefusalError if there is none."""
        self.size += size
        self._spool.check()

    def look(self) -> None:
        """Take room for what lies there by now. Raises RefusalError if there is none."""
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            self.size = sum(entry.stat().st_size for entry in entries)
        self._spool.check()


@contextlib.contextmanager
def open_spool(folder: Path | None, limit: int) -> Iterator[Spool]:
    """Make the folder of a server's uploads. folder: in which; None for the system's. limit: bytes.

    What a server that was killed has left is removed. Raises FileError if it cannot be made.
    """
    base = Path(tempfile.gettempdir()) if folder is None else folder
    if not base.is_dir():
        raise MissingFileError(f"there is no folder {base} for uploads; make it, or name another (--spool)")
    with scratch(base / NAME) as mine:
        mine.chmod(0o700)
        yield Spool(mine, limit)


@contextlib.contextmanager
def room() -> Iterator[None]:
    """Make a refusal of a disk that is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise _full("the server's disk is full; try later, or with a shorter file") from error
        raise


def _full(message: str) -> RefusalError:
    return RefusalError(HTTPStatus.INSUFFICIENT_STORAGE, message, "disk", 60)

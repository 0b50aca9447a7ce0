"""Pipes, standard input and file objects: read once, into a plain file that is deleted after use."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from denoise_wrapper.errors import FileError, FolderFileError, file_error

_BLOCK = 1 << 20  # bytes
_WAIT_S = 0.1  # between two looks at whether anybody still wants the file
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class Behind:
    """A stream of which the first bytes were read already.

    head: those bytes. rest: the stream. name: its name in messages.
    """

    def __init__(self, head: bytes, rest: IO[bytes], name: str) -> None:
        self._head, self._rest, self.name = head, rest, name

    def read(self, size: int = -1) -> bytes:
        """Read up to size bytes, or all for a size below 0."""
        if size < 0:
            head, self._head = self._head, b""
            return head + self._rest.read()
        head, self._head = self._head[:size], self._head[size:]
        return head or self._rest.read(size)


def check_readable(path: Path) -> bool:
    """Check that a path is a file with something in it, and nothing is read of it; tells if it is a pipe.

    Raises FileError that says what the path is and what to do.
    """
    try:
        mode = os.stat(path).st_mode
        for is_kind, name in _KINDS:
            if is_kind(mode):
                ours = "name a file in it" if name == "a folder" else "copy its sound into a file, or pipe it into '-'"
                kind = FolderFileError if name == "a folder" else FileError
                raise kind(f"{path} is {name}, and no file; {ours}")
        if stat.S_ISFIFO(mode):
            return True
        with open(path, "rb", buffering=0) as file:
            if not file.read(1):
                raise FileError(f"{path} is empty: there is no audio in it")
    except FileNotFoundError as error:
        if path.is_symlink():
            raise file_error(f"{path} is a link to {os.readlink(path)}, which is not there", error) from error
        raise file_error(f"there is no file {path}", error) from error
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise file_error(f"cannot read {path}: {getattr(error, 'strerror', None) or error}", error) from error
    return False


def plain_file(path: Path, stack: contextlib.ExitStack, check: Callable[[], object]) -> Path:
    """Return a plain file with what path holds: path itself, or a copy that stack deletes of what comes from a pipe.

    check: called while nothing comes; what it raises ends the wait. Raises FileError.
    """
    if not check_readable(path):
        return path
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise file_error(f"cannot read {path}: {error.strerror}", error) from error
    with open(descriptor, "rb", buffering=0) as pipe:
        copy = _empty_copy(path.suffix, stack)
        with _open_copy(copy) as file:
            poll = select.poll()
            poll.register(pipe, select.POLLIN)
            while True:
                check()
                events = poll.poll(_WAIT_S * 1000)
                data = pipe.read(_BLOCK) if events else None
                if data:
                    file.write(data)
                elif events and not data and data is not None:
                    break
        if not copy.stat().st_size:
            raise FileError(f"{path} is a pipe from which nothing came")
    return copy


def copied(source: Any, stack: contextlib.ExitStack) -> Path:
    """Copy an open binary file, from where it is, into a file that stack deletes.

    Raises FileError if nothing comes, or it gives text, or nothing for now as one that does not block.
    """
    copy = _empty_copy("", stack)
    with _open_copy(copy) as file:
        try:
            while data := source.read(_BLOCK):
                file.write(data)
        except TypeError as error:
            raise FileError("a file object that is read gives bytes; open it with mode 'rb'") from error
    if data is None:
        raise FileError("the file object gives nothing for now, and is not at its end; open it so that it blocks")
    if not copy.stat().st_size:
        raise FileError("nothing came from the file that is read: there is no audio in it")
    return copy


def _empty_copy(suffix: str, stack: contextlib.ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="denoise-"))) / f"input{suffix}"


@contextlib.contextmanager
def _open_copy(path: Path) -> Any:
    """Open the copy for writing. Raises FileError if there is no room for it."""
    try:
        with open(path, "wb") as file:
            yield file
    except FileError:
        raise
    except OSError as error:
        raise file_error(
            f"what comes through a pipe is written to {path.parent.parent} first, which fails: {error.strerror}; "
            "set TMPDIR to a folder with more room",
            error,
        ) from error

"""One sound from anywhere to anywhere: files, pipes and open file objects, by way of plain files."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from denoise_wrapper.errors import FileError
from denoise_wrapper.files.intake import Behind, copied, plain_file
from denoise_wrapper.files.results import beside

Place = Any  # a path, or an object with read or write
Clean = Callable[[Path, Path], object]


def exchange(
    src: Place,
    dst: Place | None,
    clean: Clean,
    *,
    form: str | None = None,
    preserve_times: bool = False,
    waiting: Callable[[], object] = lambda: None,
) -> Any:
    """Clean from a file, a pipe or an open file object to another.

    src: a path, or an object with `read` that gives bytes. dst: a path; a folder, in which the file is called as src
    is; an object with `write` that takes bytes; or None for the file beside src. clean: called as clean(file to read,
    file to write) with plain files. form: a suffix, such as "flac", for a dst that has none: an object, a folder, or
    None. preserve_times: whether dst gets the times of src. waiting: called while a pipe gives nothing; what it raises
    ends the wait.
    Returns the path written, or dst if that is an object. Raises FileError that says what cannot be.
    """
    suffix = "" if form is None else f".{form.lstrip('.').lower()}"
    with contextlib.ExitStack() as stack:
        source = _plain(src, stack, waiting)
        target = _target(src, source, dst, suffix, stack)
        try:
            clean(source, target)
        except FileError as error:
            named = str(error).replace(str(source), _name(src)).replace(str(target), _name(dst or target))
            if named == str(error):
                raise
            raise type(error)(named) from error
        if preserve_times and isinstance(src, str | os.PathLike):
            times = os.stat(src)
            os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
        if dst is None or isinstance(dst, str | os.PathLike):
            return target
        _copy_out(target, dst)
        return dst


def _name(place: Any) -> str:
    """The words for a place in a message."""
    if isinstance(place, Behind):
        return place.name
    if place is not None and place is getattr(sys.stdout, "buffer", None):
        return "standard output"
    return os.fsdecode(place) if isinstance(place, str | os.PathLike) else "the file object"


def _plain(src: Place, stack: contextlib.ExitStack, waiting: Callable[[], object]) -> Path:
    if isinstance(src, str | os.PathLike):
        return plain_file(Path(src), stack, waiting)
    if not hasattr(src, "read"):
        raise FileError(f"what is cleaned is a path or a file object with read, not {type(src).__name__}")
    return copied(src, stack)


def _target(src: Place, source: Path, dst: Place | None, suffix: str, stack: contextlib.ExitStack) -> Path:
    """The plain file to write."""
    if isinstance(dst, str | os.PathLike):
        if isinstance(src, str | os.PathLike) and _is_folder(dst):
            target = Path(os.fsdecode(dst)) / Path(os.fsdecode(src)).name
            return target.with_suffix(suffix) if suffix else target
        if suffix and Path(dst).suffix.lower() != suffix:
            raise FileError(f"{dst} says its format by its suffix, and {suffix[1:]} is asked for; name it *{suffix}")
        return Path(dst)
    if dst is None:
        if not isinstance(src, str | os.PathLike) or source != Path(src):
            raise FileError(f"{_name(src)} is no plain file, so nothing can be written beside it; name a target")
        target = beside(source)
        return target.with_suffix(suffix) if suffix else target
    if not hasattr(dst, "write"):
        raise FileError(f"what is written is a path or a file object with write, not {type(dst).__name__}")
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="denoise-"))) / f"cleaned{suffix}"


def _is_folder(dst: str | os.PathLike[str]) -> bool:
    """True for a folder, and for a name that could be nothing else."""
    return os.fspath(dst).endswith(("/", os.sep)) or os.path.isdir(dst)


def _copy_out(target: Path, dst: IO[bytes]) -> None:
    with open(target, "rb") as file:
        try:
            shutil.copyfileobj(file, dst)
        except TypeError as error:
            raise FileError("a file object that is written takes bytes; open it with mode 'wb'") from error

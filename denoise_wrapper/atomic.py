"""Files that are there whole or not at all, and the folders that they lie in."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from denoise_wrapper.errors import FileError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PARTS = 8  # names of what is on its way to one target; where all are in use, more are drawn by chance

# Files and folders that must not outlive this process, each with a descriptor of it, if it has been opened.
_transient: dict[Path, list[int]] = {}
_ending = False  # whether they have been removed, so that no more may be made
_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Write a file beside its target and rename it when it is whole.

        with atomic_path("out.wav") as path:
            write_audio(path)

    target: the file to make; a symbolic link is followed. overwrite: whether it may replace one that exists.
    Yields the path of an empty file in the target's folder, with the target's suffix. When the block ends without
    an error it becomes the target; otherwise it is removed, and what was there before stays.
    Raises FileError if the target exists and overwrite is False, is no regular file, or cannot be written (no such
    folder, no permission, no room), also for an OSError of that kind from within the block.
    """
    wanted = check_target(target, overwrite)
    part = None
    try:
        with _claimed(wanted, wanted.suffix, _new_file) as part:
            yield part
            _publish(part, wanted, overwrite)
    except FileExistsError as error:
        raise FileError(_exists(target)) from error
    except OSError as error:
        if part is not None and error.filename not in (None, str(part), str(wanted)):
            raise  # about some other file that the block had in its hands
        raise FileError(f"cannot write {target}: {_reason(error)}") from error


@contextlib.contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """Make a folder beside target that is gone at the end of the block.

    Raises FileError about target for an OSError about what lies in the folder, and for a FileError.
    """
    folder = None
    try:
        with _claimed(target.absolute(), "", _new_folder) as folder:
            yield folder
    except OSError as error:
        if folder is not None and not str(error.filename or folder).startswith(str(folder)):
            raise
        raise FileError(f"cannot make {target}: {_reason(error)}") from error
    except FileError as error:
        raise FileError(f"cannot make {target}: {error}") from error


@contextlib.contextmanager
def transient(path: Path) -> Iterator[Path]:
    """Have a file or folder removed at the end of the block, also where a signal ends the program within it."""
    _transient[path] = []
    try:
        yield path
    finally:
        _remove(path)
        _transient.pop(path, None)


def remove_transient() -> None:
    """Remove, once and for all, what must not outlive this process, whose last moment this is."""
    global _ending
    _ending = True
    for path, opened in list(_transient.items()):
        if all(_is_open(path, descriptor) for descriptor in opened):
            _remove(path)


def make_folder(path: Path) -> None:
    """Make a folder and those above it; it may be there already. Raises FileError if it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise FileError(f"{path} is a file, but a folder is wanted there; choose another") from error
    except OSError as error:
        raise FileError(f"the folder {path} cannot be made ({_reason(error)}); choose another") from error


def is_part(path: Path) -> bool:
    """True for a file that is being written, or was when its process was killed and could not remove it."""
    return re.fullmatch(r"\.[0-9a-f]{12}", path.stem) is not None


def check_target(target: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Resolve target, and refuse early what the rename would refuse after all the work: raises FileError."""
    try:
        wanted = Path(os.path.realpath(target))
        if wanted.is_dir():
            raise FileError(f"{target} is a folder; name a file in it")
        if not wanted.parent.is_dir():
            raise FileError(f"cannot write {target}: there is no folder {wanted.parent}; make it first")
        if wanted.exists():
            if not wanted.is_file():
                raise FileError(f"{target} is not a regular file, so it cannot be replaced; name another target")
            if not overwrite:
                raise FileError(_exists(target))
    except ValueError as error:  # a NUL in the name
        raise FileError(f"{target!r} cannot be the name of a file: {error}") from error
    except OSError as error:  # a name too long, a folder that may not be looked into
        raise FileError(f"cannot write {target}: {_reason(error)}") from error
    return wanted


@contextlib.contextmanager
def _claimed(wanted: Path, suffix: str, make: Callable[[Path], int]) -> Iterator[Path]:
    """A file or folder on its way to wanted that is this block's alone: locked while it lives, and gone in the end.

    make: makes it, where nothing may be yet, and opens it. What processes that were killed have left on the way to the
    same target is removed: nobody holds its lock.
    """
    digests = (hashlib.sha256(f"{number}".encode() + os.fsencode(wanted.name)) for number in range(PARTS))
    paths = [wanted.with_name(f".{digest.hexdigest()[:12]}{suffix}") for digest in digests]  # `is_part` knows these
    free = [path for path in paths if not os.path.lexists(path) or _remove_abandoned(path)]
    while True:
        path = free.pop(0) if free else wanted.with_name(f".{secrets.token_hex(6)}{suffix}")
        mine: list[int] = []
        try:
            # From before it is there: a signal may come at any moment.
            if _transient.setdefault(path, mine) is not mine:
                continue
            mine += _made(path, make)
            if not mine or not _lock(mine[0]) or not _is_open(path, mine[0]):
                continue  # another one was quicker
            if _ending:
                raise FileError(f"cannot write {wanted}: the program is ending")
            yield path
            return
        finally:
            if _transient.get(path) is mine:
                if not mine:
                    _remove_abandoned(path)
                elif _is_open(path, mine[0]):
                    _remove(path)
                del _transient[path]
            for descriptor in mine:
                os.close(descriptor)


def _new_file(path: Path) -> int:
    return os.open(path, _NEW_FILE, 0o666)


def _new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(os.devnull if os.name == "nt" else path, os.O_RDONLY)  # Windows opens no folders


def _made(path: Path, make: Callable[[Path], int]) -> list[int]:
    """The descriptor of what was made there; none if something is there already."""
    try:
        return [make(path)]
    except FileExistsError:
        return []


def _remove_abandoned(path: Path) -> bool:
    """Remove what a process that was killed has left there. False if it is not ours, or somebody is still at it."""
    try:
        facts = os.lstat(path)
        if facts.st_uid != os.getuid() or _transient.get(path):
            return False
        folder = stat.S_ISDIR(facts.st_mode)
        if not folder and not stat.S_ISREG(facts.st_mode):
            return False
        descriptor = os.open(path, (os.O_RDONLY if folder else os.O_RDWR) | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    except (OSError, AttributeError):  # not to be opened; or Windows, which has no such calls
        return False
    try:
        if _lock(descriptor, unless_unknown=True) and _is_open(path, descriptor):
            _remove(path)
    finally:
        os.close(descriptor)
    return not os.path.lexists(path)


def _lock(descriptor: int, unless_unknown: bool = False) -> bool:
    """Lock an open file or folder for as long as it is open. False if somebody else has locked it.

    unless_unknown: what is said where there are no locks: False for True.
    """
    if fcntl is None:
        return not unless_unknown
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif not hasattr(fcntl, "F_OFD_SETLK"):
            return not unless_unknown
        else:  # a lock of this descriptor alone, which no close of another one ends, and apart from those of HDF5
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN) and not unless_unknown
    return True


def _is_open(path: Path, descriptor: int) -> bool:
    """True if what is open is what is there now, as far as the system tells."""
    if fcntl is None:
        return True
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _publish(part: Path, wanted: Path, overwrite: bool) -> None:
    """Rename part to wanted; FileExistsError if another made wanted in the meantime and overwrite is False."""
    if overwrite:
        if wanted.exists():
            shutil.copymode(wanted, part)
        os.replace(part, wanted)
    elif os.name == "nt":
        os.rename(part, wanted)  # refuses by itself there
    else:
        try:
            os.link(part, wanted)  # rename would replace silently, a hard link refuses
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            os.replace(part, wanted)


def _exists(target: str | os.PathLike[str]) -> str:
    return f"{target} exists; overwrite=True (--overwrite) replaces it"


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied"
    return (error.strerror or str(error)).lower()

"""Files that are there whole or not at all, and the folders that they lie in."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from denoise_wrapper.errors import (
    ExistingFileError,
    FileError,
    FolderFileError,
    ForbiddenFileError,
    MissingFileError,
    file_error,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PARTS = 8  # names of what is on its way to one target; where all are in use, more are drawn by chance

# Files and folders that must not outlive this process, each with a descriptor of it, if it has been opened.
_transient: dict[Path, list[int]] = {}
_ending = False  # whether they have been removed, so that no more may be made
_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)

Overwrite = bool | Literal["force"]  # False: no file is replaced; True: one that may be written is; "force": any is


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str], overwrite: Overwrite = False) -> Iterator[Path]:
    """Write a file beside its target and rename it when it is whole.

        with atomic_path("out.wav") as path:
            write_audio(path)

    target: the file to make; a symbolic link is followed. overwrite: whether it may replace one that exists, "force"
    also one that is read-only. The new file has the mode of the old one, and, where the system lets, its owner, group
    and extended attributes.
    Yields the path of an empty file in the target's folder, with the target's suffix. When the block ends without
    an error it becomes the target; otherwise it is removed, and what was there before stays.
    Raises FileError if the target exists and overwrite is False, is no regular file, or cannot be written (no such
    folder, no permission, no room), also for an OSError of that kind from within the block, but not from within
    `aside`.
    """
    wanted = check_target(target, overwrite)
    part = None
    try:
        with _claimed(wanted, wanted.suffix, _new_file) as part:
            if overwrite:
                _hide(part, wanted)
            yield part
            _publish(part, wanted, overwrite)
    except OSError as error:
        about = (None, str(part), str(wanted))
        if isinstance(error, FileError) or is_aside(error) or (part is not None and error.filename not in about):
            raise  # about something else than the target
        if isinstance(error, FileExistsError):
            raise file_error(_exists(target), error) from error
        raise file_error(f"cannot write {target}: {_reason(error)}", error) from error


@contextlib.contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """Make a folder beside target that is gone at the end of the block.

    Raises FileError about target for an OSError about what lies in the folder, and for a FileError, but not for one
    from within `aside`.
    """
    folder = None
    try:
        with _claimed(target.absolute(), "", _new_folder) as folder:
            yield folder
    except FileError as error:
        if is_aside(error):
            raise
        raise file_error(f"cannot make {target}: {error}", error) from error
    except OSError as error:
        if folder is not None and not str(error.filename or folder).startswith(str(folder)):
            raise
        raise file_error(f"cannot make {target}: {_reason(error)}", error) from error


@contextlib.contextmanager
def transient(path: Path) -> Iterator[Path]:
    """Have a file or folder removed at the end of the block, also where a signal ends the program within it."""
    _transient[path] = []
    try:
        yield path
    finally:
        _remove(path)
        _transient.pop(path, None)


def is_writing() -> bool:
    """True while something of this process is half-written."""
    return bool(_transient)


def remove_transient() -> None:
    """Remove, once and for all, what must not outlive this process, whose last moment this is."""
    global _ending
    _ending = True
    for path, opened in list(_transient.items()):
        if all(_is_open(path, descriptor) for descriptor in opened):
            _remove(path)


@contextlib.contextmanager
def aside(kind: type[Exception] = Exception) -> Iterator[None]:
    """Let an error from within come out of `atomic_path` and `scratch` as it is: it is not about what is made there.

        with atomic_path("out.wav") as path:
            ...
            with aside():
                progress(done, total)  # may raise OSError for reasons of its own

    kind: errors that this is true of.
    """
    try:
        yield
    except kind as error:
        with contextlib.suppress(AttributeError):  # of a class that takes none
            error._denoise_aside = True  # type: ignore[attr-defined]
        raise


def is_aside(error: Exception) -> bool:
    """True for an error that came from within `aside`."""
    return getattr(error, "_denoise_aside", False) is True


def make_folder(path: Path) -> None:
    """Make a folder and those above it; it may be there already. Raises FileError if it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise file_error(f"{path} is a file, but a folder is wanted there; choose another", error) from error
    except OSError as error:
        raise file_error(f"the folder {path} cannot be made ({_reason(error)}); choose another", error) from error


def is_part(path: Path) -> bool:
    """True for a file that is being written, or was when its process was killed and could not remove it."""
    return re.fullmatch(r"\.[0-9a-f]{12}", path.stem) is not None


def check_target(target: str | os.PathLike[str], overwrite: Overwrite = False) -> Path:
    """Resolve target, and refuse early what the rename would refuse after all the work: raises FileError."""
    try:
        wanted = Path(os.path.realpath(target))
        facts = _facts(wanted)
        if facts is not None and stat.S_ISDIR(facts.st_mode):
            raise FolderFileError(f"{target} is a folder; name a file in it")
        if not os.path.isdir(os.path.dirname(wanted)):
            raise MissingFileError(f"cannot write {target}: there is no folder {wanted.parent}; make it first")
        if facts is not None:
            if not stat.S_ISREG(facts.st_mode):
                raise FileError(f"{target} is not a regular file, so it cannot be replaced; name another target")
            if not overwrite:
                raise ExistingFileError(_exists(target))
            if overwrite != "force" and not (facts.st_mode & 0o222 and os.access(wanted, os.W_OK)):
                raise ForbiddenFileError(
                    f"{target} is read-only; make it writable first, or replace it all the same by "
                    'overwrite="force" (filter --force)'
                )
    except FileError:
        raise
    except ValueError as error:  # a NUL in the name
        raise FileError(f"{target!r} cannot be the name of a file: {error}") from error
    except OSError as error:  # a name too long, a folder that may not be looked into
        raise file_error(f"cannot write {target}: {_reason(error)}", error) from error
    return wanted


def _facts(path: Path) -> os.stat_result | None:
    """What the system tells of a path; None if nothing is there."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextlib.contextmanager
def _claimed(wanted: Path, suffix: str, make: Callable[[Path], int]) -> Iterator[Path]:
    """A file or folder on its way to wanted that is this block's alone: locked while it lives, and gone in the end.

    make: makes it, where nothing may be yet, and opens it. What processes that were killed have left on the way to the
    same target is removed: nobody holds its lock.
    """
    begin = os.path.join(os.path.dirname(wanted), ".")
    paths = [f"{begin}{name}{suffix}" for name in _part_names(wanted.name)]  # `is_part` knows these
    free = [path for path in paths if not os.path.lexists(path) or _remove_abandoned(Path(path))]
    while True:
        path = Path(free.pop(0)) if free else wanted.with_name(f".{os.urandom(6).hex()}{suffix}")
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


@functools.lru_cache(maxsize=64)
def _part_names(name: str) -> list[str]:
    """Names, without a dot, of what may be on its way to a file of that name."""
    import hashlib  # which takes milliseconds to import

    digits = hashlib.sha512(os.fsencode(name)).hexdigest()
    return [digits[12 * number : 12 * (number + 1)] for number in range(PARTS)]


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
    import shutil  # which takes milliseconds to import, and is seldom needed

    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _hide(part: Path, wanted: Path) -> None:
    """Let nobody read a part who may not read the file that it replaces."""
    with contextlib.suppress(FileNotFoundError):
        part.chmod(part.stat().st_mode & (wanted.stat().st_mode | stat.S_IRUSR | stat.S_IWUSR))


def _dress(part: Path, wanted: Path) -> None:
    """Give part the owner, the group, the extended attributes and the mode of wanted, as far as the system lets."""
    facts = wanted.stat()
    mode = stat.S_IMODE(facts.st_mode)
    if hasattr(os, "chown"):
        for owner, group in ((-1, facts.st_gid), (facts.st_uid, -1)):
            with contextlib.suppress(OSError):
                os.chown(part, owner, group)
        made = part.stat()
        mode &= ~(stat.S_ISUID if made.st_uid != facts.st_uid else 0)
        mode &= ~(stat.S_ISGID if made.st_gid != facts.st_gid else 0)
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):  # a file system without them
            for name in os.listxattr(wanted):
                with contextlib.suppress(OSError):  # one that only the system may set
                    os.setxattr(part, name, os.getxattr(wanted, name))
    part.chmod(mode)


def _publish(part: Path, wanted: Path, overwrite: Overwrite) -> None:
    """Rename part to wanted; FileExistsError if another made wanted in the meantime and overwrite is False."""
    if overwrite:
        if wanted.exists():
            _dress(part, wanted)
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

"""Files that are there whole or not at all, and the folders that they lie in."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from denoise_wrapper.errors import FileError

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
    part = wanted.with_name(f".{secrets.token_hex(6)}{wanted.suffix}")  # is_part knows such names
    try:  # from before the file is there: a signal may come at any moment
        # Opened by hand, because tempfile would make it readable by its owner alone.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        if overwrite:
            _hide(part, wanted)
        yield part
        _publish(part, wanted, overwrite)
    except OSError as error:
        if isinstance(error, FileError) or is_aside(error) or error.filename not in (None, str(part), str(wanted)):
            raise  # about something else than the target
        if isinstance(error, FileExistsError):
            raise FileError(_exists(target)) from error
        raise FileError(f"cannot write {target}: {_reason(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def aside(kind: type[Exception] = Exception) -> Iterator[None]:
    """Let an error from within come out of `atomic_path` as it is: it is not about the file that is written.

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
        raise FileError(f"{path} is a file, but a folder is wanted there; choose another") from error
    except OSError as error:
        raise FileError(f"the folder {path} cannot be made ({_reason(error)}); choose another") from error


def is_part(path: Path) -> bool:
    """True for a file that is being written, or was when its process was killed and could not remove it."""
    return re.fullmatch(r"\.[0-9a-f]{12}", path.stem) is not None


def check_target(target: str | os.PathLike[str], overwrite: Overwrite = False) -> Path:
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
            if overwrite != "force" and _is_read_only(wanted):
                raise FileError(
                    f"{target} is read-only; make it writable first, or replace it all the same by "
                    'overwrite="force" (filter --force)'
                )
    except FileError:
        raise
    except ValueError as error:  # a NUL in the name
        raise FileError(f"{target!r} cannot be the name of a file: {error}") from error
    except OSError as error:  # a name too long, a folder that may not be looked into
        raise FileError(f"cannot write {target}: {_reason(error)}") from error
    return wanted


def _is_read_only(path: Path) -> bool:
    """True for a file that nobody may write, which root could all the same, or that this user may not."""
    return not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK)


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

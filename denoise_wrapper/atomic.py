"""Files that are there whole or not at all, and the folders that they lie in."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from denoise_wrapper.errors import FileError


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
    part = wanted.with_name(f".{secrets.token_hex(6)}{wanted.suffix}")  # is_part knows such names
    try:  # from before the file is there: a signal may come at any moment
        # Opened by hand, because tempfile would make it readable by its owner alone.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield part
        _publish(part, wanted, overwrite)
    except FileExistsError as error:
        raise FileError(_exists(target)) from error
    except OSError as error:
        if error.filename not in (None, str(part), str(wanted)):
            raise  # about some other file that the block had in its hands
        raise FileError(f"cannot write {target}: {_reason(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


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

"""Errors. Every message says what came, what is wanted and what to do.

Each is also the error that Python itself would raise, so that who catches OSError, ValueError or TypeError catches it.
"""

from __future__ import annotations

import errno


class DenoiseError(Exception):
    """The root of all errors that this package raises on purpose."""


class AudioError(DenoiseError, ValueError, TypeError):
    """Audio of a shape, type, rate or content that cannot be cleaned."""


class FileError(DenoiseError, OSError):
    """A file that cannot be read or written, or would be overwritten.

    Where the reason is one that Python has an error of its own for, it is that one too: a file that is not there is a
    FileNotFoundError, one that is in the way a FileExistsError, and so are PermissionError, IsADirectoryError and
    NotADirectoryError. errno: the system's number, None where there is none.
    """

    number: int | None = None  # of the kind, where the system itself was not asked

    @property
    def errno(self) -> int | None:  # type: ignore[override]
        """The number of the system's error behind this one."""
        cause = self.__cause__
        found = cause.errno if isinstance(cause, OSError) else None
        return self.number if found is None else found


class MissingFileError(FileError, FileNotFoundError):
    """A file or folder that is not there."""

    number = errno.ENOENT


class ExistingFileError(FileError, FileExistsError):
    """A file that is there already, and is not to be replaced."""

    number = errno.EEXIST


class ForbiddenFileError(FileError, PermissionError):
    """A file or folder that may not be read or written."""

    number = errno.EACCES


class FolderFileError(FileError, IsADirectoryError):
    """A folder where a file is wanted."""

    number = errno.EISDIR


class NoFolderError(FileError, NotADirectoryError):
    """A file where a folder is wanted."""

    number = errno.ENOTDIR


_KINDS = (MissingFileError, ExistingFileError, ForbiddenFileError, FolderFileError, NoFolderError)


def file_error(message: str, cause: BaseException) -> FileError:
    """Make a FileError of the kind that its cause is, to be raised from it."""
    for kind in _KINDS:
        if isinstance(cause, kind.__bases__[1]):  # Python's own
            return kind(message)
    return FileError(message)


class ModelError(DenoiseError, ValueError):
    """A backend or model that is unknown, damaged, or of the wrong kind."""


class ConfigError(DenoiseError, ValueError, TypeError):
    """A setting that is unknown, of the wrong type or out of range."""


class DataError(DenoiseError, ValueError):
    """A set of clips, or training data, that is absent, unusable or does not fit together."""


def needs_package(what: str, error: ImportError, extra: str) -> str:
    """Say that something needs a package which is absent, and the command that installs it.

    what: with its verb, as in "the report needs". extra: of this package, as in pyproject.toml.
    """
    return f"{what} {error.name}: pip install 'denoise-wrapper[{extra}]'"

"""Errors. Every message says what came, what is wanted and what to do.

Each is also the error that Python itself would raise, so that who catches OSError, ValueError or TypeError catches it.
"""

from __future__ import annotations


class DenoiseError(Exception):
    """The root of all errors that this package raises on purpose."""


class AudioError(DenoiseError, ValueError, TypeError):
    """Audio of a shape, type, rate or content that cannot be cleaned."""


class FileError(DenoiseError, OSError):
    """A file that cannot be read or written, or would be overwritten.

    errno: the system's number where the system refused, None where this package did.
    """

    @property
    def errno(self) -> int | None:  # type: ignore[override]
        """The number of the system's error behind this one."""
        cause = self.__cause__
        return cause.errno if isinstance(cause, OSError) else None


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

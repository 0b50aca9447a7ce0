"""Errors. Every message says what came, what is wanted and what to do."""


class DenoiseError(Exception):
    """The root of all errors that this package raises on purpose."""


class AudioError(DenoiseError):
    """Audio of a shape, type, rate or content that cannot be cleaned."""


class FileError(DenoiseError):
    """A file that cannot be read or written, or would be overwritten."""


class ModelError(DenoiseError):
    """A backend or model that is unknown, damaged, or of the wrong kind."""


class ConfigError(DenoiseError):
    """A setting that is unknown, of the wrong type or out of range."""


class DataError(DenoiseError):
    """A set of clips, or training data, that is absent, unusable or does not fit together."""


def needs_package(what: str, error: ImportError, extra: str) -> str:
    """Say that something needs a package which is absent, and the command that installs it.

    what: with its verb, as in "the report needs". extra: of this package, as in pyproject.toml.
    """
    return f"{what} {error.name}: pip install 'denoise-wrapper[{extra}]'"

"""Load a denoiser by name, give it any audio, get the same audio back without the noise."""

from typing import TYPE_CHECKING, Any

from denoise_wrapper.backends import backend_names, restore_backend, restore_state
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import AudioError, ConfigError, DataError, DenoiseError, FileError, ModelError
from denoise_wrapper.quick import denoise
from denoise_wrapper.stream.align import aligned
from denoise_wrapper.stream.stream import Stream
from denoise_wrapper.stream.together import process_many

if TYPE_CHECKING:
    from denoise_wrapper.files.batch import FileResult

__version__ = "0.1.0"

__all__ = [
    "AudioError",
    "ConfigError",
    "DataError",
    "DenoiseError",
    "Denoiser",
    "FileError",
    "FileResult",
    "ModelError",
    "Stream",
    "__version__",
    "aligned",
    "backend_names",
    "denoise",
    "process_many",
    "restore_backend",
    "restore_state",
]


def __getattr__(name: str) -> Any:
    """Import what many files need when it is first asked for: it takes a seventh of the whole import."""
    if name == "FileResult":
        from denoise_wrapper.files.batch import FileResult

        return FileResult
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what is meant to be used; the modules that were imported on the way are not."""
    return [*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__"]

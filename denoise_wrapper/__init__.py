"""Load a denoiser by name, give it any audio, get the same audio back without the noise."""

from .backends import backend_names
from .denoiser import Denoiser
from .errors import AudioError, ConfigError, DataError, DenoiseError, FileError, ModelError
from .stream import Stream

__version__ = "0.1.0"

__all__ = [
    "AudioError",
    "ConfigError",
    "DataError",
    "DenoiseError",
    "Denoiser",
    "FileError",
    "ModelError",
    "Stream",
    "__version__",
    "backend_names",
]

"""Load a denoiser by name, give it any audio, get the same audio back without the noise."""

from denoise_wrapper.backends import backend_names
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import AudioError, ConfigError, DataError, DenoiseError, FileError, ModelError
from denoise_wrapper.stream.stream import Stream, process_many

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
    "process_many",
]

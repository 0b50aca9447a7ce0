"""The folder of the shipped weights, and the bytes of a model file."""

from __future__ import annotations

import os
from pathlib import Path

from denoise_wrapper.errors import file_error

MODELS = Path(__file__).resolve().parent
_MACH_O = ("feedface", "feedfacf", "cefaedfe", "cffaedfe", "cafebabe")  # of 32 and 64 bit, both byte orders, fat
LIBRARY_MAGIC = (b"\x7fELF", b"MZ", *(bytes.fromhex(magic) for magic in _MACH_O))  # beginnings of shared libraries


def read_model_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """A model file, at most one byte more than most, so that no device or giant file fills the memory."""
    try:
        with open(path, "rb") as file:
            return file.read(most + 1)
    except FileNotFoundError as error:
        raise file_error(f"there is no model file {path}", error) from error
    except (OSError, ValueError) as error:
        raise file_error(f"cannot read the model {path}: {getattr(error, 'strerror', None) or error}", error) from error

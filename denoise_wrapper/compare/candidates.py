"""Candidates: backends, models, foreign libraries and the clips that other programs have cleaned.

In words, as on a command line, a candidate is WHAT[,KEY=VALUE]...:

    rnnoise                         a backend of the package; standard is the model that is compiled in
    speech.rnnn                     a model of the backend rnnoise, any file that it reads; or an enhancer's .dnnw
    gtcrn.tar                       a file that UL-UNAS or GTCRN released
    librnnoise.so                   a librnnoise that somebody else has built
    model_1.onnx+model_2.onnx       the pair of a DTLN, or the folder they are in
    cleaned/                        a folder of clips that another program has cleaned, called as the noisy ones are
    noisy                           the clips as they came

keys: name (as it is shown), backend (that loads the model), preset, atten-lim (dB), mix (0 to 1).
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from denoise_wrapper.backends import Backend, backend_names, known_names, load_backend
from denoise_wrapper.backends.enhancer import holds_enhancer
from denoise_wrapper.backends.foreign import ForeignBackend, is_library
from denoise_wrapper.backends.narrow import narrow_kind
from denoise_wrapper.compare.comparison import AS_IT_CAME, NOISY, REFERENCE
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import ConfigError, MissingFileError, ModelError
from denoise_wrapper.presets import strength
from denoise_wrapper.stream.settings import Settings

KEYS = ("name", "backend", "preset", "atten-lim", "mix")
PAIR = ".onnx+"  # what joins the names of two files
DTLN = ("dtln-16k", "dtln-32k")
STANDARD = {"standard": "rnnoise"}  # the model that is compiled in, by the name that it has beside others


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A backend or model that cleans clips, a folder of clips that something has cleaned, or the clips as they came.

    name: as it is shown; no two are alike, none is "clean", and "noisy" are the clips as they came.
    backend: the name of one, or a Backend; None for that which the model fits: rnnoise, enhancer, a foreign librnnoise,
    or a DTLN at its rate. model: path of a model for it, two of them, or the folder of a pair; None for the backend's
    own. settings: the strength. folder: of clips that are cleaned already, in place of all that; its path may be its
    name. Raises ConfigError if it is nothing, or its name cannot be shown beside the others, or be that of a folder.
    """

    name: str
    backend: str | Backend | None = None
    model: Any = None
    folder: Path | None = None
    settings: Settings = dataclasses.field(default_factory=Settings)

    def __post_init__(self) -> None:
        if not self.cleaned and self.name != NOISY:
            raise ConfigError(f"the candidate {self.name!r} is nothing; wanted is a backend, a model or a folder")
        if self.cleaned and self.name in (NOISY, REFERENCE):
            raise ConfigError(f"{self.name} is what the {self.name} clips are called; name the candidate otherwise")
        if self.folder is not None and self.name == str(self.folder):
            return
        if not self.name.strip() or set(self.name) & set("/\\\0\n\r\t") or self.name in (".", ".."):
            raise ConfigError(f"a candidate's name is a few words without slashes, not {self.name!r}")

    @property
    def cleaned(self) -> bool:
        """True but for the clips as they came."""
        return any(part is not None for part in (self.backend, self.model, self.folder))

    @property
    def description(self) -> str:
        """Backend, model and strength in words."""
        if not self.cleaned:
            return AS_IT_CAME
        if self.folder is not None:
            return f"clips in {self.folder}, cleaned by another program"
        if self.model is None:
            what = f"backend {self.backend}" if isinstance(self.backend, str) else repr(self.backend)
        else:
            paths = [self.model] if isinstance(self.model, str | os.PathLike) else list(self.model)
            what = " + ".join(Path(path).name for path in paths)
            what = f"model {what}" if self.backend is None else f"model {what} of {self.backend}"
        return ", ".join([what, *strength_words(self.settings)])

    def open(self) -> Denoiser:
        """The denoiser of it. Raises FileError, ModelError or ConfigError if it cannot be loaded."""
        backend = self.backend if self.backend is not None else _find_backend(self.model)
        model = self.model if isinstance(backend, str) else None
        return Denoiser(backend, model=model, **dataclasses.asdict(self.settings))


def parse_candidate(words: str) -> Candidate:
    """The candidate that words mean, see above. Raises ConfigError or FileError for what they cannot mean."""
    what, options = _split(words)
    settings = Settings(*strength(options.get("preset"), _number(options, "atten-lim"), _number(options, "mix")))
    name, backend = options.get("name"), options.get("backend")
    if backend is not None and backend not in known_names():
        raise ConfigError(f"{words}: there is no backend {backend!r}; known are {', '.join(backend_names())}")
    if what == NOISY and not options:
        return Candidate(NOISY)
    if what in (*backend_names(), *STANDARD) and not Path(what).exists():
        if backend is not None:
            raise ConfigError(f"{words}: backend= is for models, and {what} is a backend itself; leave it out")
        return Candidate(name or _with_strength(what, settings), STANDARD.get(what, what), settings=settings)
    paths = _paths(what)
    name = name or _with_strength(model_name(paths), settings)
    if len(paths) == 1 and paths[0].is_dir() and not any(paths[0].glob("*.onnx")):
        wrong = [key for key in options if key != "name"]
        if wrong:
            raise ConfigError(
                f"{words}: {', '.join(wrong)} is for what cleans; the clips in a folder are cleaned already"
            )
        return Candidate(name, folder=paths[0])
    return Candidate(name, backend, paths[0] if len(paths) == 1 else tuple(paths), settings=settings)


def model_name(paths: Sequence[Path]) -> str:
    """Name a model by its file, a library without its version, a pair by what its two files have in common."""
    names = [
        path.name.partition(".so")[0] if ".so" in path.suffixes else path.stem if path.suffix else path.absolute().name
        for path in paths
    ]
    if len(names) == 2 and names[0].endswith("_1") and names[1] == f"{names[0][:-1]}2":
        return names[0][:-2]
    return "+".join(names)


Denoising: TypeAlias = "str | os.PathLike[str] | Denoiser | Candidate"  # anything that names a candidate


def make_candidates(denoising: Denoising | Sequence[Denoising]) -> list[Candidate]:
    """Candidates of words, paths, Denoisers or Candidates, one or several, with names of which no two are alike."""
    several = [denoising] if isinstance(denoising, str | os.PathLike | Denoiser | Candidate) else list(denoising)
    chosen = [one.name for one in several if isinstance(one, Candidate)]
    twice = [name for name, times in Counter(chosen).items() if times > 1]
    if twice:
        raise ConfigError(f"two candidates are called {twice[0]!r}; give each a name of its own")
    used: Counter[str] = Counter()
    unique = []
    for one in map(_make, several):
        used[one.name] += 1
        number = used[one.name]
        unique.append(one if number == 1 else dataclasses.replace(one, name=f"{one.name} ({number})"))
    return unique


def strength_words(settings: Settings) -> list[str]:
    """The settings that are not as usual, in words."""
    limit = [] if settings.atten_lim_db is None else [f"at most {settings.atten_lim_db:g} dB"]
    mix = [] if settings.mix == 1.0 else [f"mix {settings.mix:g}"]
    gate = [] if settings.vad_threshold is None else [f"gate at {settings.vad_threshold:g}"]
    return [*limit, *mix, *gate]


def hashes(denoiser: Denoiser) -> dict[str, str]:
    """SHA-256 of each file of the model, or of a foreign library; empty where a backend does not show them."""
    if isinstance(denoiser.backend, ForeignBackend):
        path = denoiser.backend.path
        files = {path.name: path.read_bytes()}
    else:
        data, name = getattr(denoiser.backend, "data", ()), denoiser.backend_name
        files = {name: data} if isinstance(data, bytes) else {f"{name}_{at}": part for at, part in enumerate(data, 1)}
    return {name: hashlib.sha256(part).hexdigest() for name, part in files.items()}


def _make(denoising: Denoising) -> Candidate:
    if isinstance(denoising, Candidate):
        return denoising
    if isinstance(denoising, Denoiser):
        name = _with_strength(denoising.backend_name, denoising.settings)
        return Candidate(name, denoising.backend, settings=denoising.settings)
    return parse_candidate(os.fspath(denoising))


def _with_strength(name: str, settings: Settings) -> str:
    return ", ".join([name, *strength_words(settings)])


def _split(words: str) -> tuple[str, dict[str, str]]:
    """WHAT, and the options behind it, as far as they are some: a path may hold commas."""
    what, options = words, dict[str, str]()
    while not Path(what).exists():
        rest, comma, last = what.rpartition(",")
        key, equals, value = last.partition("=")
        if not comma or not equals:
            break
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"{words}: there is no option {key!r}; known are {', '.join(KEYS)}{hint}")
        if options.setdefault(key, value) != value:
            raise ConfigError(f"{words}: {key} stands there twice")
        what = rest
    if not what:
        raise ConfigError(f"{words!r} names no candidate; wanted is a backend, a model, a library or a folder")
    return what, options


def _number(options: dict[str, str], key: str) -> float | None:
    if key not in options:
        return None
    try:
        return float(options[key])
    except ValueError as error:
        raise ConfigError(f"{key} is a number, not {options[key]!r}") from error


def _paths(what: str) -> list[Path]:
    """The files, or the folder, that are meant. Raises FileError."""
    if PAIR in what.lower() and not Path(what).exists():
        at = what.lower().index(PAIR) + len(PAIR)
        paths = [Path(what[: at - 1]), Path(what[at:])]
    else:
        paths = [Path(what)]
    for path in paths:
        if not path.exists():
            close = difflib.get_close_matches(str(path), backend_names(), n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; backends are {', '.join(backend_names())}"
            raise MissingFileError(f"there is no backend, file or folder {path}{hint}")
    return paths


def _find_backend(model: Any) -> str | Backend:
    """The backend, by name or opened, that a model without one is for."""
    if narrow := narrow_kind(model):
        return narrow
    if isinstance(model, str | os.PathLike) and not Path(model).is_dir() and Path(model).suffix.lower() != ".onnx":
        if is_library(model):
            return ForeignBackend(model)
        return "enhancer" if holds_enhancer(model) else "rnnoise"
    first, *others = DTLN
    try:
        return load_backend(first, model)
    except ModelError:
        for other in others:
            try:
                return load_backend(other, model)
            except ModelError:
                continue
        raise

"""Defaults of options from files: the user's own, then the project's; what is typed goes before both."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoise_wrapper.cli.parser import closest
from denoise_wrapper.errors import ConfigError, MissingFileError, file_error

USER_FILE = "config.toml"
PROJECT_FILE = "denoise-wrapper.toml"
TABLE = "denoise-wrapper"  # in pyproject.toml, within [tool]
KINDS: dict[str, tuple[type, ...]] = {
    "backend": (str,),
    "preset": (str,),
    "atten-lim": (int, float),
    "mix": (int, float),
    "vad-threshold": (int, float),
    "vad-gate": (str,),
    "vad-hold": (int, float),
    "non-finite": (str,),
    "link-channels": (bool,),
    "name-suffix": (str,),
    "skip-existing": (bool,),
    "jobs": (int,),
    "quiet": (bool,),
}
TYPED_ONLY = ("overwrite", "force", "output", "model")  # what replaces files, or names them
STRENGTH = ("atten-lim", "mix")  # what a preset sets


@dataclass(frozen=True)
class Config:
    """Defaults: option -> value, and the files that they come from, the last of which goes before the others."""

    values: dict[str, Any]
    files: tuple[Path, ...] = ()


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which files defaults are read from."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--config", metavar="FILE", help="read defaults of options from this file alone")
    group.add_argument("--no-config", action="store_true", help="read them from no file")


def hoist(words: Sequence[str]) -> list[str]:
    """Put --config FILE and --no-config before the verb; train has a --config of its own, which stays."""
    moved: list[str] = []
    kept: list[str] = []
    rest = list(words)
    if "train" in rest[:1]:
        return rest
    while rest:
        word = rest.pop(0)
        if word == "--":
            kept += [word, *rest]
            break
        if word == "--no-config" or word.startswith("--config="):
            moved.append(word)
        elif word == "--config" and rest:
            moved += [word, rest.pop(0)]
        else:
            kept.append(word)
    return [*moved, *kept]


def read_config(args: argparse.Namespace) -> Config:
    """Read the files that hold defaults. Raises FileError for one that was named and is absent, ConfigError."""
    if args.no_config:
        return Config({})
    if args.config is not None:
        path = Path(args.config)
        if not path.is_file():
            raise MissingFileError(f"there is no file {path}; --config names a TOML file of defaults")
        return Config(_values(path), (path,))
    files = [path for path in (user_file(), project_file(Path.cwd())) if path is not None and path.is_file()]
    values: dict[str, Any] = {}
    for path in files:
        values = _over(values, _values(path))
    return Config(values, tuple(files))


def user_file() -> Path:
    """Name the user's file, which need not be there."""
    if os.name == "nt":
        base = os.environ.get("APPDATA") or Path.home() / "AppData/Roaming"
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / TABLE / USER_FILE


def project_file(folder: Path) -> Path | None:
    """Find the file of the project that a folder is in: the nearest above; None if there is none."""
    for each in (folder, *folder.parents):
        if (each / PROJECT_FILE).is_file():
            return each / PROJECT_FILE
        if (each / "pyproject.toml").is_file():
            return each / "pyproject.toml" if _has_table(each / "pyproject.toml") else None
    return None


def fill(args: argparse.Namespace, config: Config) -> None:
    """Put defaults in the place of options that were not typed; what a typed preset sets stays out."""
    preset_typed = getattr(args, "preset", None) is not None
    for option, value in config.values.items():
        name = option.replace("-", "_")
        if getattr(args, name, True) not in (None, False):  # typed, or no option of this verb
            continue
        if option in STRENGTH and preset_typed:
            continue
        setattr(args, name, value)


def _has_table(path: Path) -> bool:
    return isinstance(_read(path).get("tool", {}).get(TABLE), dict)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise file_error(f"cannot read {path}: {error.strerror}", error) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}; --no-config reads no such file") from error


def _values(path: Path) -> dict[str, Any]:
    """Read and check the defaults of one file: option as it is typed, without the dashes -> value."""
    content = _read(path)
    table = content.get("tool", {}).get(TABLE, {}) if path.name == "pyproject.toml" else content
    values = {}
    for key, value in table.items():
        option = key.replace("_", "-")
        if option in TYPED_ONLY:
            raise ConfigError(f"{path}: {key} is not taken from a file; type --{option} where it is wanted")
        if option not in KINDS:
            near = closest(option, list(KINDS))
            hint = f"did you mean {near}?" if near else f"known are {', '.join(KINDS)}"
            raise ConfigError(f"{path}: there is no setting {key}; {hint}")
        kinds = KINDS[option]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = {str: "text", bool: "true or false", int: "a number"}[kinds[0]]
            raise ConfigError(f"{path}: {key} is {wanted}, not {value!r}")
        values[option] = value
    return values


def _over(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Put the second file over the first: a preset of the second beats the strength of the first."""
    kept = {key: value for key, value in first.items() if not ("preset" in second and key in STRENGTH)}
    return {**kept, **second}

"""Checkpoints: whole or not at all, and taken up only by the settings that they were written with."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.errors import ConfigError, ExistingFileError, FileError, ModelError, file_error
from denoise_wrapper.training.config import RunConfig, plain

Name = tuple[str, ...]  # of a setting: its table, and it
LAST, BEST, LOG = "checkpoints/last.pt", "checkpoints/best.pt", "logs/log.csv"  # in the folder of a run


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. content: tensors, numbers, texts, and lists and dicts of them."""
    whole = io.BytesIO()  # torch itself answers a full disk with a RuntimeError
    torch.save(content, whole)
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_bytes(whole.getbuffer())


def load_tensors(path: Path) -> Any:
    """Read what torch saved, tensors and plain values alone, onto the CPU.

    Raises ModelError for a file that would take more memory than its own size tells, and else whatever torch raises.
    """
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > size:
            raise ModelError("its parts are compressed, or there several times, as torch does not save them")
    content = torch.load(path, map_location="cpu", weights_only=True)
    numbers = sum(tensor.numel() for tensor in tensors_in(content))
    if numbers > 4 * size:  # a few may be shared
        raise ModelError(f"its tensors have {numbers} numbers, and the file has {size} bytes")
    return content


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in dicts, lists and tuples within each other."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(part)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint as it was saved, onto the CPU. Raises FileError if it is absent or damaged."""
    try:
        content: dict[str, Any] = load_tensors(path)
    except OSError as error:
        raise file_error(
            f"{path} cannot be read ({error.strerror}); there is no training to go on with", error
        ) from error
    except Exception as error:  # torch raises whatever its unpickler met
        raise FileError(f"{path} is no whole checkpoint ({error}); start anew in another folder") from error
    return content


def open_checkpoint(path: Path, resume: bool, config: RunConfig, free: Collection[Name]) -> dict[str, Any] | None:
    """Read the checkpoint to go on from, or None to start.

    free: names of settings that may differ from the checkpoint's, or of whole tables. Raises FileError or ConfigError
    where the two intents contradict what is there.
    """
    if not resume:
        if path.exists():
            raise ExistingFileError(f"{path} exists; go on with -R, or choose another folder for the new run")
        return None
    checkpoint = load_checkpoint(path)
    before = config_of(path, checkpoint, type(config).read)
    changed = [name for name in differences(plain(before), plain(config)) if not in_any(name, free)]
    if changed:
        names = ", ".join(".".join(name) for name in changed)
        raise ConfigError(f"the settings differ from those of {path}: {names}; put them back, or start anew")
    return checkpoint


def config_of(path: Path, checkpoint: dict[str, Any], read: Callable[[dict[str, Any]], RunConfig]) -> RunConfig:
    """The settings of a checkpoint, those that there were not yet as they are by themselves."""
    try:
        return read(without_none(checkpoint.get("config")))
    except ConfigError as error:
        raise ConfigError(f"{path} is no checkpoint of such a training: {error}; start anew") from error


def without_none(table: Any) -> dict[str, Any]:
    """Settings as `plain` gives them, as TOML would have them, which knows no None."""
    return {
        key: without_none(value) if isinstance(value, dict) else value
        for key, value in (table if isinstance(table, dict) else {}).items()
        if value is not None
    }


def differences(old: Any, new: Any, where: Name = ()) -> list[Name]:
    """The names of settings that are not the same in two plain configs."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [where]
    keys = [*old, *(key for key in new if key not in old)]
    return [name for key in keys for name in differences(old.get(key), new.get(key), (*where, key))]


def in_any(name: Name, tables: Collection[Name]) -> bool:
    """True if a setting is one of those named, or in one of the tables named."""
    return any(name[: len(table)] == table for table in tables)


def map_tensors(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """value, tensors in tuples and lists of any depth, with each tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    parts = [map_tensors(change, part) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def flatten(value: Any) -> list[Tensor]:
    """The tensors in value, as `map_tensors` comes to them."""
    parts: list[Tensor] = []

    def keep(part: Tensor) -> Tensor:
        parts.append(part)
        return part

    map_tensors(keep, value)
    return parts

"""What every training loop needs: a log, checkpoints that are whole, Ctrl-C that cuts no step in two."""

from __future__ import annotations

import contextlib
import csv
import io
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import torch

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.errors import ConfigError, FileError

Name = tuple[str, ...]  # of a setting: its table, and it


class Log:
    """The course of the training: a CSV file, and a line on stderr."""

    def __init__(self, path: Path, columns: tuple[str, ...], step: int) -> None:
        """Lines later than step, from a run that was not saved in time, are taken out."""
        kept: list[list[str]] = []
        if step and path.is_file():
            with path.open(newline="", encoding="utf-8") as stream:
                kept = [row for row in list(csv.reader(stream))[1:] if int(row[0]) <= step]
        self.path, self.columns = path, columns
        with (
            atomic_path(path, overwrite=True) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as stream,
        ):
            csv.writer(stream).writerows([columns, *kept])

    def add(self, step: int, values: list[Any]) -> None:
        """One line: values in the order of the columns after the step."""
        texts = [str(step), *(f"{float(torch.as_tensor(value).detach()):.6g}" for value in values)]
        try:
            with self.path.open("a", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerow(texts)
        except OSError as error:
            raise FileError(f"{self.path} cannot be written ({error.strerror}); make room, go on with -R") from error
        print("  ".join(f"{name} {text}" for name, text in zip(self.columns, texts, strict=False)), file=sys.stderr)


@contextlib.contextmanager
def stop_request() -> Iterator[Callable[[], bool]]:
    """Within this, Ctrl-C only sets what the yielded function returns, so that no step is cut in two."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. content: tensors, numbers, texts, and lists and dicts of them."""
    whole = io.BytesIO()  # torch itself answers a full disk with a RuntimeError
    torch.save(content, whole)
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_bytes(whole.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint as it was saved, on the CPU. Raises FileError if it is absent or damaged."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}); there is no training to go on with") from error
    except Exception as error:  # torch raises whatever its unpickler met
        raise FileError(f"{path} is no whole checkpoint ({error}); start anew in another folder") from error
    return content


def open_checkpoint(path: Path, resume: bool, settings: Any, free: Collection[Name]) -> dict[str, Any] | None:
    """The checkpoint to go on from, or None to start.

    settings: the config as `plain` gives it. free: names of settings that may differ from the checkpoint's, or of whole
    tables. Raises FileError or ConfigError where the two intents contradict what is there.
    """
    if not resume:
        if path.exists():
            raise FileError(f"{path} exists; go on with -R, or choose another folder for the new run")
        return None
    checkpoint = load_checkpoint(path)
    found = differences(checkpoint.get("config"), settings)
    changed = [name for name in found if not any(name[: len(known)] == known for known in free)]
    if changed:
        names = ", ".join(".".join(name) for name in changed)
        raise ConfigError(f"the settings differ from those of {path}: {names}; put them back, or start anew")
    return checkpoint


def differences(old: Any, new: Any, where: Name = ()) -> list[Name]:
    """The names of settings that are not the same in two plain configs."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [where]
    keys = [*old, *(key for key in new if key not in old)]
    return [name for key in keys for name in differences(old.get(key), new.get(key), (*where, key))]

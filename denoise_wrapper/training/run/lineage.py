"""The runs that a run's weights went through before it: what their cards tell, and what checkpoints carry on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from denoise_wrapper.errors import FileError
from denoise_wrapper.training.run.card import hours_in_words
from denoise_wrapper.training.run.checkpoint import BEST, LAST, LOG, load_checkpoint

Setting = Callable[[Mapping[str, Any], str], Any]  # settings as a checkpoint has them, TABLE.NAME: its value, or None


class Stage(NamedTuple):
    """One run up to the checkpoint that went on."""

    name: str
    steps: int  # 0: weights that came from elsewhere
    hours: float  # of mixtures that it learned from
    log: str  # the lines of its log, CSV
    teacher: str = ""  # backend whose answers it learned in place of clean speech


def setting(settings: Mapping[str, Any], name: str) -> Any:
    """A setting of a checkpoint, TABLE.NAME or NAME; None where it is lacking."""
    value: Any = settings
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def run_checkpoint(folder: Path) -> Path:
    """The best checkpoint of a run, or else its last."""
    for name in (BEST, LAST):
        if (folder / name).is_file():
            return folder / name
    raise FileError(f"{folder} is no folder of a training run: there is no {BEST} or {LAST} in it")


def history(path: Path, stored: Setting = setting) -> list[Stage]:
    """All stages that weights went through, oldest first.

    path: a run, a checkpoint, or a file of weights from elsewhere. stored: reads a checkpoint's settings.
    """
    file = run_checkpoint(path) if path.is_dir() else path
    try:
        content = load_checkpoint(file)
    except FileError:  # Keras' or others' weights
        return [Stage(file.name, 0, 0.0, "")]
    if not {"progress", "config"} <= set(content):
        return [Stage(file.name, 0, 0.0, "")]
    log = file.parent.parent / LOG
    text = log.read_text(encoding="utf-8") if log.is_file() else ""
    return [*stages(content), latest(content, text, stored)]


def stages(checkpoint: dict[str, Any]) -> list[Stage]:
    """The runs before the one that a checkpoint is of."""
    return [Stage(**entry) for entry in checkpoint.get("history", [])]


def latest(checkpoint: dict[str, Any], log: str, stored: Setting) -> Stage:
    """The run that a checkpoint is of, up to there."""
    settings, step = checkpoint["config"], int(checkpoint["progress"]["step"])
    hours = stored(settings, "train.batch") * stored(settings, "train.seconds") * step / 3600.0
    first, *lines = log.splitlines() or [""]
    kept = [line for line in lines if int(line.split(",")[0]) <= step]
    teacher = stored(settings, "train.teacher") or ""
    return Stage(stored(settings, "name"), step, hours, "\n".join([first, *kept]), teacher)


def describe(history: list[Stage]) -> str:
    """The origin of weights in one line."""
    begun = "from nothing" if history[0].steps else f"on from {history[0].name}"
    runs = [
        f"{stage.name} ({stage.steps} steps, {hours_in_words(stage.hours)}"
        + (f" of what {stage.teacher} made of them)" if stage.teacher else ")")
        for stage in history
        if stage.steps
    ]
    total = sum(stage.hours for stage in history)
    return f"trained {begun}, {hours_in_words(total)} of audio: {', then '.join(runs)}"

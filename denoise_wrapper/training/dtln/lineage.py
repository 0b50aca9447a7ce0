"""The runs that a run's weights went through before it: what their cards tell, and what checkpoints carry on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from denoise_wrapper.errors import FileError
from denoise_wrapper.training.dtln.importers import run_checkpoint
from denoise_wrapper.training.run.loop import load_checkpoint

LOG = "logs/log.csv"


class Stage(NamedTuple):
    """One run up to the checkpoint that went on."""

    name: str
    steps: int  # 0: weights that came from elsewhere
    hours: float  # of mixtures heard in it
    log: str  # the lines of its log, CSV


def history(path: Path) -> list[Stage]:
    """All stages that the weights in a file went through, oldest first; path: as `import_network` takes one."""
    file = run_checkpoint(path) if path.is_dir() else path
    try:
        content = load_checkpoint(file)
    except FileError:  # Keras' or others' weights
        return [Stage(file.name, 0, 0.0, "")]
    if not {"progress", "config"} <= set(content):
        return [Stage(file.name, 0, 0.0, "")]
    log = file.parent.parent / LOG
    text = log.read_text(encoding="utf-8") if log.is_file() else ""
    return [*stages(content), latest(content, text)]


def stages(checkpoint: dict[str, Any]) -> list[Stage]:
    """What came before the run that a checkpoint is of."""
    return [Stage(**entry) for entry in checkpoint.get("history", [])]


def latest(checkpoint: dict[str, Any], log: str) -> Stage:
    """The run that a checkpoint is of, up to there."""
    settings, step = checkpoint["config"], int(checkpoint["progress"]["step"])
    heard = settings["meta"]["batch_size"] * settings["audio"]["duration"] * step / 3600.0
    first, *lines = log.splitlines() or [""]
    kept = [line for line in lines if int(line.split(",")[0]) <= step]
    return Stage(settings["meta"]["experiment_name"], step, heard, "\n".join([first, *kept]))


def describe(history: list[Stage]) -> str:
    """Where weights come from, in one line."""
    begun = "from nothing" if history[0].steps else f"on from {history[0].name}"
    runs = [f"{stage.name} ({stage.steps} steps, {stage.hours:.0f} h)" for stage in history if stage.steps]
    heard = sum(stage.hours for stage in history)
    return f"trained {begun}, {heard:.0f} h heard: {', then '.join(runs)}"

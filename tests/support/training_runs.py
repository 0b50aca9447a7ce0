"""Runs of any family: their logs and settings, and that they end alike whether they stop or not."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from denoise_wrapper.errors import ConfigError, FileError
from denoise_wrapper.training.config import RunConfig, load_config, plain
from denoise_wrapper.training.dtln import publish as dtln_publish
from denoise_wrapper.training.enhancer import publish as enhancer_publish
from denoise_wrapper.training.rnnoise import export as rnnoise_export
from denoise_wrapper.training.run import run as running
from denoise_wrapper.training.run.card import settings_toml
from denoise_wrapper.training.run.checkpoint import load_checkpoint
from denoise_wrapper.training.run.log import StopRequest

Main = Callable[..., int]


def save_toml(config: RunConfig, path: Path) -> Path:
    """Settings as a file."""
    path.write_text(settings_toml(plain(config)), encoding="utf-8")
    return path


def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the drawing of curves, which takes longer than the steps of a small run."""
    for module in (rnnoise_export, dtln_publish, enhancer_publish):
        monkeypatch.setattr(module, "draw_course", lambda stages, labels, target: target.write_bytes(b"no picture"))


def read_log(path: Path) -> list[dict[str, str]]:
    """The lines of a log, but for how quick the machine was."""
    with path.open(newline="") as stream:
        return [{**row, "hours_a_minute": ""} for row in csv.DictReader(stream)]


@contextlib.contextmanager
def stopped(monkeypatch: pytest.MonkeyPatch, steps: int) -> Iterator[None]:
    """Ask a run to stop after some steps, as by Ctrl-C."""
    calls = iter([False] * steps)

    class Later(StopRequest):
        def __call__(self) -> bool:
            return next(calls, True)

    with monkeypatch.context() as patch:
        patch.setattr(running, "stop_request", lambda: contextlib.nullcontext(Later()))
        yield


def check_resumed_run(
    main: Main, config: RunConfig, kind: type[running.Run[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, str]]:
    """Hold a run that is stopped and resumed to one that never stopped, and to its settings; returns the log."""
    quick_pictures(monkeypatch)
    last, log = config.work_dir / kind.last, config.work_dir / kind.log
    assert main(config, toml="# mine\n" + settings_toml(plain(config))) == 0
    whole, rows = load_checkpoint(last), read_log(log)
    assert (config.work_dir / running.COPY).read_text().startswith("# mine\n")
    assert load_config(config.work_dir / running.COPY, type(config).read) == config
    last.unlink()
    log.unlink()
    with stopped(monkeypatch, 4):
        assert main(config) == 1
    assert load_checkpoint(last)["progress"]["step"] == 4
    assert main(config, resume=True) == 0
    again = load_checkpoint(last)
    for ours, theirs in ((whole, again), (whole["training"], again["training"])):
        assert all(torch.equal(values, theirs["network"][name]) for name, values in ours["network"].items())
    assert read_log(log) == rows
    with pytest.raises(FileError, match="go on with -R"):
        main(config)
    with pytest.raises(ConfigError, match=r"train\.rate"):
        main(replace(config, train=replace(config.train, rate=0.5)), resume=True)
    return rows

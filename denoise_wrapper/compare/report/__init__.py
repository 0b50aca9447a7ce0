"""A comparison as a report: one HTML file to look at and listen to, its numbers as CSV and JSON, its plots as PNG."""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from denoise_wrapper.atomic import aside, atomic_path, check_target
from denoise_wrapper.compare.comparison import Comparison
from denoise_wrapper.compare.export import to_dict, write_values
from denoise_wrapper.compare.pools import ignore, run_in_processes
from denoise_wrapper.compare.report import clips, page, plots, sound
from denoise_wrapper.errors import ConfigError, ExistingFileError, FileError, NoFolderError, file_error, needs_package
from denoise_wrapper.machine import check_jobs
from denoise_wrapper.wording import isolated, listed, visible

DRAWING = "drawing"
_MOST_NAME = 40  # characters of a clip's name in that of its figure


def write_report(
    comparison: Comparison,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    title: str | None = None,
    audio: str = "opus",
    seconds: float = 60.0,
    jobs: int = 1,
    progress: Callable[[str, int, int], object] | None = None,
) -> list[Path]:
    """Write the page, and beside it STEM.csv, STEM.json and STEM_plots/*.png; returns their paths, the page's first.

    path: the HTML file. overwrite: whether files that exist may be replaced. title: None for one of the candidates'
    names. audio: "opus", small and without an audible loss, or "flac", lossless. seconds: of longer clips only
    the first so many are shown and played. jobs: processes that draw; with more than one, a script that calls this
    needs its `if __name__ == "__main__":`. progress: called with ("drawing", clips and plots done, in all).
    Files appear when all are whole; if anything fails, Ctrl-C too, none does.
    Raises FileError if one exists and may not be replaced, or cannot be written, ConfigError for a setting out of range
    or a package that is missing.
    """
    jobs = check_jobs(jobs)
    check_report(path, overwrite=overwrite, audio=audio, seconds=seconds)
    target = Path(path)
    comparison = comparison.with_names(visible)
    groups = {
        "cost": list(plots.cost_plots(comparison)),
        "ratio": list(plots.ratio_plots(comparison)),
        "gain": list(plots.gain_plots(comparison)),
    }
    with contextlib.ExitStack() as stack:
        folder = _make_folder(stack, _folder(target))
        names = [f"clip-{number:02}-{_file_name(clip.id)}" for number, clip in enumerate(comparison.clips)]
        names += [plot.name for group in groups.values() for plot in group]
        wanted = [target, *_beside(target), *(folder / f"{name}.png" for name in names)]
        html, table, data, *figures = [stack.enter_context(atomic_path(file, overwrite)) for file in wanted]
        with open(table, "w", encoding="utf-8", newline="") as file:
            write_values(comparison, file)
        data.write_text(json.dumps(to_dict(comparison), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        todo: list[Any] = clips.make_jobs(comparison, seconds, audio, figures[: len(comparison.clips)])
        every = [plot for group in groups.values() for plot in group]
        todo += [plots.PlotJob(plot, figure) for plot, figure in zip(every, figures[len(todo) :], strict=True)]
        drawn = run_in_processes(_draw, todo, jobs, functools.partial(_report, progress or ignore))
        drawn_clips, rest = drawn[: len(comparison.clips)], iter(drawn[len(comparison.clips) :])
        drawn_plots = {name: list(itertools.islice(rest, len(group))) for name, group in groups.items()}
        comparison = comparison.with_names(isolated)
        text = page.render(comparison, drawn_clips, drawn_plots, title or _title(comparison), audio)
        html.write_text(text, encoding="utf-8")
    return wanted


def _report(progress: Callable[[str, int, int], object], done: int, total: int) -> None:
    """Report how far the drawing is: what that raises is about no file of the report."""
    with aside():
        progress(DRAWING, done, total)


def _draw(job: Any) -> Any:
    """A clip or a plot, in a process of its own perhaps."""
    return job.draw()


def check_report(
    path: str | os.PathLike[str], *, overwrite: bool = False, audio: str = "opus", seconds: float = 60.0
) -> None:
    """Refuse what can be refused before there is a comparison to report; settings as those of `write_report`.

    Raises FileError if a file of the report exists and may not be replaced, or cannot be written, and ConfigError for a
    setting out of range or a package that is missing.
    """
    sound.check_kind(audio)
    if not seconds > 0.0:
        raise ConfigError(f"seconds is more than 0, not {seconds}")
    for name in ("jinja2", "matplotlib", "PIL", "soundfile", "soxr"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise ConfigError(needs_package("the report needs", error, "compare")) from error
    target = Path(path)
    if target.suffix.lower() in (".csv", ".json"):
        raise FileError(f"{path} is one of the files beside a report, whose name is like {target.stem}.html")
    for file in (target, *_beside(target)):
        check_target(file, overwrite)
    folder = _folder(target)
    if folder.exists() and not folder.is_dir():
        raise NoFolderError(f"{folder} is no folder, and the report's plots go there; name another target")
    if not overwrite and folder.is_dir() and any(folder.glob("*.png")):
        raise ExistingFileError(f"{folder} holds plots of another report; overwrite=True (--overwrite) replaces them")


def _beside(target: Path) -> tuple[Path, Path]:
    return target.with_suffix(".csv"), target.with_suffix(".json")


def _folder(target: Path) -> Path:
    return target.with_name(f"{target.stem}_plots")


def _make_folder(stack: contextlib.ExitStack, folder: Path) -> Path:
    """The folder, made; if it stays empty it goes again."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise file_error(f"cannot make the folder {folder}: {error.strerror}", error) from error

    def remove() -> None:
        with contextlib.suppress(OSError):  # not empty, as it should be
            folder.rmdir()

    stack.callback(remove)
    return folder


def _file_name(id: str) -> str:
    """A clip's name as part of a file's."""
    return re.sub(r"[^\w.-]+", "-", id)[:_MOST_NAME].strip(".-") or "clip"


def _title(comparison: Comparison) -> str:
    names = [result.name for result in comparison.candidates]
    return f"{listed(names)} compared" if len(names) > 1 else f"{listed(names)} on trial" if names else "Clips"

"""Bars and lines that a terminal shows while files are cleaned."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from denoise_wrapper.cli.progress import FileProgress
from denoise_wrapper.progress import stages


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Text on standard error, which poses as a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    return lambda: capsys.readouterr().err


def test_a_line_above_the_bar_leaves_the_bar_as_it_is(shown: Callable[[], str]) -> None:
    with FileProgress(3, quiet=False) as progress:
        progress.report(1.0, 4.0)
        progress.ended("talk [final].wav: done")
        progress.report(2.0, 4.0)
    seen = shown()
    for wanted in ("talk [final].wav: done", "1/3 files", "x real time"):
        assert wanted in seen
    assert "[progress" not in seen


def test_a_name_with_brackets_is_shown_as_it_is(shown: Callable[[], str]) -> None:
    with FileProgress(1, quiet=False, name="talk [bold].wav") as progress:
        progress.report(1.0, 4.0)
    with stages(quiet=False) as report:
        report("timing [1]", 1, 2)
    seen = shown()
    for wanted in ("talk [bold].wav", "timing [1]"):
        assert wanted in seen
    assert "[progress" not in seen


def test_nothing_is_shown_if_quiet(shown: Callable[[], str]) -> None:
    with FileProgress(3, quiet=True) as progress:
        progress.report(1.0, 4.0)
        progress.ended("done")
    assert shown() == ""


def test_a_log_has_a_line_for_each_stage_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with stages(quiet=False, lines=True) as report:
        for done in range(4):
            report("measuring [1]", done, 3)
        report("drawing", 0, 2)
    assert capsys.readouterr().err == "measuring [1]: 0 of 3\ndrawing: 0 of 2\n"
    for quiet, lines in ((True, True), (False, False)):
        with stages(quiet=quiet, lines=lines) as report:
            report("measuring", 0, 3)
        assert capsys.readouterr().err == ""

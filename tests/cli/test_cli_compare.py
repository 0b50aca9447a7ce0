"""`denoise-wrapper compare`: which files it writes, what it says, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from comparisons import draw_one_plot
from require import require
from sets import RATE, quick_opinions, voice, write_set

for package in ("jinja2", "librosa", "matplotlib", "pesq", "pystoi", "soxr", "speechmos"):
    require(package, reason="a comparison needs packages: pip install 'denoise-wrapper[compare]'")

from denoise_wrapper.cli import main as cli  # noqa: E402
from denoise_wrapper.compare.comparison import Cost  # noqa: E402


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set; no DNSMOS, and costs that take no time."""
    quick_opinions(monkeypatch)
    monkeypatch.setattr("denoise_wrapper.compare.run.measure_cost", lambda *_: Cost(latency_ms=10.0))
    return write_set(tmp_path / "set", {"a": 0.0, "b": 10.0})


def call(*arguments: str | Path) -> int:
    return cli.main(["compare", "--jobs", "1", *(str(argument) for argument in arguments)])


def test_a_report_is_written_with_its_table_and_numbers(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.html"
    assert call(clips, "-a", "rnnoise", "-b", "rnnoise-classic,atten-lim=12,name=soft", "-o", report) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"(\w[\w ]*: \d+ of \d+\n)+", err), err  # a log, as this is no terminal
    assert "soft" in out
    beside = [str(report.with_name(f"{report.stem}{end}")) for end in (".csv", ".json", "_plots")]
    named = f"{beside[0]}, {beside[1]} and {beside[2]}"
    assert out.splitlines()[-1] == f"{report}: open it in a browser; tables and pictures are in {named}"
    assert "<html" in report.read_text(encoding="utf-8")
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [result["name"] for result in data["results"]] == ["noisy", "rnnoise", "soft"]
    assert (tmp_path / "report.csv").read_text(encoding="utf-8").count("\n") > 6
    assert list((tmp_path / "report_plots").glob("*.png"))


def test_files_that_exist_are_refused_before_any_work(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("denoise_wrapper.compare.compare", lambda *_, **__: pytest.fail("it went to work"))
    (tmp_path / "report.csv").write_text("mine")
    assert call(clips, "-o", tmp_path / "report.html") == 2
    assert "report.csv exists; --overwrite replaces it" in capsys.readouterr().err
    assert call(clips, "-o", tmp_path / "nowhere" / "report.html") == 2
    assert "there is no folder" in capsys.readouterr().err
    assert (tmp_path / "report.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-a", "rnnoize"], "did you mean rnnoise"),
        (["-a", "rnnoise,mix=2"], "mix is 0 (dry) to 1"),
        (["--seconds", "0"], "seconds is more than 0"),
        (["--jobs", "0"], "jobs is a number of threads or processes, 1 or more"),
        (["-a", "rnnoise,name=noisy"], "name the candidate otherwise"),
        (["--clean", "SET/clean"], "sets have their references in clean/"),
    ],
)
def test_wrong_usage_is_said_at_once_and_writes_nothing(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    report = tmp_path / "report.html"
    assert call(clips, "-o", report, *(argument.replace("SET", str(clips)) for argument in arguments)) == 2
    assert said in capsys.readouterr().err
    assert not report.exists()


def test_problems_are_in_the_report_and_the_exit_code(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_one_plot(monkeypatch)
    soundfile.write(clips / "clean" / "a.wav", np.zeros(2 * RATE), RATE)
    bad = tmp_path / "bad.rnnn"
    bad.write_text("no model")
    report = tmp_path / "report.html"
    assert call(clips, "-a", "rnnoise", "-b", bad, "-o", report) == 2
    page = report.read_text(encoding="utf-8")
    for said in ("the reference is silent", "bad.rnnn"):
        assert said in page
        assert said in capsys.readouterr().out or said == "bad.rnnn"
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert data["results"][2]["error"]


@pytest.mark.skipif(os.name == "nt", reason="a signal that a program can send itself there ends it at once")
@pytest.mark.parametrize(("verb", "jobs"), [("evaluate", "1"), ("evaluate", "2"), ("compare", "2")])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, verb: str, jobs: str) -> None:
    count = 20
    folder = write_set(tmp_path / "set", {f"{number:02}": 5.0 for number in range(count)})
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    out.mkdir()
    scratch.mkdir()
    arguments = {
        "evaluate": ["--set", folder, "--csv", out / "r.csv"],
        "compare": [folder, "-a", "rnnoise", "-o", out / "report.html"],
    }[verb]
    command = [sys.executable, "-m", "denoise_wrapper", verb, "--jobs", jobs, *map(str, arguments)]

    def heed() -> None:  # a shell makes what it starts in the background ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)

    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed, env=environment
    ) as run:
        end = time.monotonic() + 60.0
        while len(list(scratch.glob("denoise-*/*.npy"))) < count and time.monotonic() < end:
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
        assert run.stderr is not None
        errors = run.stderr.read()
    assert run.returncode == 130, errors
    assert errors.splitlines()[-1] == "denoise-wrapper: interrupted"
    assert re.fullmatch(r"(\w+: \d+ of \d+\n)*denoise-wrapper: interrupted\n", errors), errors
    assert not list(out.iterdir())
    assert not list(scratch.glob("denoise-*"))  # libraries leave files of their own there


@pytest.mark.skipif(os.name == "nt", reason="a browser that is a script")
def test_a_page_is_opened_by_the_browser_of_the_user(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path}/opened"\n')
    browser.chmod(0o755)
    page = tmp_path / "a b.html"
    program = f"from denoise_wrapper.cli.compare import *\nprint(open_page(Path({str(page)!r})))"
    said = []
    for chosen in (browser, "/bin/false", tmp_path / "absent"):
        environment = {**os.environ, "BROWSER": str(chosen), "PATH": str(tmp_path)}
        command = [sys.executable, "-c", program]
        said.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert said == ["True\n", "False\n", "False\n"]
    assert (tmp_path / "opened").read_text() == f"{page.as_uri()}\n"


def test_a_single_clip_and_its_reference(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_one_plot(monkeypatch)
    opened: list[Path] = []

    def open_page(page: Path) -> bool:
        opened.append(page)
        return True

    monkeypatch.setattr("denoise_wrapper.cli.compare.open_page", open_page)
    soundfile.write(tmp_path / "one.wav", voice(), RATE)
    arguments: list[str | Path] = [clips / "noisy" / "a.wav", "--clean", clips / "clean" / "a.wav", "-a", "rnnoise"]
    assert (
        call(
            *arguments,
            "--mode",
            "stream",
            "--match-levels",
            "-o",
            tmp_path / "a.html",
            "--title",
            "Mine & <yours>",
            "--open",
        )
        == 0
    )
    assert opened == [tmp_path / "a.html"]
    assert f"{tmp_path / 'a.html'}: opened in a browser" in capsys.readouterr().out
    assert "Mine &amp; &lt;yours&gt;" in (tmp_path / "a.html").read_text(encoding="utf-8")
    data = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert data["mode"] == "stream"
    assert data["level_matched"] is True

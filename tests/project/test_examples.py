"""The examples, each run as it stands: what it writes is that of the library, and what it lacks it names in a line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from denoise_wrapper import Denoiser
from denoise_wrapper.models.shipped import MODELS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# Hides packages and then runs a file as a program: hidden.py NAME,NAME FILE ARGUMENTS...
HIDDEN = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(example: str, *words: str | Path, hidden: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    """Run an example to its end. hidden: packages that are not to be had in it."""
    before = ["-c", HIDDEN, hidden] if hidden else []
    command = [sys.executable, *before, EXAMPLES / example, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """Two seconds of the clip."""
    samples, rate = soundfile.read(EXAMPLES / "noisy.wav", frames=96000, dtype="int16")
    soundfile.write(tmp_path / "noisy.wav", samples, rate)
    return tmp_path / "noisy.wav"


def test_a_file_is_cleaned_and_its_share_of_speech_said(noisy: Path, tmp_path: Path) -> None:
    done = run("filter_file.py", noisy, tmp_path / "clean.wav")
    assert done.returncode == 0, done.stderr
    assert "2.0 s" in done.stdout
    samples, rate = soundfile.read(noisy, dtype="int16")
    made, _ = soundfile.read(tmp_path / "clean.wav", dtype="int16")
    np.testing.assert_array_equal(made, Denoiser().filter(samples, rate))
    done = run("filter_file.py", tmp_path / "absent.wav")
    assert (done.returncode, done.stderr) == (2, f"there is no file {tmp_path / 'absent.wav'}\n")


def test_another_model_takes_over_in_the_middle(noisy: Path, tmp_path: Path) -> None:
    done = run("switch.py", noisy, tmp_path / "clean.wav", MODELS / "rnnoise-classic.dnnw")
    assert done.returncode == 0, done.stderr
    made, rate = soundfile.read(tmp_path / "clean.wav", dtype="float32")
    samples = soundfile.read(noisy, dtype="float32")[0]
    assert made.shape == samples.shape
    half, tail, step = rate, -rate // 4, 1.01 / 32768  # what a file of 16 bits rounds to
    np.testing.assert_allclose(made[:half], Denoiser().filter(samples, rate)[:half], atol=step)
    np.testing.assert_allclose(made[tail:], Denoiser("rnnoise-classic").filter(samples[half:], rate)[tail:], atol=step)


def test_spectrograms_of_any_file_are_drawn(noisy: Path, tmp_path: Path) -> None:
    done = run("draw_spectrograms.py", noisy, tmp_path / "clip.png", "dtln-16k")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'clip.png'}\n"), done.stderr
    assert (tmp_path / "clip.png").read_bytes().startswith(b"\x89PNG")


def test_the_clip_of_this_repository_is_made_by_its_example(needs: Callable[[str], str], tmp_path: Path) -> None:
    needs("espeak-ng")
    done = run("make_noisy_clip.py", tmp_path / "made.wav")
    assert done.returncode == 0, done.stderr
    made, shipped = (soundfile.info(path) for path in (tmp_path / "made.wav", EXAMPLES / "noisy.wav"))
    assert (made.samplerate, made.channels, made.subtype) == (shipped.samplerate, shipped.channels, shipped.subtype)


@pytest.mark.parametrize(
    ("example", "package", "who", "extra"),
    [
        ("live.py", "sounddevice", "live.py needs", "live"),
        ("stream_client.py", "websockets", "stream_client.py needs", "serve"),
        ("draw_spectrograms.py", "matplotlib", "draw_spectrograms.py needs", "compare"),
        ("compare_models.py", "jinja2", "the report needs", "compare"),
    ],
)
def test_an_example_names_the_extra_that_it_lacks(
    noisy: Path, tmp_path: Path, example: str, package: str, who: str, extra: str
) -> None:
    done = run(example, noisy, hidden=package, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"{who} {package}: pip install 'denoise-wrapper[{extra}]'"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("example", "program"), [("make_noisy_clip.py", "espeak-ng"), ("virtual_microphone.py", "pactl")]
)
def test_an_example_names_the_program_that_it_lacks(tmp_path: Path, example: str, program: str) -> None:
    done = run(example, env={"PATH": str(tmp_path), "PYTHONPATH": str(EXAMPLES.parent)}, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{example} needs {program} (on Debian: apt install ")
    assert done.stderr.count("\n") == 1

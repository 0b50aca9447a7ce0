"""The examples of each framework, run as they stand."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from agents import ROOT, clip, interpreter, ratio_db

from denoise_wrapper import Denoiser

RATE = 48000


@pytest.mark.parametrize("framework", ["aiortc", "livekit", "pipecat"])
def test_an_example_cleans_a_file(framework: str, tmp_path: Path) -> None:
    python, noisy = interpreter(framework), clip(2.0)
    source, target = tmp_path / "noisy.wav", tmp_path / "clean.wav"
    soundfile.write(source, noisy, RATE)
    words = [str(python), str(ROOT / f"examples/agent_{framework}.py"), str(source), str(target)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    heard, rate = soundfile.read(target, always_2d=True)
    assert rate == RATE
    wanted = Denoiser(preset="voice").filter(noisy, RATE) / 32768
    product = np.fft.irfft(np.fft.rfft(heard[:, 0], 1 << 18) * np.conj(np.fft.rfft(wanted, 1 << 18)))
    at = int(product[: RATE // 2].argmax())
    assert 0 <= at - Denoiser().latency(RATE) <= RATE // 50  # a track may begin with some silence
    part = heard[at:, 0][: len(wanted)]
    assert len(part) > len(wanted) - RATE // 20
    wanted = wanted[: len(part)]
    part = part * np.dot(part, wanted) / np.dot(part, part)  # aiortc's player makes stereo of mono, 3 dB quieter
    assert ratio_db(wanted, part) > 30


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/agent_*")), ids=lambda path: path.name)
def test_examples_of_agents_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40

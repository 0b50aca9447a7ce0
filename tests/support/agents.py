"""Frameworks of voice agents, each in an environment of its own with its packages of today."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "DENOISE_WRAPPER_AGENTS"  # the folder with the environments, each of the framework's name
REQUIRED = "DENOISE_WRAPPER_AGENTS_REQUIRED"  # names, with commas, of those that must be there
Int16 = NDArray[np.int16]


def interpreter(framework: str) -> Path:
    """The Python of a framework's environment. Without one the test is skipped, or fails if it has to be there."""
    folder = os.environ.get(VARIABLE)
    path = Path(folder or ".") / framework / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not folder or not path.exists():
        text = f"no environment for {framework}: make agents FRAMEWORKS={framework}, or name its folder in {VARIABLE}"
        required = framework in os.environ.get(REQUIRED, "").split(",")
        (pytest.fail if required else pytest.skip)(text)
    return path


def clip(seconds: float = 3.0, rate: int = 48000) -> Int16:
    """The beginning of the noisy clip of the examples, (frames,)."""
    import soundfile

    from denoise_wrapper.stream.resample import resample

    samples, own = soundfile.read(ROOT / "examples/noisy.wav", dtype="float32", frames=round(seconds * 48000))
    other = samples[:, None] if rate == own else resample(samples[:, None], own, rate)
    return np.rint(32767 * other[:, 0]).astype(np.int16)


def walk(framework: str, folder: Path, **given: Any) -> dict[str, Any]:
    """Run tests/integrations/walk_FRAMEWORK.py in its environment: arrays in, arrays out.

    given: arrays and numbers, which the program reads as an .npz. Returns what it wrote as one.
    """
    python = interpreter(framework)
    np.savez(folder / "given.npz", **given)
    program = ROOT / "tests/integrations" / f"walk_{framework}.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1"}
    words = [str(python), str(program), str(folder / "given.npz"), str(folder / "made.npz")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    with np.load(folder / "made.npz") as made:
        return {name: made[name] for name in made.files}


def ratio_db(wanted: NDArray[Any], other: NDArray[Any]) -> float:
    """Power of a signal over that of the difference, dB; 200 for none."""
    difference = wanted.astype(np.float64) - other
    return float(10 * np.log10(np.sum(wanted.astype(np.float64) ** 2) / max(np.sum(difference**2), 1e-20) + 1e-20))

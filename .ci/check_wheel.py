"""Check the installed package: what it ships cleans a clip, by the command and from several threads.

    python .ci/check_wheel.py CLIP

Run with the Python that the wheel is installed in, anywhere but in the tree. Leaves nothing behind.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

import denoise_wrapper
from denoise_wrapper import Denoiser

BACKENDS = ("rnnoise", "rnnoise-classic", "dtln-16k", "dtln-32k", "enhancer", "enhancer-tiny", "enhancer-live")
THREADS = 4


def clean(clip: Path, backend: str, folder: Path) -> None:
    """Clean a clip by the command line, which must take some of it away and keep its length."""
    target = folder / f"{backend}.wav"
    command = [sys.executable, "-m", "denoise_wrapper", "filter", "-q", "-b", backend, clip, "-o", target]
    subprocess.run(command, check=True)
    (noisy, rate), (cleaned, cleaned_rate) = soundfile.read(clip), soundfile.read(target)
    assert (cleaned.shape, cleaned_rate) == (noisy.shape, rate)
    share = float(np.mean(cleaned**2) / np.mean(noisy**2))
    assert share < 0.9, f"{backend} left {share:.2f} of the power"
    print(f"{backend}: power {share:.2f} of the noisy clip's")


def share_a_backend(clip: Path, backend: str) -> None:
    """Clean the clip in several threads at once; each must get what one alone gets."""
    denoiser = Denoiser(backend)
    audio, rate = soundfile.read(clip, dtype="float32")
    alone = denoiser.filter(audio, rate)
    with ThreadPoolExecutor(THREADS) as pool:
        for cleaned in pool.map(lambda _: denoiser.filter(audio, rate), range(THREADS)):
            np.testing.assert_array_equal(cleaned, alone)


def main() -> None:
    clip = Path(sys.argv[1]).resolve()
    tree = Path(__file__).resolve().parents[1]
    assert not Path(denoise_wrapper.__file__).is_relative_to(tree), f"this is the tree: {denoise_wrapper.__file__}"
    with tempfile.TemporaryDirectory() as folder:
        for backend in BACKENDS:
            clean(clip, backend, Path(folder))
            share_a_backend(clip, backend)
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled(), "a module brought the GIL back"  # type: ignore[attr-defined]
        print("no GIL")


if __name__ == "__main__":
    main()

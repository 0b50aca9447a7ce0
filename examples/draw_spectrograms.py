"""Draw a recording above what is left of it: draw_spectrograms.py [NOISY.wav [OUT.png [BACKEND]]]

Without arguments, README's picture: the clip beside this file, by the default backend. Needs matplotlib, as the extras
[compare] and [training] bring it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile

from denoise_wrapper import Denoiser

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
except ImportError as error:
    sys.exit(f"draw_spectrograms.py needs {error.name}: pip install 'denoise-wrapper[compare]'")

HERE = Path(__file__).resolve().parent
FLOOR_DB, TOP_DB = -110, -30


def draw(noisy: Path, target: Path, backend: str = "rnnoise") -> None:
    """Write a PNG with both spectrograms, one scale for both."""
    samples, rate = soundfile.read(noisy, dtype="float32", always_2d=True)
    cleaned = Denoiser(backend).filter(samples, rate)
    figure, axes = plt.subplots(2, 1, figsize=(9, 4.4), sharex=True, layout="constrained")
    for axis, signal, title in zip(axes, (samples, cleaned), ("noisy", f"cleaned by {backend}"), strict=True):
        mono = signal.mean(axis=1) + 1e-9 * np.random.default_rng(0).standard_normal(len(signal))
        *_, image = axis.specgram(mono, NFFT=1024, Fs=rate, noverlap=768, cmap="magma", vmin=FLOOR_DB, vmax=TOP_DB)
        axis.set_ylim(0, min(12000, rate / 2))
        axis.set_yticks([0, 4000, 8000, 12000], ["0", "4", "8", "12 kHz"])
        axis.set_title(title, loc="left", fontsize=10)
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=axes, label="dB", pad=0.01)
    figure.savefig(target, dpi=90)


if __name__ == "__main__":
    usual = [str(HERE / "noisy.wav"), str(HERE.parent / "docs/images/clip.png"), "rnnoise"]
    source, picture, backend = [*sys.argv[1:], *usual[len(sys.argv) - 1 :]]
    draw(Path(source), Path(picture), backend)
    print(picture)

"""Makes noisy.wav, the clip that README's first command cleans: speech by espeak-ng, noise by formula.

    python examples/make_noisy_clip.py [OUT.wav]

Needs espeak-ng (on Debian: apt install espeak-ng). The same version of it gives the same clip.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 48000  # Hz
TEXT = "This was said in a noisy room. You hear a fan, a street, and then only my voice."
SNR_DB = 6.0
SEED = 7

Signal = NDArray[np.float64]


def speech() -> Signal:
    """The text as espeak-ng says it, with half a second of silence before and after; peak 0.4."""
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "170", "-w", str(spoken), TEXT], check=True)
        samples, rate = soundfile.read(spoken)
    n = round(len(samples) * RATE / rate)
    voice = np.fft.irfft(np.fft.rfft(samples), n)  # a longer inverse transform: the same sound at a higher rate
    return np.pad(voice * (0.4 / np.abs(voice).max()), RATE // 2)


def noise(n: int, rng: np.random.Generator) -> Signal:
    """A street (pink noise that comes and goes), a fan (hum with overtones) and a keyboard (short clicks)."""
    time = np.arange(n) / RATE
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / RATE), 40.0))
    street = np.fft.irfft(spectrum, n)
    street *= (1 + 0.4 * np.sin(2 * np.pi * 0.3 * time)) / street.std()
    fan = sum(np.sin(2 * np.pi * 95 * k * time + rng.uniform(0, 6.28)) / k for k in range(1, 9))
    clicks = np.zeros(n)
    for start in np.arange(0.2, n / RATE - 0.1, 0.31) + rng.uniform(0, 0.1):
        length = int(0.012 * RATE)
        clicks[int(start * RATE) :][:length] += rng.standard_normal(length) * np.exp(-np.arange(length) / 90.0)
    return street + 0.5 * fan + 3.0 * clicks


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("noisy.wav"))
    voice = speech()
    disturbance = noise(len(voice), np.random.default_rng(SEED))
    disturbance *= np.sqrt(np.mean(voice**2) / np.mean(disturbance**2)) * 10 ** (-SNR_DB / 20)
    soundfile.write(target, voice + disturbance, RATE, subtype="PCM_16")
    print(f"{target}: {len(voice) / RATE:.1f} s, {SNR_DB:g} dB")


if __name__ == "__main__":
    main()

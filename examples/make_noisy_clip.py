"""Makes noisy.wav, the clip that README's first command cleans, or a small set to compare on: speech by espeak-ng,
noise by formula.

    python examples/make_noisy_clip.py [OUT.wav]
    python examples/make_noisy_clip.py --set DIR      # DIR/noisy, DIR/clean and DIR/manifest.json, eight clips

Needs espeak-ng (on Debian: apt install espeak-ng). The same version of it gives the same clips.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 48000  # Hz
VOICE, TEXT = "en-us", "This was said in a noisy room. You hear a fan, a street, and then only my voice."
SNR_DB = 6.0
SEED = 7
SPOKEN = (  # of the set
    (VOICE, TEXT),
    ("en-gb", "Turn left after the bridge, and call me when you are there."),
    ("en-us+f3", "The train to the coast leaves at seven from platform nine."),
    ("en-gb+f4", "Nobody had seen the old lighthouse keeper since the storm."),
)
RATIOS_DB = (0.0, 10.0)

Signal = NDArray[np.float64]


def speech(voice: str, text: str) -> Signal:
    """The text as espeak-ng says it, with half a second of silence before and after; peak 0.4."""
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", "170", "-w", str(spoken), text], check=True)
        samples, rate = soundfile.read(spoken)
    n = round(len(samples) * RATE / rate)
    said = np.fft.irfft(np.fft.rfft(samples), n)  # a longer inverse transform: the same sound at a higher rate
    return np.pad(said * (0.4 / np.abs(said).max()), RATE // 2)


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


def mix(clean: Signal, snr_db: float, seed: int) -> Signal:
    """The clean clip with noise so far below its mean power."""
    disturbance = noise(len(clean), np.random.default_rng(seed))
    disturbance *= np.sqrt(np.mean(clean**2) / np.mean(disturbance**2)) * 10 ** (-snr_db / 20)
    return clean + disturbance


def write_set(folder: Path) -> None:
    """Each voice at each ratio, as `denoise-wrapper compare` and `evaluate` take them."""
    for part in ("clean", "noisy"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    clips: list[dict[str, object]] = []
    for voice, text in SPOKEN:
        clean = speech(voice, text)
        for snr_db in RATIOS_DB:
            name = f"{len(clips):02}"
            soundfile.write(folder / "clean" / f"{name}.wav", clean, RATE, subtype="PCM_16")
            soundfile.write(folder / "noisy" / f"{name}.wav", mix(clean, snr_db, SEED + len(clips)), RATE, "PCM_16")
            clips.append({"id": name, "snr_db": snr_db, "rate": RATE})
    (folder / "manifest.json").write_text(json.dumps({"clips": clips}, indent=1) + "\n")
    print(f"{folder}: {len(clips)} clips")


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes a noisy clip, or a set of some.")
    parser.add_argument(
        "target", nargs="?", type=Path, default=Path(__file__).with_name("noisy.wav"), metavar="OUT.wav"
    )
    parser.add_argument("--set", type=Path, metavar="DIR")
    args = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        sys.exit("make_noisy_clip.py needs espeak-ng (on Debian: apt install espeak-ng)")
    if args.set is not None:
        write_set(args.set)
        return
    clean = speech(VOICE, TEXT)
    soundfile.write(args.target, mix(clean, SNR_DB, SEED), RATE, subtype="PCM_16")
    print(f"{args.target}: {len(clean) / RATE:.1f} s, {SNR_DB:g} dB")


if __name__ == "__main__":
    main()

"""Small packs of made-up voices and noises, and settings that go with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from denoise_wrapper.training.config import MixConfig

RATE = 48000
MIX = MixConfig(clip_s=1.0, gap_s=(0.05, 0.1), long_gap_share=0.0)
GOOD_TOML = 'work_dir = "work"\ndata = {speech = ["speech"], noise = ["noise"]}\n'


def write_packs(folder: Path) -> tuple[Path, Path]:
    """A pack of four voices with a table, three words each, and one of four noises without: (speech, noise)."""
    rng = np.random.default_rng(1)
    speech, noise = folder / "speech", folder / "noise"
    rows = ["file,start_s,end_s,voice,source,licence"]
    for path in (speech, noise):
        path.mkdir(exist_ok=True)
    time = np.arange(RATE * 3 // 5) / RATE
    for voice in range(4):
        words = []
        for word in range(3):
            pitch = 2.0 * np.pi * (100.0 + 30.0 * voice) * time
            tone = sum(np.sin(order * pitch) / order for order in range(1, 60))
            words += [0.2 * tone * np.sin(np.pi * time / 0.6) ** 0.5 * (1.1 + np.sin(20.0 * time)), np.zeros(RATE // 5)]
            rows.append(f"speech/voice{voice}.wav,{0.8 * word:.2f},{0.8 * word + 0.6:.2f},voice{voice},made,CC0")
        soundfile.write(speech / f"voice{voice}.wav", np.concatenate(words) / 2.0, RATE)
    for number in range(4):
        colour = np.convolve(rng.standard_normal(2 * RATE), np.ones(number + 1) / (number + 1), "same")
        soundfile.write(noise / f"noise{number}.wav", 0.1 * colour, RATE)
    (speech / "segments.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return speech, noise


def write_pairs(folder: Path, lengths: list[int], readers: int = 0, sign: float = 1.0, rate: int = 16000) -> Path:
    """A folder of pairs of so many samples each: clean a slow ramp, noisy the same (number + 1) / 1000 higher.

    readers: so many are named in the names of the noisy files, by turns. sign: of what noisy has more.
    """
    for part in ("clean", "noisy"):
        (folder / part).mkdir(parents=True)
    for number, length in enumerate(lengths):
        clean = np.rint(np.linspace(-5000.0, 5000.0, length)) / 32768.0
        reader = f"book_1_chp_2_reader_{number % readers:05}_3" if readers else "talk"
        soundfile.write(folder / f"clean/clean_fileid_{number}.wav", clean, rate, subtype="FLOAT")
        noisy = clean + sign * (number + 1) / 1000.0
        soundfile.write(folder / f"noisy/{reader}_snr5_tl-25_fileid_{number}.wav", noisy, rate, subtype="FLOAT")
    return folder

"""Small sets of clips for tests of what measures them: syllables made by formula, and noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from denoise_wrapper.compare.measure import metrics

Float64 = NDArray[np.float64]
RATE = 16000


def voice(seconds: float = 2.0, rate: int = RATE, seed: int = 1) -> Float64:
    """Harmonics of a pitch that wanders, in syllables of 0.3 s with pauses: enough speech for every metric."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120.0 + 20.0 * np.sin(2.0 * np.pi * 0.7 * time + rng.uniform(0.0, 6.0))
    phase = 2.0 * np.pi * np.cumsum(pitch) / rate
    tone = sum(np.sin(number * phase) / number for number in range(1, int(0.4 * rate / 140.0)))
    loudness = np.clip(np.sin(2.0 * np.pi * 1.7 * time), 0.0, None)
    return np.asarray(0.1 * loudness * tone)


def noise(like: Float64, snr_db: float, seed: int = 2) -> Float64:
    """White noise so far below the mean power of a clip."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.standard_normal(len(like)) * np.sqrt(np.mean(like**2)) * 10.0 ** (-snr_db / 20.0))


def write_set(folder: Path, ratios: dict[str, float], manifest: bool = True, rate: int = RATE) -> Path:
    """A set of a clip for each id, at that ratio in dB; WAV files of floats."""
    entries: list[dict[str, Any]] = []
    for name in ("clean", "noisy"):
        (folder / name).mkdir(parents=True)
    for number, (name, snr_db) in enumerate(ratios.items()):
        clean = voice(rate=rate, seed=number)
        for part, audio in (("clean", clean), ("noisy", clean + noise(clean, snr_db, 100 + number))):
            soundfile.write(folder / part / f"{name}.wav", audio, rate, "FLOAT")
        entries.append({"id": name, "rate": rate, "snr_db": snr_db})
    if manifest:
        (folder / "manifest.json").write_text(json.dumps({"clips": entries}))
    return folder


def quick_opinions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for DNSMOS, which takes longer than all the rest, in this process."""

    def opinion(audio: NDArray[np.float32], rate: int, personal: bool) -> dict[str, float]:
        return dict.fromkeys(("sig_mos", "bak_mos", "ovrl_mos"), 1.0 + float(np.abs(audio).mean()))

    monkeypatch.setattr(metrics, "_dnsmos_model", lambda: opinion)

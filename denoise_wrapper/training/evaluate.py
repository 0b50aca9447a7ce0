"""Sets of mixtures as files, for `denoise-wrapper evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from denoise_wrapper.atomic import make_folder
from denoise_wrapper.training.mix.mixing import Mixer


def make_set(mixer: Mixer, clips: int, target: Path) -> None:
    """Write the first clips of a mixer as a set: clean/ID.flac, noisy/ID.flac of 16 bits, and manifest.json."""
    for name in ("clean", "noisy"):
        make_folder(target / name)
    manifest = []
    for index in range(clips):
        mix = mixer.clip(index)
        for name, audio in (("clean", mix.clean), ("noisy", mix.noisy)):
            soundfile.write(target / name / f"{index:03}.flac", audio, mixer.rate, subtype="PCM_16")
        noise = float(np.mean(np.square(mix.noisy - mix.clean)))
        snr_db = 10.0 * np.log10(max(float(np.mean(np.square(mix.clean))), 1e-12) / max(noise, 1e-12))
        manifest.append({"id": f"{index:03}", "rate": mixer.rate, "snr_db": round(snr_db, 1)})
    (target / "manifest.json").write_text(json.dumps({"clips": manifest}, indent=1), encoding="utf-8")

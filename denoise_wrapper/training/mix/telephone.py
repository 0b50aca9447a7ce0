"""A set as telephones carry it, by formula: 8 kHz, 200 to 3400 Hz, G.711, lost packets."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import scipy.signal
import soundfile
from numpy.typing import NDArray

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.clips.sets import read_set
from denoise_wrapper.errors import ExistingFileError, FileError
from denoise_wrapper.training.mix.blind import read_at, to_int16

Float64 = NDArray[np.float64]
RATE = 8000
BAND_HZ = (200.0, 3400.0)  # of AMR's narrow band; G.711 carries what it gets
TAPS = 257  # of the band's filter: edges of some 100 Hz
A, MU = 87.6, 255.0
CODECS = ("a-law", "mu-law", "band")  # one after the other over the clips; band: nothing but the limits
PACKET_S, LOST_SHARE = 0.02, 0.03  # of every other clip: packets that are missing, as silence


def telephone_band(signal: Float64) -> Float64:
    """Limit a signal at 8 kHz, float64 (n,), to the band of a telephone; nothing is late."""
    taps = scipy.signal.firwin(TAPS, BAND_HZ, fs=RATE, pass_zero=False)
    return np.asarray(scipy.signal.fftconvolve(signal, taps, "same"))


def compand(signal: Float64, codec: str) -> Float64:
    """A signal, full scale 1, after eight bits of G.711 and back, by its formulas in place of its segments.

    codec: "a-law" or "mu-law"; "band" leaves it as it is.
    """
    size, sign = np.minimum(np.abs(signal), 1.0), np.sign(signal)
    if codec == "mu-law":
        code = np.rint(127.0 * np.log1p(MU * size) / np.log1p(MU)) / 127.0
        return sign * np.expm1(code * np.log1p(MU)) / MU
    if codec == "a-law":
        whole = 1.0 + np.log(A)
        small = size < 1.0 / A
        code = np.where(small, A * size, 1.0 + np.log(np.maximum(A * size, 1.0))) / whole
        code = (np.minimum(np.floor(128.0 * code), 127.0) + 0.5) / 128.0
        back = np.where(code < 1.0 / whole, code * whole / A, np.exp(code * whole - 1.0) / A)
        return np.where(signal < 0.0, -back, back)
    return signal


def kept_packets(chance: Random, length: int, lost_share: float = LOST_SHARE) -> NDArray[np.bool_]:
    """Mark the samples at 8 kHz whose packets arrive: bool (length,)."""
    size = round(PACKET_S * RATE)
    return np.repeat([chance.random() >= lost_share for _ in range(-(-length // size))], size)[:length]


def make_telephone_set(source: Path, target: Path, overwrite: bool = False) -> int:
    """Write a set as telephones carry it, clean/, noisy/ and manifest.json as the source has them; returns the clips.

    Both sides get the band and the gaps, as nobody asks a denoiser to fill them; noisy alone the codec's steps. Always
    the same for the same source. Raises DataError if source is no set, FileError if target holds one already and is not
    to be overwritten, or cannot be written.
    """
    if target.resolve() == source.resolve():
        raise FileError(f"{target} is the set itself; name another folder")
    if (target / "manifest.json").exists() and not overwrite:
        raise ExistingFileError(f"{target / 'manifest.json'} exists; overwrite=True (--overwrite) replaces it")
    clips = read_set(source)
    for name in ("clean", "noisy"):
        make_folder(target / name)
    entries = [make_clip(clip, at, target) for at, clip in enumerate(clips)]
    note = "snr_db is that of the set it was made from, before the band limits"
    with atomic_path(target / "manifest.json", overwrite=True) as part:
        part.write_text(json.dumps({"note": note, "clips": entries}, indent=1) + "\n", encoding="utf-8")
    return len(clips)


def make_clip(clip: Clip, at: int, target: Path) -> dict[str, Any]:
    """Write both sides of a clip, number at of its set; returns what the manifest says of it."""
    assert clip.clean is not None  # as of every clip of `read_set`
    clean, noisy = (telephone_band(read_at(path, RATE)) for path in (clip.clean, clip.noisy))
    length = min(len(clean), len(noisy))
    codec = CODECS[at % len(CODECS)]
    kept = kept_packets(Random(f"telephone/{clip.id}"), length, LOST_SHARE if at % 2 else 0.0)
    clean, noisy = clean[:length] * kept, compand(noisy[:length], codec) * kept
    for name, audio in (("clean", clean), ("noisy", noisy)):
        with atomic_path(target / name / f"{clip.id}.flac", overwrite=True) as part:
            soundfile.write(part, to_int16(audio), RATE, "PCM_16", format="FLAC")
    lost = 1.0 - float(kept.mean())
    return {"id": clip.id, "rate": RATE, "snr_db": clip.snr_db, "codec": codec, "lost": round(lost, 4)}

"""Recorded answers of the original library with some models, and the distance of a backend from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from require import require

from denoise_wrapper.backends.native import FRAME, known_instruction_sets
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.errors import ConfigError

CLIPS = ["street", "snr0", "phone"]
ISAS = known_instruction_sets()
WARM_UP = 10 * FRAME  # samples in which a difference may settle


def make_backend(model: Path | bytes | None, isa: str | None = None) -> RNNoiseBackend:
    """The backend, or a skipped test where this machine has no h5py or not that instruction set."""
    if isinstance(model, Path) and model.suffix == ".hdf5":
        require("h5py")
    try:
        return RNNoiseBackend(model, isa=isa)
    except ConfigError as error:
        pytest.skip(str(error))


def signal_to_difference_db(wanted: NDArray[Any], got: NDArray[Any]) -> float:
    """Ratio of a signal to its difference from another of its shape, in dB; infinite if they are equal."""
    wanted, got = wanted.astype(np.float64), got.astype(np.float64)
    difference = np.sum((wanted - got) ** 2)
    return float(10 * np.log10(np.sum(wanted**2) / difference)) if difference else float("inf")


def check_against_recording(backend: RNNoiseBackend, folder: Path, clip: str, model: str, least_db: float) -> None:
    """The clip as the backend cleans it, from fresh state, against the recorded answer; prints how near they are."""
    noisy, rate = soundfile.read(folder / f"{clip}.flac", dtype="float32")
    wanted, _ = soundfile.read(folder / f"{clip}.{model}.flac", dtype="float32")
    wanted_voice = np.load(folder / f"{clip}.{model}.vad.npy")
    assert rate == 48000
    cleaned, voice = backend.new_state(1).process(noisy[None, : len(wanted_voice) * FRAME])
    got = np.clip(cleaned[0], -1, 1)
    agreement_db = signal_to_difference_db(wanted[WARM_UP : len(got)], got[WARM_UP : len(wanted)])
    agreeing = np.mean(np.abs(voice[0] - wanted_voice) <= 0.01)
    print(f"{model} {clip} {backend.isa}: {agreement_db:.1f} dB, voice within 0.01 on {agreeing:.2%} of frames")
    assert agreement_db >= least_db
    assert agreeing >= 0.99

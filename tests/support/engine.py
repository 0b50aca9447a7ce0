"""The engine frame by frame, with what its saved states tell of the pitch and of the network's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reference_signal import FRAME, Pitch

from denoise_wrapper.backends.rnnoise import RNNoiseBackend

# A state's bytes up to the memory of the network: a head, the front end, the synthesis.
SAVED = np.dtype(
    [
        ("head", "S4, 4u4"),
        ("highpass", "f8", 2),
        ("samples", "f4", 8 + 1728),
        ("cepstra", "f4", (8, 24)),
        ("distance", "f4", (8, 8)),
        ("newest", "i4"),
        ("period", "i4"),
        ("gain", "f4"),
        ("padding", "i4"),
        ("overlap", "f4", FRAME),
        ("removed", "f4", FRAME),
        ("last_gain", "f4", 32),
    ]
)


@dataclass
class Heard:
    """audio (n * 480,), voice (n,); after each of the n frames the pitch, and the floats behind SAVED (n, floats)."""

    cleaned: NDArray[np.float32]
    voice: NDArray[np.float32]
    pitch: list[Pitch]
    memory: NDArray[np.float32]


def run_engine(backend: RNNoiseBackend, audio: NDArray[Any]) -> Heard:
    """The audio (n * 480,), from fresh state."""
    state = backend.new_state(1)
    cleaned, voice, pitch, memory = [], [], [], []
    for frame in np.split(audio.astype(np.float32)[None], len(audio) // FRAME, axis=1):
        out, probability = state.process(np.ascontiguousarray(frame))
        saved = state.saved()[0]
        front = np.frombuffer(saved, SAVED, 1)[0]
        cleaned.append(out[0])
        voice.append(probability[0, 0])
        pitch.append((int(front["period"]), float(front["gain"])))
        memory.append(np.frombuffer(saved, np.float32, offset=SAVED.itemsize))
    return Heard(np.concatenate(cleaned), np.array(voice), pitch, np.stack(memory))

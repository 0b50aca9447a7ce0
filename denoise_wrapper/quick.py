"""One call for who wants no object."""

from __future__ import annotations

from typing import Any, TypeVar

from numpy.typing import DTypeLike

from denoise_wrapper.backends.base import Backend
from denoise_wrapper.denoiser import Denoiser

Audio = TypeVar("Audio")


def denoise(
    audio: Audio,
    sample_rate: int | None = None,
    *,
    backend: str | Backend = "rnnoise",
    channels: int | None = None,
    dtype: DTypeLike | None = None,
    **settings: Any,
) -> Audio:
    """Clean a whole clip: `Denoiser(backend, **settings).filter(audio, sample_rate)`.

        clean = denoise(audio, 48000)
        clean = denoise(audio, 16000, backend="dtln-16k", preset="asr")

    audio, sample_rate (Hz), channels, dtype: as `Denoiser.filter` takes them. backend, settings: as Denoiser does.
    Returns the same kind of object. The model is loaded once and kept. Raises what Denoiser and its filter raise.
    """
    cleaned: Audio = Denoiser(backend, **settings).filter(audio, sample_rate, channels=channels, dtype=dtype)
    return cleaned

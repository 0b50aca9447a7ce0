"""Rows, and the spectra that they come from, of clips that are mixed as they are needed: none comes twice."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset

from denoise_wrapper.backends.features import Spectra
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.config import RNNoiseConfig
from denoise_wrapper.training.mix.mixing import HOPS_PER_SECOND, Mixer
from denoise_wrapper.training.mix.walk import Walk, stretches
from denoise_wrapper.training.rnnoise.features import LAYOUTS, mix_spectra, open_mixers
from denoise_wrapper.training.rnnoise.synthesis import BAND_BINS

Parts = tuple[Tensor, ...]  # rows (frames, columns), and perhaps spectra (3, 2, frames, BAND_BINS), both float16


class MixedClips(Dataset[Parts]):
    """Clip number i of the training side, the same as in shards, mixed by whichever process asks."""

    def __init__(self, config: RNNoiseConfig) -> None:
        self.config = config
        self._mixer: Mixer | None = None

    def __getitem__(self, number: int) -> Parts:
        if self._mixer is None:
            self._mixer = open_mixers(self.config)["train"]
        wanted = self.config.train.spectral > 0.0
        rows, spectra = mix_spectra(self._mixer.clip(number), LAYOUTS[self.config.network.family], wanted)
        return (torch.from_numpy(rows),) if spectra is None else (torch.from_numpy(rows), pack(spectra))

    def __getstate__(self) -> dict[str, object]:  # to another process the settings go, not the audio
        return {"config": self.config, "_mixer": None}


def pack(spectra: Spectra) -> Tensor:
    """float16 (3, 2, frames, BAND_BINS): real and imaginary parts of the noisy, pitch and clean spectra."""
    parts = (torch.view_as_real(torch.from_numpy(part)) for part in (spectra.noisy, spectra.pitch, spectra.clean))
    return torch.stack([part[:, :BAND_BINS].half().permute(2, 0, 1) for part in parts])


class OnlineBatches:
    """What `Batches` reads from shards, mixed ahead by [features] processes; with [train] spectral the spectra too."""

    def __init__(self, config: RNNoiseConfig) -> None:
        self.config, self.frames = config, config.train.frames
        in_clip = round(config.mix.clip_s * HOPS_PER_SECOND)
        self.walk = Walk(config.train.batch, in_clip // self.frames)
        if self.walk.chunks == 0:
            raise ConfigError(f"[train] frames is {self.frames}, but a clip has {in_clip}; lower it")
        self.hours_a_step = config.train.batch * self.frames / 3600.0 / HOPS_PER_SECOND
        self._step = -1  # that comes next
        self._ready: Iterator[list[tuple[Parts, int]]] = iter(())

    def read(self, step: int) -> Parts:
        """rows float32 (frames, batch, columns); bool (batch,): the rows whose state starts anew; with spectra, those,
        float16 (3, 2, frames, batch, BAND_BINS)."""
        if step != self._step:
            self._ready = stretches(MixedClips(self.config), self.walk, step, self.config.features.processes)
        self._step = step + 1
        heard = next(self._ready)
        cuts = [slice(chunk * self.frames, (chunk + 1) * self.frames) for _, chunk in heard]
        rows = torch.stack([clip[0][cut] for (clip, _), cut in zip(heard, cuts, strict=True)], dim=1).float()
        fresh = torch.tensor([chunk == 0 for _, chunk in heard])
        if self.config.train.spectral == 0.0:
            return rows, fresh
        return rows, fresh, torch.stack([c[1][:, :, cut] for (c, _), cut in zip(heard, cuts, strict=True)], dim=3)

"""Loss of the network's answers against the targets."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from denoise_wrapper.training.perceptual import Scale, disturbances
from denoise_wrapper.training.rnnoise.config import RNNoiseTrainConfig
from denoise_wrapper.training.rnnoise.features import Layout
from denoise_wrapper.training.rnnoise.synthesis import Synthesis

LN10 = 2.302585


class Loss(NamedTuple):
    """Parts of the loss over a batch, each a mean: total is what is minimised."""

    total: Tensor
    gain: Tensor  # squared difference of the gains after their power, with the fourth power's share
    loudness: Tensor  # squared difference of the compressed band energies, against those of the noisy signal
    perceptual: Tensor  # quality points lost to what an ear hears of the difference
    pesq: Tensor  # the same, as forgiving as PESQ
    voice: Tensor  # cross entropy in nats
    spectral: Tensor  # compressed difference of the engine's output spectra and the clean ones; 0 without spectra


class Judge:
    """Compares answers with the rows of a shard."""

    def __init__(
        self, layout: Layout, config: RNNoiseTrainConfig, look_ahead: int, device: torch.device | None = None
    ) -> None:
        """look_ahead: how many frames an answer is behind the features that it was given for."""
        self.layout, self.config, self.look_ahead = layout, config, look_ahead
        self.scale = Scale.of(layout.band_hz, device)
        self.synthesis = Synthesis(layout, look_ahead, device)

    def compare(self, gains: Tensor, voice: Tensor, rows: Tensor, spectra: Tensor | None = None) -> Loss:
        """gains (T, B, bands) and voice (T, B) before their sigmoid, rows (T, B, columns), spectra as in `Synthesis`.

        Bands of target -1 and frames that the engine does not run count nowhere, nor does an undecided voice label.
        """
        layout, config = self.layout, self.config
        answers, run = gains, (rows[:, :, layout.features] != 0.0).any(dim=2)
        gains, voice = gains[self.look_ahead :], voice[self.look_ahead :]
        rows = rows[: len(gains)]
        target, label = rows[:, :, layout.gains], rows[:, :, layout.voice]
        known = (target >= 0.0).to(target.dtype)
        target = target.clamp(min=1e-6)
        log_gain = logsigmoid(gains)
        gain = self.gain_error(log_gain, target, known, label)
        nothing = gain.new_zeros(())
        energy = rows[:, :, layout.energy]
        loudness = loudness_error(log_gain, target, energy, known, config) if config.loudness else nothing
        strict, forgiving = self.disturbances(log_gain, target, energy)
        decided = ((label != 0.5) & run[: len(rows)]).to(label.dtype)
        cross = binary_cross_entropy_with_logits(voice, label, reduction="none")
        speech = (cross * decided).sum() / decided.sum().clamp(min=1.0)
        total = gain + config.loudness * loudness + config.perceptual * strict + config.pesq * forgiving
        spectral = nothing
        if spectra is not None:
            spectral = self.synthesis.error(torch.sigmoid(answers), spectra.float(), run, known)
        total = total + config.vad * speech + config.spectral * spectral
        parts = (gain, loudness, strict, forgiving, speech, spectral)
        return Loss(total, *(part.detach() for part in parts))

    def gain_error(self, log_gain: Tensor, target: Tensor, known: Tensor, label: Tensor) -> Tensor:
        """Squared difference of gains ** gain_power, and its square, frames of speech counted more: a number.

        log_gain, target, known (T, B, bands): natural logarithms of gains, gains 0 to 1, 1 where a band counts, else 0.
        label (T, B): 1 speech, 0 none.
        """
        if self.config.sharpen:
            target = target * torch.tanh(self.config.sharpen * target) ** 2
        difference = torch.exp(self.config.gain_power * log_gain) - target**self.config.gain_power
        square = difference * difference
        weight = known * (1.0 + self.config.speech_weight * label[:, :, None])
        error: Tensor = (weight * (square + self.config.fourth * square * square)).sum() / known.sum().clamp(min=1.0)
        return error

    def disturbances(self, log_gain: Tensor, target: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """Disturbances of clean bands' energies by what the gains leave, strict and as PESQ has it, in its points.

        Those without a weight are 0. log_gain, target (T, B, bands) as in `gain_error`; energy: log10 of the clean
        ones.
        """
        strict, forgiving = self.config.perceptual, self.config.pesq
        if not (strict or forgiving):
            return log_gain.new_zeros(()), log_gain.new_zeros(())
        clean = torch.exp(LN10 * energy)
        output = clean * torch.exp(2.0 * (log_gain - torch.log(target)))
        return disturbances(clean, output, self.scale, strict, forgiving)


def loudness_error(
    log_gain: Tensor, target: Tensor, energy: Tensor, known: Tensor, config: RNNoiseTrainConfig
) -> Tensor:
    """Squared error of (gain * noisy amplitude) ** power, what an ear makes of it, over each clip's noisy mean square.

    log_gain, target, known (T, B, bands) as in `Judge.gain_error`; returns a number. energy (T, B, bands): log10 of the
    clean bands' energy, which with the target gives the noisy bands'. Gains that are too small count 1 + config.over
    times.
    """
    power = config.loudness_power
    log_target = torch.log(target)
    noisy = torch.exp(power * (0.5 * LN10 * energy - log_target)) * known
    error = noisy * (torch.exp(power * log_gain) - torch.exp(power * log_target))
    square = error * error
    if config.over:
        square = square * (1.0 + config.over * (error < 0.0).to(square.dtype))
    count = known.sum(dim=(0, 2)).clamp(min=1.0)
    scale = (noisy * noisy).sum(dim=(0, 2)) / count
    return (square.sum(dim=(0, 2)) / count / scale.clamp(min=1e-3)).mean()

"""How far the network's answers are from what was wanted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from denoise_wrapper.training.config import TrainConfig
from denoise_wrapper.training.rnnoise.features import ENERGY, FEATURES, GAINS, VOICE


@dataclass(frozen=True)
class Loss:
    """Parts of the loss over a batch, each a mean: total is what is minimised."""

    total: Tensor
    gain: Tensor  # squared difference of the gains after their power, with the fourth power's share
    loudness: Tensor  # squared difference of the compressed band energies, against those of the noisy signal
    voice: Tensor  # cross entropy in nats


def compare(gains: Tensor, voice: Tensor, rows: Tensor, config: TrainConfig, first: int = 0) -> Loss:
    """Compare logits with the rows of a shard.

    gains (T, B, 22) and voice (T, B) before their sigmoid, rows (T, B, 87); frames before first do not count.
    Bands of target -1 and frames that the engine does not run count nowhere, nor does an undecided voice label.
    """
    gains, voice, rows = gains[first:], voice[first:], rows[first:]
    target, label = rows[:, :, GAINS], rows[:, :, VOICE]
    known = (target >= 0.0).to(target.dtype)
    target = target.clamp(min=1e-6)
    log_gain = logsigmoid(gains)
    difference = torch.exp(config.gain_power * log_gain) - target**config.gain_power
    square = difference * difference
    weight = known * (1.0 + config.speech_weight * label[:, :, None])
    gain = (weight * (square + config.fourth * square * square)).sum() / known.sum().clamp(min=1.0)
    loudness = loudness_error(log_gain, target, rows[:, :, ENERGY], known, config)
    decided = ((label != 0.5) & (rows[:, :, FEATURES] != 0.0).any(dim=2)).to(label.dtype)
    cross = binary_cross_entropy_with_logits(voice, label, reduction="none")
    speech = (cross * decided).sum() / decided.sum().clamp(min=1.0)
    total = gain + config.loudness * loudness + config.vad * speech
    return Loss(total, gain.detach(), loudness.detach(), speech.detach())


def loudness_error(log_gain: Tensor, target: Tensor, energy: Tensor, known: Tensor, config: TrainConfig) -> Tensor:
    """Squared error of (gain * noisy amplitude) ** power, what an ear makes of it, over each clip's noisy mean square.

    energy: log10 of the clean bands' energy, which with the target gives the noisy bands'. Gains that are too small
    count 1 + config.over times.
    """
    power = config.loudness_power
    log_target = torch.log(target)
    noisy = torch.exp(power * (1.1512925 * energy - log_target)) * known  # 1.15 = ln(10) / 2: amplitude of log10 power
    error = noisy * (torch.exp(power * log_gain) - torch.exp(power * log_target))
    square = error * error
    if config.over:
        square = square * (1.0 + config.over * (error < 0.0).to(square.dtype))
    count = known.sum(dim=(0, 2)).clamp(min=1.0)
    scale = (noisy * noisy).sum(dim=(0, 2)) / count
    return (square.sum(dim=(0, 2)) / count / scale.clamp(min=1e-3)).mean()

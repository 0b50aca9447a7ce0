"""Loss of denoised audio against clean audio, as the DTLN is trained."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from denoise_wrapper.training.dtln.config import DTLNLossConfig
from denoise_wrapper.training.perceptual import Ear

LEVEL = 0.05  # RMS at which an ear hears the mixture, -26 dBFS
SILENCE = 1e-9  # power below which a mixture counts as silent, -90 dBFS


class Loss(NamedTuple):
    """The loss that is minimised, and its parts: numbers."""

    total: Tensor  # the weighted sum, no unit
    snr_db: Tensor  # signal-to-error ratio, a mean over the clips that hold speech; a larger one is better
    magnitude: Tensor  # mean squared error of compressed spectra, no unit
    over: Tensor  # the part of it that falls on magnitudes below the clean ones
    perceptual: Tensor  # quality points lost to what an ear hears of the difference
    pesq: Tensor  # the same, as forgiving as PESQ


def compare(
    estimate: Tensor, clean: Tensor, noisy: Tensor, config: DTLNLossConfig, turn: int, rate: int = 16000
) -> Loss:
    """Compare clips, all float32 (batch, n), full scale +-1. turn: the step, which chooses the size of the spectra.

    rate: Hz.

    Silent targets and silent mixtures are safe: the ratio's denominator is the mixture's power, which changes the
    published loss (the negative ratio of target to error) by a constant of the clip, so that its gradient is the same.
    """
    scale = torch.rsqrt(noisy.square().mean(dim=1, keepdim=True) + SILENCE)
    estimate, clean = estimate * scale, clean * scale
    ratio = error_ratio(estimate, clean, config)
    magnitude = over = estimate.new_zeros(())
    if config.method == "snr+magnitude":
        magnitude, over = spectral_errors(estimate, clean, config.sizes[turn % len(config.sizes)], config)
    total = config.snr_weight * ratio.mean() + config.magnitude_weight * magnitude + config.over * over
    strict = forgiving = estimate.new_zeros(())
    if config.perceptual or config.pesq:
        ear = ear_on(estimate.device)
        wanted_sound, heard = (ear.listen(LEVEL * part, rate) for part in (clean, estimate))
        strict, forgiving = ear.disturbances(wanted_sound, heard, config.perceptual, config.pesq)
        total = total + config.perceptual * strict + config.pesq * forgiving
    with torch.no_grad():
        wanted = clean.square().mean(dim=1)
        speaking = wanted > 1e-3
        snr_db = 10.0 * torch.log10(wanted / ((estimate - clean).square().mean(dim=1) + 1e-9))
        snr_db = snr_db[speaking].mean() if bool(speaking.any()) else snr_db.new_tensor(math.nan)
    return Loss(total, snr_db, magnitude, over, strict.detach(), forgiving.detach())


@functools.cache
def ear_on(device: torch.device) -> Ear:
    """The ear whose bands lie on a device."""
    return Ear(device)


def error_ratio(estimate: Tensor, clean: Tensor, config: DTLNLossConfig) -> Tensor:
    """Power of the error against the mixture's, whose power is 1, in units of 10 dB: (batch,).

    estimate, clean: float32 (batch, n).

    Errors more than limit_db below the mixture count no longer, so that easy clips do not outweigh hard ones.
    """
    if config.method == "si-sdr":
        product, power = (estimate * clean).mean(dim=1), clean.square().mean(dim=1)
        clean = clean * (product / (power + SILENCE)).unsqueeze(1)
        wanted = clean.square().mean(dim=1)
        error = (estimate - clean).square().mean(dim=1)
        return torch.log10((error + 10.0 ** (-config.limit_db / 10.0)) / (wanted + 10.0 ** (-config.limit_db / 10.0)))
    error = (estimate - clean).square().mean(dim=1)
    return torch.log10(error + 10.0 ** (-config.limit_db / 10.0))


def spectral_errors(estimate: Tensor, clean: Tensor, size: int, config: DTLNLossConfig) -> tuple[Tensor, Tensor]:
    """Mean squared error of spectra whose magnitudes are raised to power, in part with phases: a number.

    The second number is the mean square of what magnitudes lack of the clean ones, 0 without a weight for it.

    estimate, clean: float32 (batch, n). size: of the Hann windows, samples, half of which is their hop.

    After S. Braun and I. Tashev, "A consolidated view of loss functions for supervised deep learning-based speech
    enhancement", 2021.
    """
    window = torch.hann_window(size, device=estimate.device)
    spectra = []
    for signal in (estimate, clean):
        frames = signal.unfold(1, size, size // 2) * window
        spectrum = torch.fft.rfft(frames) * (1.0 / math.sqrt(size))
        real, imaginary = spectrum.real, spectrum.imag
        power = real.square() + imaginary.square() + 1e-5
        magnitude = power.pow(config.power / 2.0)
        spectra.append((magnitude, torch.stack([real, imaginary]) * (magnitude / power.sqrt())))
    (estimated, estimated_phases), (wanted, wanted_phases) = spectra
    with_phases = (estimated_phases - wanted_phases).square().sum(dim=0).mean()
    apart = estimated - wanted
    over = apart.clamp(max=0.0).square().mean() if config.over else apart.new_zeros(())
    return config.complex_share * with_phases + (1.0 - config.complex_share) * apart.square().mean(), over

"""Synthesis from gains to sound, as native/state.c does it, in torch and with gradients: the pitch filter, gains that
fall no faster than a room's echo, their spread over the bins, and the sum of the windows.

A spectrum is real and imaginary part, (2, T, B, bins), scaled as the engine's: of T frames of B clips, 50 Hz a bin.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from denoise_wrapper.training.perceptual import BIN_HZ, bark, triangles
from denoise_wrapper.training.rnnoise.features import Layout

BAND_BINS = 400  # below 20 kHz; those above belong to no band and are silent
BINS = 481
HOP = 480  # samples; a window has twice as many
FULL_SCALE = 32768.0
FALL = 0.6  # what a gain keeps of that of the frame before
LEAST_STRENGTH = 1e-8  # squared: below it the pitch filter does nothing, and its root has no steep slope

POWER = 0.3  # of magnitudes, in the loss
COMPLEX_SHARE = 0.3  # of the error with phases in it
SOFTEST = 1e-3  # power of a bin, below which differences matter less and less


class Synthesis:
    """The engine's output for the gains of a network with such bands."""

    def __init__(self, layout: Layout, look_ahead: int, device: torch.device | None = None) -> None:
        """look_ahead: how many frames an answer is behind the frame that it was given for; 1 for the v0.2 network."""
        self.look_ahead = look_ahead
        edges = torch.tensor(sorted({hertz // BIN_HZ for band in layout.band_hz for hertz in band}))
        spread = triangles(edges, torch.arange(BAND_BINS))
        ends = 2.0  # half triangles at both ends
        if len(edges) > layout.bands:  # the outermost are no bands, and belong to those beside them: one and a half
            spread = torch.cat([spread[:1] + spread[1:2], spread[2:-2], spread[-2:-1] + spread[-1:]])
            ends = 2.0 / 3.0
        self.spread = spread.to(device)  # (bands, BAND_BINS): values of bands to bins
        gather = self.spread.clone()
        gather[[0, -1]] *= ends
        self.gather = gather.t().contiguous()  # (BAND_BINS, bands): powers of bins to energies of bands
        hertz = BIN_HZ * torch.arange(BAND_BINS, device=device)
        width = torch.tensor([bark(float(at) + BIN_HZ) - bark(float(at)) for at in hertz], device=device)
        self.weight = width / width.mean()  # (BAND_BINS,): how much of the ear's scale a bin takes

    def spectra(self, gains: Tensor, noisy: Tensor, pitch: Tensor, run: Tensor) -> Tensor:
        """The engine's output for the first T - look_ahead frames, with as many bins as noisy.

        gains (T, B, bands), 0 to 1, as the network answers; noisy, pitch: spectra of BAND_BINS or BINS bins, as
        `FeatureExtractor` finds them. run, bool (T, B): whether the network was run; where it was not, the frame that
        its answer was for passes as it is. The signal begins with the first frame.
        """
        ahead, frames = self.look_ahead, len(gains) - self.look_ahead
        gains, run = gains[ahead:], run[ahead:]
        energy = power(noisy[..., :BAND_BINS]) @ self.gather
        fall = (energy[:-1] + 1e-3) / (energy[1:] + 1e-3) if ahead else None
        above = noisy[:, :frames, :, BAND_BINS:] * ~run[:, :, None]
        noisy, pitch, energy = noisy[:, :frames, :, :BAND_BINS], pitch[:, :frames, :, :BAND_BINS], energy[:frames]
        filtered, level = self.pitch_filter(gains, noisy, pitch, energy)
        shaped = filtered * (level * (fall_slowly(gains, run, fall) @ self.spread))
        if not bool(run.all()):
            shaped = torch.where(run[:, :, None], shaped, noisy)
        return torch.cat([shaped, above], dim=3) if above.shape[3] else shaped

    def pitch_filter(self, gains: Tensor, noisy: Tensor, pitch: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """Add to bands what is one pitch period old, the more the more of them is voice that their gain would not bring
        out: (the sum, factors (T, B, BAND_BINS) that bring it back to the energy that it had)."""
        pitch_energy = power(pitch) @ self.gather
        coherence = (noisy * pitch).sum(dim=0) @ self.gather / (1e-3 + energy * pitch_energy).sqrt()
        voiced, square = coherence * coherence, gains * gains
        ratio = voiced * (1.0 - square) / (1e-3 + square * (1.0 - voiced).clamp(min=0.0))
        strength = ratio.clamp(LEAST_STRENGTH, 1.0).sqrt()
        strength = torch.where(coherence > gains, torch.ones_like(strength), strength)
        filtered = noisy + ((strength * (energy / (1e-8 + pitch_energy)).sqrt()) @ self.spread) * pitch
        level = energy.sqrt() * (1e-8 + power(filtered) @ self.gather).rsqrt()
        return filtered, level @ self.spread

    def error(self, gains: Tensor, spectra: Tensor, run: Tensor, known: Tensor) -> Tensor:
        """Error of the output's spectra: squared differences of magnitudes to the power of POWER, and of the spectra so
        compressed, against the noisy ones' mean square; bins count by what an ear makes of them.

        spectra (3, 2, T, B, BAND_BINS): noisy, pitch, clean. known (T - look_ahead, B, bands), 0 to 1: what counts.
        """
        noisy, pitch, clean = spectra
        output = self.spectra(gains, noisy, pitch, run)
        noisy, clean = noisy[:, : len(known)], clean[:, : len(known)]
        weight = (known @ self.spread) * self.weight
        output_power, clean_power = power(output) + SOFTEST, power(clean) + SOFTEST
        magnitude = output_power ** (0.5 * POWER) - clean_power ** (0.5 * POWER)
        shrink = 0.5 * (POWER - 1.0)
        apart = power(output * output_power**shrink - clean * clean_power**shrink)
        square = (1.0 - COMPLEX_SHARE) * magnitude * magnitude + COMPLEX_SHARE * apart
        scale = (weight * (power(noisy) + SOFTEST) ** POWER).sum(dim=(0, 2)).clamp(min=1e-3)
        return ((weight * square).sum(dim=(0, 2)) / scale).mean()


def power(spectrum: Tensor) -> Tensor:
    """Squared magnitudes (T, B, bins) of a spectrum (2, T, B, bins)."""
    real, imaginary = spectrum
    return real * real + imaginary * imaginary


def fall_slowly(gains: Tensor, run: Tensor, fall: Tensor | None) -> Tensor:
    """max(gain, FALL * that of the last frame that was run). gains (T, B, bands), run (T, B).

    fall (T, B, bands) or None: factors of a gain on its way to the next frame, where it counts as 1 at most.
    """
    with torch.no_grad():
        source, factor, offset = follow(gains, run, fall)
    return gains.gather(0, source) * factor + offset


def follow(gains: Tensor, run: Tensor, fall: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The frame whose gain each goes back to, the factor of it, and what is added; all (T, B, bands)."""
    own = torch.stack([gains, torch.ones_like(gains), torch.zeros_like(gains)], dim=1)  # value, factor, offset
    full = own.new_tensor([1.0, 0.0, 1.0])[:, None, None]  # the gain 1, which goes back to no frame
    result, source = torch.empty_like(own), torch.empty(gains.shape, dtype=torch.int64, device=gains.device)
    last, place = torch.zeros_like(own[0]), torch.zeros_like(source[0])
    for t in range(len(gains)):
        louder = gains[t] >= FALL * last[0]
        result[t] = torch.where(louder, own[t], FALL * last)
        source[t] = torch.where(louder, t, place)
        after = result[t]
        if fall is not None:
            after = torch.where(after[0] * fall[t] < 1.0, after * fall[t], full)
        sounding = run[t][:, None]
        last, place = torch.where(sounding, after, last), torch.where(sounding, source[t], place)
    return source, result[:, 1], result[:, 2]


def waveform(spectra: Tensor) -> Tensor:
    """Samples float32 (B, T * HOP), full scale 1, of spectra with BINS bins or fewer; the signal is a hop late."""
    whole = torch.nn.functional.pad(spectra, (0, BINS - spectra.shape[3]))
    at = math.pi * (torch.arange(2 * HOP, device=spectra.device) + 0.5) / (2 * HOP)
    window = torch.sin(0.5 * math.pi * torch.sin(at) ** 2) / FULL_SCALE
    frames = torch.fft.irfft(torch.complex(whole[0], whole[1]), norm="forward") * window
    samples = frames[:, :, :HOP] + torch.nn.functional.pad(frames[:-1, :, HOP:], (0, 0, 0, 0, 1, 0))
    return samples.transpose(0, 1).flatten(1)

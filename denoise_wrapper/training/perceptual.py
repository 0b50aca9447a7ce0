"""Audible difference of two signals, computed from the energies of their bands, with gradients.

The quantities are those of PESQ (ITU-T P.862: loudness densities, a dead zone of a quarter of the softer one, and the
added parts counted apart), over bands and frames of a network's own in place of PESQ's, which is near enough to learn
by. The threshold in quiet is Terhardt's (1979), the Bark scale Traunmueller's (1990).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

HIGHEST_HZ = 8000  # bands that begin above it do not count
LEVEL_DB = 79.0  # sound pressure level at which speech is taken to be heard
EXPONENT = 0.23  # Zwicker's, from power to loudness
LOUDNESS = 0.1866  # sone a Bark
SYMMETRIC, ASYMMETRIC = 0.1, 0.0309  # how much of a quality point each disturbance takes
ADDED_FLOOR, ADDED_POWER, ADDED_LEAST, ADDED_MOST = 50.0, 1.2, 3.0, 12.0  # of the weight of what was added
BLOCK = 32  # frames, 320 ms, within which the worst count most
ACTIVE_DB = -25.0  # frames of speech that are so far below its mean power are no pauses
LEAST_ACTIVE = 20  # frames; with fewer, nothing can be said of a clip
LOUDEST = 45.0  # disturbance of a frame
BIN_HZ = 50  # of the spectra that an `Ear` takes: frames of 20 ms, one each 10
STEPS = 32768.0  # of a full scale of 1, in which energies are counted


@dataclass(frozen=True)
class Forgiveness:
    """Ratios of energies within which a steady colouring of bands, and a change of a frame's level, are no fault."""

    colour: tuple[float, float]
    level: tuple[float, float]


PESQ = Forgiveness((0.01, 100.0), (3e-4, 5.0))  # of which a network makes use: pauses full of noise, thin voices
STRICT = Forgiveness((0.25, 4.0), (0.5, 2.0))


@dataclass(frozen=True)
class Scale:
    """The bands that count: their number, their widths in Bark, and their thresholds in quiet."""

    bands: int
    width: Tensor
    threshold: Tensor  # linear, 1 being 0 dB of sound pressure level

    @staticmethod
    def of(band_hz: Iterable[tuple[float, float]], device: torch.device | None = None) -> Scale:
        """band_hz: where each band, a triangle, begins and ends, in Hz, the lowest first."""
        edges = [(low, high) for low, high in band_hz if low < HIGHEST_HZ]
        width = [0.5 * (bark(high) - bark(low)) for low, high in edges]  # triangles: half of what they reach over
        threshold = [10.0 ** (0.1 * quiet_db(max(0.5 * (low + high), 60.0))) for low, high in edges]
        return Scale(len(edges), torch.tensor(width, device=device), torch.tensor(threshold, device=device))


class Ear:
    """Bands of spectra in which an ear tells sounds apart: triangles half a Bark apart, but two bins at least."""

    def __init__(self, device: torch.device | None = None) -> None:
        peaks = [0]
        while peaks[-1] * BIN_HZ < HIGHEST_HZ:
            least, place = bark(peaks[-1] * BIN_HZ) + 0.5, peaks[-1] + 2
            while bark(place * BIN_HZ) < least:
                place += 1
            peaks.append(place)
        weights = triangles(torch.tensor(peaks), torch.arange(peaks[-1] + 1))
        self.weights = weights[:-1].T.contiguous().to(device)  # (bins, bands)
        hertz = [float(place * BIN_HZ) for place in peaks]
        self.scale = Scale.of(zip([0.0, *hertz], hertz[1:], strict=False), device)

    def listen(self, sound: Tensor, rate: int) -> Tensor:
        """The energies of sound, (B, n), at rate Hz, in frames of 20 ms under the root of Hann's window."""
        block = rate // BIN_HZ
        window = torch.hann_window(block, device=sound.device).sqrt()
        return self.energies(torch.fft.rfft(sound.unfold(1, block, block // 2) * window))

    def energies(self, spectrum: Tensor) -> Tensor:
        """Energies of the bands, float32 (T, B, bands). spectrum: complex64 (B, T, bins), of sound of full scale 1."""
        power = (spectrum.real.square() + spectrum.imag.square())[..., : len(self.weights)]
        return (power @ self.weights[: power.shape[2]]).transpose(0, 1) * STEPS**2

    def disturbances(self, clean: Tensor, output: Tensor, strict: float, forgiving: float) -> tuple[Tensor, Tensor]:
        """As the function `disturbances`, by these bands."""
        return disturbances(clean, output, self.scale, strict, forgiving)


def triangles(peaks: Tensor, bins: Tensor) -> Tensor:
    """Weights of bins, float32 (len(peaks), len(bins)), of a triangle at each of peaks that reaches to those beside it.

    peaks, bins: ascending; none of bins beyond the outermost peaks.
    """
    peaks = peaks.double()
    right = torch.searchsorted(peaks, bins.double(), right=True).clamp(1, len(peaks) - 1)
    share = (bins - peaks[right - 1]) / (peaks[right] - peaks[right - 1])
    weights = torch.zeros(len(peaks), len(bins), dtype=torch.float64)
    columns = torch.arange(len(bins))
    weights[right - 1, columns] = 1.0 - share
    weights[right, columns] = share
    return weights.float()


def bark(hertz: float) -> float:
    return 26.81 * hertz / (1960.0 + hertz) - 0.53


def quiet_db(hertz: float) -> float:
    """The softest tone that is heard, in dB of sound pressure level."""
    kilo = 1e-3 * hertz
    return float(3.64 * kilo**-0.8 - 6.5 * math.exp(-0.6 * (kilo - 3.3) ** 2) + 1e-3 * kilo**4)


def disturbance(clean: Tensor, output: Tensor, scale: Scale, forgiven: Forgiveness = PESQ) -> Tensor:
    """Quality points lost, a mean over clips: about 4.5 minus the raw PESQ of output, if as much is forgiven.

    clean, output (T, B, bands): energies of the bands, of which those of scale count. Clips with hardly any speech do
    not count; without any other the answer is 0.
    """
    clean, output = (0.5 * (part[1:] + part[:-1])[:, :, : scale.bands] for part in (clean, output))
    total = clean.sum(dim=2)
    active = total > total.mean(dim=0) * 10.0 ** (0.1 * ACTIVE_DB)
    counted = (active.sum(dim=0) >= LEAST_ACTIVE) & (total.mean(dim=0) > 0.1)
    if not bool(counted.any()):
        return output.sum() * 0.0
    clean, output, active = clean[:, counted], output[:, counted], active[:, counted, None].to(clean.dtype)
    level = 10.0 ** (0.1 * LEVEL_DB) / ((clean.sum(dim=2, keepdim=True) * active).sum(dim=0) / active.sum(dim=0))
    clean, output = clean * level, output * level
    clean = clean * colouring(clean, output, active).clamp(*forgiven.colour)
    output = output * swelling(clean, output).clamp(*forgiven.level)
    symmetric, added = frame_disturbances(clean, output, scale)
    weight = ((clean.sum(dim=2) + 1e5) / 1e7) ** -0.04
    points = (over_time(part * weight) for part in (symmetric, added))
    return sum(factor * part.mean() for factor, part in zip((SYMMETRIC, ASYMMETRIC), points, strict=True))  # type: ignore[return-value]


def disturbances(clean: Tensor, output: Tensor, scale: Scale, strict: float, forgiving: float) -> tuple[Tensor, Tensor]:
    """Quality points lost, strictly and as PESQ has it, by energies; those without a weight are 0."""
    nothing, weights = output.new_zeros(()), ((strict, STRICT), (forgiving, PESQ))
    first, second = (disturbance(clean, output, scale, kind) if weight else nothing for weight, kind in weights)
    return first, second


def colouring(clean: Tensor, output: Tensor, active: Tensor) -> Tensor:
    """Gains of a steady filter between both, (B, bands): ratios of the bands' means over the frames of speech."""
    return ((output * active).mean(dim=0) + 1e3) / ((clean * active).mean(dim=0) + 1e3)


def swelling(clean: Tensor, output: Tensor) -> Tensor:
    """Gains of a change of level between both, (T, B, 1): ratios of frames' energies."""
    return (clean.sum(dim=2, keepdim=True) + 5e3) / (output.sum(dim=2, keepdim=True) + 5e3)


def frame_disturbances(clean: Tensor, output: Tensor, scale: Scale) -> tuple[Tensor, Tensor]:
    """Disturbances of each frame, (T, B), in sone: all that differs, and that with what was added counted by how far it
    stands out. clean, output (T, B, bands): energies, 1 being 0 dB of sound pressure level."""
    wanted, estimated = loudness(clean, scale), loudness(output, scale)
    apart = estimated - wanted
    audible = (apart.abs() - 0.25 * torch.minimum(estimated, wanted)).clamp(min=0.0)
    stands_out = ((output + ADDED_FLOOR) / (clean + ADDED_FLOOR)) ** ADDED_POWER
    stands_out = torch.where(stands_out < ADDED_LEAST, torch.zeros_like(stands_out), stands_out.clamp(max=ADDED_MOST))
    whole = scale.width.sum()
    symmetric = (((audible * scale.width) ** 2).sum(dim=2) / whole + 1e-9).sqrt() * whole
    added = (audible * stands_out * scale.width).sum(dim=2)
    return symmetric.clamp(max=LOUDEST), added.clamp(max=LOUDEST * 4.0)


def loudness(power: Tensor, scale: Scale) -> Tensor:
    """Loudness density (T, B, bands), sone a Bark, of energies, by Zwicker's law above the threshold."""
    law = (0.5 + 0.5 * power / scale.threshold) ** EXPONENT - 1.0
    return LOUDNESS * (scale.threshold / 0.5) ** EXPONENT * law.clamp(min=0.0)


def over_time(points: Tensor) -> Tensor:
    """Mean over frames, (T, B) to (B,): a sixth power within blocks, a square over them."""
    whole = len(points) // BLOCK * BLOCK
    blocks = points[:whole].reshape(-1, BLOCK, points.shape[1]) if whole >= BLOCK else points[None]
    worst = ((blocks + 1e-6) ** 6).mean(dim=1) ** (1.0 / 6.0)
    return ((worst**2).mean(dim=0) + 1e-9).sqrt()

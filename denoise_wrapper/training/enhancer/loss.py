"""Loss of an enhancer's answer against clean speech, in parts that can be tried one by one."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from denoise_wrapper.training.enhancer.bands import BINS, BLOCK, HOP, RATE, bin_weights
from denoise_wrapper.training.enhancer.config import LossConfig
from denoise_wrapper.training.enhancer.network import Enhancer, Estimate
from denoise_wrapper.training.perceptual import Ear

FLOOR = 1e-8  # power of a bin that counts as none: what its compressed magnitude hangs on has a finite slope
LEVEL = 0.05  # RMS that clips are brought to, -26 dBFS
QUIETEST = 1e-3  # RMS; a stretch that is quieter counts as that loud


class Loss(NamedTuple):
    """The loss that is minimised, and its parts before their weights: numbers."""

    total: Tensor
    magnitude: Tensor
    complex: Tensor
    consistency: Tensor
    waveform: Tensor
    over: Tensor
    perceptual: Tensor
    pesq: Tensor
    voice: Tensor


class Target(NamedTuple):
    """Target of a step."""

    clean: Tensor  # float32 (clips, HOP + T * HOP): the hop before the stretch, then the stretch
    voice: Tensor  # float32 (clips, T): 1 speech, 0 none, 0.5 where nobody can say
    known: Tensor  # bool (clips, BINS): bins at which the clean speech is known


class Judge:
    """Compares answers with targets, as settings weigh the parts."""

    def __init__(self, config: LossConfig, network: Enhancer) -> None:
        self.config = config
        self.window = network.window
        self.weights = bin_weights(config.upper_power).to(self.window.device)
        self.ear = Ear(self.window.device)

    def compare(self, answer: Estimate, target: Target, noisy: Tensor) -> Loss:
        """The loss of a stretch. noisy: (clips, T * HOP), what was heard, by whose level clips are made alike.

        Spectra of clean speech stand in where nothing is known about it, so that no waveform is judged there.
        """
        config, nothing = self.config, noisy.new_zeros(())
        clean = torch.fft.rfft(target.clean.unfold(1, BLOCK, HOP) * self.window)
        known = target.known.unsqueeze(1)
        estimate = torch.where(known, answer.spectrum, clean)
        scale = self.scale(noisy)
        weights = (known * self.weights).expand_as(clean)
        weights = weights / weights.sum().clamp(min=1.0)
        compressed, wanted = (compress(part * scale.unsqueeze(2), config.power) for part in (estimate, clean))
        short = compressed.magnitude - wanted.magnitude
        squares = short.square() * weights
        magnitude, over = squares.sum(), (squares * (short < 0.0)).sum()
        phases = complex_error(compressed, wanted, weights)
        strict = forgiving = waveform = consistency = nothing
        if config.perceptual or config.pesq:
            wanted_sound, heard = (self.ear.energies(part * scale.unsqueeze(2)) for part in (clean, estimate))
            strict, forgiving = self.ear.disturbances(wanted_sound, heard, config.perceptual, config.pesq)
        if config.waveform or config.consistency:
            sound = self.synthesise(estimate) * scale
            clean_sound = target.clean[:, HOP:-HOP] * scale
            waveform = (sound - clean_sound).abs().mean()
            if config.consistency and sound.shape[1] >= BLOCK:
                again = compress(Transform.apply(sound.unfold(1, BLOCK, HOP) * self.window), config.power)
                inner = Compressed(*(part[:, 1:-1] for part in wanted))
                few = (known * self.weights).expand_as(again.magnitude)
                consistency = complex_error(again, inner, few / few.sum().clamp(min=1.0))
        voice = voice_error(answer.voice, target.voice)
        parts = (magnitude, phases, consistency, waveform, over, strict, forgiving, voice)
        names = Loss._fields[1:]
        total = sum((getattr(config, name) * part for name, part in zip(names, parts, strict=True)), nothing)
        return Loss(total, *parts)

    def scale(self, noisy: Tensor) -> Tensor:
        """Factors of clips by which levels matter as little as they should: (clips, 1)."""
        level = noisy.square().mean(dim=1, keepdim=True).sqrt().clamp(min=QUIETEST)
        return (LEVEL / level) ** self.config.even_level

    def synthesise(self, spectrum: Tensor) -> Tensor:
        """The samples that T frames give in full: (clips, (T - 1) * HOP)."""
        frames = torch.fft.irfft(spectrum, BLOCK) * self.window
        return (frames[:, :-1, HOP:] + frames[:, 1:, :HOP]).flatten(1)


class Compressed(NamedTuple):
    """Spectra whose magnitudes are raised to a power: each float32 (clips, T, BINS)."""

    magnitude: Tensor
    real: Tensor
    imaginary: Tensor


class Compression(torch.autograd.Function):
    """Magnitudes to a power, with slopes that take no power again. Returns the parts of `Compressed`."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, imaginary: Tensor, power: float) -> tuple[Tensor, Tensor, Tensor]:
        square = real.square() + imaginary.square() + FLOOR
        factor = square.log2().mul_((power - 1.0) / 2.0).exp2_()  # in half of the time of a power
        answer = square.sqrt() * factor, real * factor, imaginary * factor
        ctx.save_for_backward(real, imaginary, square, factor, *answer)
        ctx.power = power
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        real, imaginary, square, factor, magnitude, *parts = ctx.saved_tensors
        of_magnitude, of_real, of_imaginary = gradients
        along = torch.addcmul(of_real * parts[0], of_imaginary, parts[1])
        twice = (ctx.power * of_magnitude * magnitude + (ctx.power - 1.0) * along) / square  # of the square
        slopes = (torch.addcmul(twice * real, of_real, factor), torch.addcmul(twice * imaginary, of_imaginary, factor))
        return *slopes, None


class Transform(torch.autograd.Function):
    """torch.fft.rfft of frames of an even number of samples, with slopes by one transform of half of torch's length."""

    @staticmethod
    def forward(ctx: Any, frames: Tensor) -> Tensor:
        ctx.length = frames.shape[-1]
        return torch.fft.rfft(frames)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # A real transform back counts all bins twice but the first and the last, and divides by the length.
        halves = gradients[0] * (0.5 * ctx.length)
        for edge in (0, -1):
            halves[..., edge] *= 2.0
        return torch.fft.irfft(halves, ctx.length)


def compress(spectrum: Tensor, power: float) -> Compressed:
    """Spectra with compressed magnitudes and the phases that they have."""
    return Compressed(*Compression.apply(spectrum.real, spectrum.imag, power))


def complex_error(one: Compressed, other: Compressed, weights: Tensor) -> Tensor:
    """The weighted sum of squared differences, a mean over real and imaginary part."""
    squares = (one.real - other.real).square() + (one.imaginary - other.imaginary).square()
    return 0.5 * (squares * weights).sum()


def voice_error(answer: Tensor, label: Tensor) -> Tensor:
    """Cross entropy in nats over the frames whose label is sure. answer: before its sigmoid, (clips, T)."""
    sure = (label != 0.5).to(answer.dtype)
    each = binary_cross_entropy_with_logits(answer, label, reduction="none")
    return (each * sure).sum() / sure.sum().clamp(min=1.0)


def known_bins(bandwidth_hz: float) -> Tensor:
    """The bins below a bandwidth: bool (BINS,)."""
    return torch.arange(BINS) * (RATE / BLOCK) <= bandwidth_hz
